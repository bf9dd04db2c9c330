package router

import "testing"

// The cases re-express those of Envoy's test/common/router/config_impl_test.cc (DirectResponse, RouteConfigurationV2.Redirect*).
func TestRedirect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ redirect, from, want string }{
		{`{host_redirect: new.test}`, "http://a.test/x?y", "http://new.test/x?y"},
		{`{host_redirect: new.test}`, "http://a.test:8080/x", "http://new.test/x"},
		{`{host_redirect: "[2001:db8::2]"}`, "http://a.test/", "http://[2001:db8::2]/"},
		{`{https_redirect: true}`, "http://a.test/x", "https://a.test/x"},
		{`{https_redirect: true}`, "http://a.test:80/x", "https://a.test/x"},
		{`{https_redirect: true}`, "http://a.test:8080/x", "https://a.test:8080/x"},
		{`{https_redirect: true}`, "http://[2001:db8::1]:80/x", "https://[2001:db8::1]/x"},
		{`{https_redirect: true}`, "http://[2001:db8::1]/x", "https://[2001:db8::1]/x"},
		{`{https_redirect: true}`, "https://a.test:443/x", "https://a.test:443/x"},
		{`{scheme_redirect: http}`, "https://a.test:443/x", "http://a.test/x"},
		{`{scheme_redirect: http}`, "https://192.0.2.1:443/x", "http://192.0.2.1/x"},
		{`{scheme_redirect: ws}`, "https://a.test:80/x", "ws://a.test:80/x"}, // not the default port of https
		{`{scheme_redirect: ws}`, "http://a.test:443/x", "ws://a.test:443/x"},
		{`{scheme_redirect: ws}`, "http://[2001:db8::1]:443/x", "ws://[2001:db8::1]:443/x"},
		{`{scheme_redirect: ws, host_redirect: new.test, port_redirect: 8080}`, "http://a.test:80/x", "ws://new.test:8080/x"},
		{`{port_redirect: 8181}`, "http://a.test/x", "http://a.test:8181/x"},
		{`{port_redirect: 8181}`, "http://a.test:8080/x", "http://a.test:8181/x"},
		{`{port_redirect: 8181}`, "http://[2001:db8::1]:8080/x", "http://[2001:db8::1]:8181/x"},
		{`{port_redirect: 8181}`, "http://[2001:db8::1]/x", "http://[2001:db8::1]:8181/x"},
		{`{port_redirect: 443, https_redirect: true}`, "http://a.test/x", "https://a.test:443/x"}, // what is asked for, is said
		{`{port_redirect: 80}`, "http://a.test/x", "http://a.test:80/x"},

		{`{path_redirect: /new}`, "https://a.test/x", "https://a.test/new"},
		{`{path_redirect: new}`, "https://a.test/x", "https://a.test/new"},
		{`{path_redirect: /new}`, "http://a.test/x?y=1#f", "http://a.test/new?y=1#f"},
		{`{path_redirect: /new, strip_query: true}`, "http://a.test/x?y=1", "http://a.test/new"},
		{`{path_redirect: "/new?z=2"}`, "http://a.test/x?y=1", "http://a.test/new?z=2"},
		{`{path_redirect: "/new?z=2", strip_query: true}`, "http://a.test/x?y=1", "http://a.test/new?z=2"},
		{`{strip_query: true, host_redirect: new.test}`, "http://a.test/x?y=1", "http://new.test/x"},
		{`{path_redirect: /new, host_redirect: new.test, https_redirect: true}`, "http://a.test:80/x", "https://new.test/new"},

		{`{prefix_rewrite: /new}`, "http://a.test/x/y?z=/x", "http://a.test/new/y?z=/x"},
		{`{prefix_rewrite: /new, strip_query: true}`, "http://a.test/x/y?z=/x", "http://a.test/new/y"},
		{`{prefix_rewrite: "/new?"}`, "http://a.test/xy", "http://a.test/new?y"},
		{`{regex_rewrite: {pattern: {regex: "^/x/(.+)$"}, substitution: '/new/\1'}}`, "http://a.test/x/y?z", "http://a.test/new/y?z"},
		{`{regex_rewrite: {pattern: {regex: "^/x/(.+)$"}, substitution: '/new/\1'}}`, "http://a.test/xx?z", "http://a.test/xx?z"},
		{`{regex_rewrite: {pattern: {regex: ".*"}, substitution: ''}}`, "http://a.test/xx?z", "http://a.test/xx?z"},
	} {
		table := compiled(t, withRoutes(`[{match: {prefix: /x}, redirect: `+tt.redirect+`}, {match: {prefix: /}, redirect: `+tt.redirect+`}]`))
		r := request("GET " + tt.from)
		m := table.Match(r)
		if got := m.Redirect.Location(r); got != tt.want {
			t.Errorf("%s from %s: got %s, want %s", tt.redirect, tt.from, got, tt.want)
		}
		if m.Forward != nil || m.Direct != nil {
			t.Errorf("%s: not only a redirect: %+v", tt.redirect, m)
		}
	}
}

func TestRedirectStatus(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int{
		"MOVED_PERMANENTLY": 301, "FOUND": 302, "SEE_OTHER": 303, "TEMPORARY_REDIRECT": 307, "PERMANENT_REDIRECT": 308,
	} {
		table := compiled(t, withRoutes(`[{match: {prefix: /}, redirect: {https_redirect: true, response_code: `+code+`}}]`))
		if got := table.Match(request("GET http://a.test/")).Redirect.Status; got != want {
			t.Errorf("%s: got %d", code, got)
		}
	}
}

// The scheme of HTTP/2 is the client's word, the one that a default port is judged by is the connection's.
func TestRedirectOtherScheme(t *testing.T) {
	t.Parallel()
	table := compiled(t, withRoutes(`[{match: {prefix: /}, redirect: {scheme_redirect: http}}]`))
	r := request("GET http://a.test:443/")
	r.Header.Set("X-Forwarded-Proto", "https")
	if got := table.Match(r).Redirect.Location(r); got != "http://a.test/" {
		t.Errorf("got %s", got)
	}
}

func TestDirectResponse(t *testing.T) {
	t.Parallel()
	table := compiled(t, withRoutes(`
  - {match: {prefix: /bytes}, direct_response: {status: 410, body: {inline_bytes: "R29uZQ=="}}}
  - {match: {prefix: /text}, direct_response: {status: 503, body: {inline_string: Later}}}
  - {match: {prefix: /}, direct_response: {status: 200}}
`))
	for path, want := range map[string]Direct{"/bytes": {410, []byte("Gone")}, "/text": {503, []byte("Later")}, "/": {200, nil}} {
		got := table.Match(request("GET http://a.test" + path)).Direct
		if got.Status != want.Status || string(got.Body) != string(want.Body) {
			t.Errorf("%s: got %d %q", path, got.Status, got.Body)
		}
	}
}
