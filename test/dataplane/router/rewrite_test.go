package router

import "testing"

// The cases re-express those of Envoy's test/common/router/config_impl_test.cc (TestRoutes, PathSeparatedPrefixMatchRewrite).
func TestRewritePath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ match, rewrite, path, want string }{
		{`prefix: /old`, `prefix_rewrite: /api/new`, "/old/x", "/api/new/x"},
		{`prefix: /old`, `prefix_rewrite: /api/new`, "/old", "/api/new"},
		{`prefix: /old`, `prefix_rewrite: /`, "/old/x", "//x"},
		{`prefix: /`, `prefix_rewrite: /v1/`, "/x?y=/", "/v1/x?y=/"},
		{`path: /old`, `prefix_rewrite: /new`, "/old?q=1", "/new?q=1"},
		{`{path: /OlD, case_sensitive: false}`, `prefix_rewrite: /nEw`, "/oLd", "/nEw"},
		{`path_separated_prefix: /old`, `prefix_rewrite: /new/api`, "/old?q=1#f", "/new/api?q=1#f"},
		{`path_separated_prefix: /old`, `prefix_rewrite: /new/api`, "/old/this?q=1#f", "/new/api/this?q=1#f"},
		{`safe_regex: {regex: "/(.*/)*\\d{3}"}`, `prefix_rewrite: /new`, "/647", "/new"},
		{`safe_regex: {regex: "/(.*/)*\\d{3}"}`, `prefix_rewrite: /new`, "/foo/bar/238?bar=true", "/new?bar=true"},

		{`prefix: /new1`, `regex_rewrite: {pattern: {regex: "^/new(.*?)/(.*)$"}, substitution: '/\1/rewritten/\2'}`, "/new1/foo", "/1/rewritten/foo"},
		{`prefix: /`, `regex_rewrite: {pattern: {regex: "e"}, substitution: "X"}`, "/tee/the?tee=e", "/tXX/thX?tee=e"},
		{`path: /exact/for`, `regex_rewrite: {pattern: {regex: "[aeioe]"}, substitution: "V"}`, "/exact/for?a=e#o", "/VxVct/fVr?a=e#o"},
		{`safe_regex: {regex: ".*/\\d{4}$"}`, `regex_rewrite: {pattern: {regex: "(^.*)/(\\d{4})$"}, substitution: '/four/\2/end\1'}`, "/xx/yy/6472?t=1", "/four/6472/end/xx/yy?t=1"},
		{`prefix: /`, `regex_rewrite: {pattern: {regex: "^.+$"}, substitution: '/a\\1%b'}`, "/x?y", `/a\1%b?y`},
		{`prefix: /`, `regex_rewrite: {pattern: {regex: "b"}, substitution: '<\0>'}`, "/abcb", `/a<b>c<b>`},
		{`prefix: /`, `regex_rewrite: {pattern: {regex: "x*"}, substitution: '-'}`, "/ax", `-/-a-`},
		{`prefix: /`, `regex_rewrite: {pattern: {regex: "(a)|b"}, substitution: '<\1>'}`, "/ab", `/<a><>`},
		{`prefix: /`, `regex_rewrite: {pattern: {regex: "none"}, substitution: '/'}`, "/ab", `/ab`},

		{`prefix: /`, `cluster_not_found_response_code: NOT_FOUND`, "/ab?c", `/ab?c`},
	} {
		match := tt.match
		if match[0] != '{' {
			match = "{" + match + "}"
		}
		table := compiled(t, withRoutes(`[{match: `+match+`, route: {cluster: c, `+tt.rewrite+`}}]`))
		r := request("GET http://a.test" + tt.path)
		m := table.Match(r)
		if m == nil {
			t.Errorf("%s doesn't match %s", tt.path, tt.match)
			continue
		}
		m.RewriteRequest(r, false)
		if r.Path != tt.want || r.Authority != "a.test" {
			t.Errorf("%s of %s with %s: got %s (of %s), want %s", tt.path, tt.match, tt.rewrite, r.Path, r.Authority, tt.want)
		}
		if r.Header.Get("X-Envoy-Original-Path") != "" {
			t.Errorf("%s: has x-envoy-original-path", tt.path)
		}
	}
}

func TestRewriteHost(t *testing.T) {
	t.Parallel()
	const forwarded = "X-Forwarded-Host"
	for _, tt := range []struct {
		route, header      string
		host, forwardedFor string
	}{
		{`{cluster: c}`, "", "a.test:80", ""},
		{`{cluster: c, host_rewrite_literal: new.test}`, "", "new.test", ""},
		{`{cluster: c, host_rewrite_literal: new.test, append_x_forwarded_host: true}`, "", "new.test", "a.test:80"},
		{`{cluster: c, host_rewrite_literal: new.test, append_x_forwarded_host: true}`, "b.test", "new.test", "b.test,a.test:80"},
		{`{cluster: c, host_rewrite_literal: new.test, append_x_forwarded_host: true}`, "b.test,a.test:80", "new.test", "b.test,a.test:80"},
		{`{weighted_clusters: {clusters: [{name: c, weight: 1, host_rewrite_literal: cluster.test}]}}`, "", "cluster.test", ""},
		{`{weighted_clusters: {clusters: [{name: c, weight: 1, host_rewrite_literal: cluster.test}]}, host_rewrite_literal: new.test}`, "", "new.test", ""},
	} {
		table := compiled(t, withRoutes(`[{match: {prefix: /}, route: `+tt.route+`}]`))
		r := request("GET http://a.test:80/")
		if tt.header != "" {
			r.Header.Set(forwarded, tt.header)
		}
		table.Match(r).RewriteRequest(r, false)
		if r.Authority != tt.host || r.Header.Get(forwarded) != tt.forwardedFor || r.Header.Get("X-Envoy-Original-Host") != "" {
			t.Errorf("%s: got %s and %v", tt.route, r.Authority, r.Header)
		}
	}
}

func TestKeepOriginal(t *testing.T) {
	t.Parallel()
	table := compiled(t, withRoutes(`
  - {match: {prefix: /old}, route: {cluster: c, prefix_rewrite: /new, host_rewrite_literal: new.test}}
  - {match: {prefix: /}, route: {cluster: c}}
`))
	r := request("GET http://a.test/old?x")
	table.Match(r).RewriteRequest(r, true)
	if path, host := r.Header.Get("x-envoy-original-path"), r.Header.Get("x-envoy-original-host"); path != "/old?x" || host != "a.test" {
		t.Errorf("got path %q, host %q", path, host)
	}
	r = request("GET http://a.test/other")
	table.Match(r).RewriteRequest(r, true)
	if len(r.Header) != 1 { // X-Forwarded-Proto
		t.Errorf("nothing is rewritten, and the headers are %v", r.Header)
	}
}
