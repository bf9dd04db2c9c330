package translate

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// envoyRoute returns the route that Envoy takes for a path, and the part of the path that matched.
func envoyRoute(vh *routev3.VirtualHost, path string) (*routev3.Route, string) {
	plain, _, _ := strings.Cut(path, "?")
	for _, r := range vh.Routes {
		switch m := r.Match.PathSpecifier.(type) {
		case *routev3.RouteMatch_Path:
			if plain == m.Path {
				return r, m.Path
			}
		case *routev3.RouteMatch_Prefix:
			if strings.HasPrefix(plain, m.Prefix) {
				return r, m.Prefix
			}
		case *routev3.RouteMatch_PathSeparatedPrefix:
			if rest, ok := strings.CutPrefix(plain, m.PathSeparatedPrefix); ok && (rest == "" || rest[0] == '/') {
				return r, m.PathSeparatedPrefix
			}
		}
	}
	return nil, ""
}

// envoyRewrite returns the path that Envoy sends to the backend.
func envoyRewrite(vh *routev3.VirtualHost, path string) string {
	r, matched := envoyRoute(vh, path)
	if r == nil {
		return "no route"
	}
	action := r.GetRoute()
	if action.PrefixRewrite != "" {
		return action.PrefixRewrite + path[len(matched):]
	}
	if rr := action.RegexRewrite; rr != nil {
		plain, query, _ := strings.Cut(path, "?")
		// RE2 writes \1 where Go writes ${1}; without groups, only the escape is left.
		with := strings.ReplaceAll(strings.ReplaceAll(rr.Substitution, `\\`, `\`), "$", "$$")
		return strings.TrimSuffix(regexp.MustCompile(rr.Pattern.Regex).ReplaceAllString(plain, with)+"?"+query, "?")
	}
	return path
}

func TestRewritePath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, prefix, modifier, want string }{
		// The table at HTTPPathModifier.replacePrefixMatch.
		{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
		{"/foo", "/foo", "/xyz", "/xyz"},
		{"/foo/", "/foo", "/xyz", "/xyz/"},
		{"/foo/bar", "/foo", "", "/bar"},
		{"/foo/", "/foo", "", "/"},
		{"/foo", "/foo", "", "/"},
		{"/foo/", "/foo", "/", "/"},
		{"/foo", "/foo", "/", "/"},
		// What it leaves to the reader.
		{"/foobar", "/foo", "/xyz", "no route"},
		{"/foobar", "/foo", "/", "no route"},
		{"/foo/bar/baz", "/foo/bar", "/", "/baz"},
		{"/foo/bar", "/foo", "xyz", "/xyz/bar"},
		{"/bar", "/", "/xyz", "/xyz/bar"},
		{"/", "/", "/xyz", "/xyz/"},
		{"/bar", "/", "/xyz/", "/xyz/bar"},
		{"/bar", "/", "/", "/bar"},
		{"/bar", "/", "", "/bar"},
		{"/foo?q=/foo", "/foo", "/xyz", "/xyz?q=/foo"},
		{"/foo?q=/foo", "/foo", "/", "/?q=/foo"},
		{"/foo/bar?q", "/foo", "/", "/bar?q"},
		// ReplaceFullPath.
		{"/foo/bar", "/foo", "full:/xyz", "/xyz"},
		{"/foo/bar?q=1", "/foo", "full:/xyz", "/xyz?q=1"},
		{"/foo", "/", "full:", "/"},
		{"/foo", "/", `full:/a\1$b%c`, `/a\1$b%c`},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			t.Parallel()
			modifier := fmt.Sprintf(`{type: ReplacePrefixMatch, replacePrefixMatch: %q}`, tt.modifier)
			if full, ok := strings.CutPrefix(tt.modifier, "full:"); ok {
				modifier = fmt.Sprintf(`{type: ReplaceFullPath, replaceFullPath: '%s'}`, full)
			}
			vh, _ := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [{
				matches: [{path: {type: PathPrefix, value: `+tt.prefix+`}}],
				filters: [{type: URLRewrite, urlRewrite: {path: `+modifier+`}}],
				backendRefs: [{name: a, port: 80}]}]}`)))
			if got := envoyRewrite(vh, tt.path); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestRewriteHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ filters, want string }{
		{`{type: URLRewrite, urlRewrite: {hostname: a.example}}`, "a.example"},
		{`{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Host, value: b.example}]}}`, "b.example"},
		{`{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: Host, value: b.example}], remove: [host, ":path"]}}`, ""},
		{`{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /}}}`, ""},
	} {
		vh, _ := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [{filters: [`+tt.filters+`], backendRefs: [{name: a, port: 80}]}]}`)))
		route := vh.Routes[0]
		if got := route.GetRoute().GetHostRewriteLiteral(); got != tt.want {
			t.Errorf("%s: host %q", tt.filters, got)
		}
		if len(route.RequestHeadersToAdd)+len(route.RequestHeadersToRemove) > 0 {
			t.Errorf("%s: Envoy would refuse %v", tt.filters, route)
		}
	}
}

// location returns the Location header of Envoy's redirect for a request.
func location(vh *routev3.VirtualHost, scheme, host, path string) string {
	r, matched := envoyRoute(vh, path)
	action := r.GetRedirect()
	name, hostPort, _ := strings.Cut(host, ":")
	to, port := scheme, ""
	if action.GetSchemeRedirect() != "" {
		to = action.GetSchemeRedirect()
	}
	if action.PortRedirect != 0 {
		port = fmt.Sprintf(":%d", action.PortRedirect)
	}
	switch {
	case action.HostRedirect != "":
		host = action.HostRedirect
	case port != "", to != scheme && hostPort == map[string]string{"http": "80", "https": "443"}[scheme]:
		host = name
	}
	_, query, _ := strings.Cut(path, "?")
	switch {
	case action.GetPathRedirect() != "":
		path = strings.TrimSuffix(action.GetPathRedirect()+"?"+query, "?")
	case action.GetPrefixRewrite() != "":
		path = action.GetPrefixRewrite() + path[len(matched):]
	}
	return to + "://" + host + port + path
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	const prefix = `path: {type: ReplacePrefixMatch, replacePrefixMatch: `
	for _, tt := range []struct {
		name     string
		listener string // scheme:port
		domain   string
		filter   string
		request  string // host and path
		want     string
	}{
		{"scheme", "http:80", "*", `scheme: https`, "h/a?b", "https://h/a?b"},
		{"scheme, port in Host", "http:80", "*", `scheme: https`, "h:80/a", "https://h/a"},
		{"scheme, from another port", "http:8080", "h", `scheme: https`, "h:8080/a", "https://h/a"},
		{"scheme, from another port, any host", "http:8080", "*", `scheme: https`, "h:8080/a", "https://h:443/a"},
		{"scheme, from another port, wildcard", "http:8080", "*.h", `scheme: http`, "a.h:8080/a", "http://a.h:80/a"},
		{"scheme of the listener", "https:443", "*", `hostname: x`, "h/a", "https://x/a"},
		{"from https to http", "https:443", "*", `scheme: http`, "h:443/a", "http://h/a"},
		{"listener's port", "http:8080", "*", `hostname: x`, "h:8080/a", "http://x:8080/a"},
		{"listener's port, not that of Host", "http:8080", "*", `statusCode: 301`, "h:30080/a", "http://h:8080/a"},
		{"listener's port 80, not that of Host", "http:80", "h", `statusCode: 301`, "h:30080/a", "http://h/a"},
		{"listener's port on https", "https:8443", "h", `statusCode: 301`, "h:8443/a", "https://h:8443/a"},
		{"port", "http:80", "*", `port: 8443`, "h/a", "http://h:8443/a"},
		{"port and scheme", "http:80", "*", `port: 8443, scheme: https`, "h/a", "https://h:8443/a"},
		{"port that goes without saying", "http:8080", "h", `port: 80`, "h:8080/a", "http://h/a"},
		{"port of the other scheme", "http:8080", "h", `port: 443`, "h:8080/a", "http://h:443/a"},
		{"hostname and scheme", "http:8080", "*", `scheme: https, hostname: x`, "h:8080/a", "https://x/a"},
		{"full path", "http:80", "*", `path: {type: ReplaceFullPath, replaceFullPath: /x}`, "h/foo/a?b", "http://h/x?b"},
		{"prefix", "http:80", "*", prefix + `/x}`, "h/foo/a?b", "http://h/x/a?b"},
		{"prefix to root", "http:80", "*", prefix + `/}`, "h/foo/a?b", "http://h/a?b"},
		{"prefix to root, nothing left", "http:80", "*", prefix + `/}`, "h/foo", "http://h/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			match := "/"
			if strings.Contains(tt.filter, "path") {
				match = "/foo"
			}
			facts := virtualHost(tt.domain, httpRoute(t, "h", `{rules: [{
				matches: [{path: {value: `+match+`}}], filters: [{type: RequestRedirect, requestRedirect: {`+tt.filter+`}}]}]}`))
			scheme, port, _ := strings.Cut(tt.listener, ":")
			fmt.Sscan(port, &facts.Key.Table.Port)
			if scheme == "https" {
				facts.Key.Table.Listener = "tls"
			}
			vh, _ := translated(t, facts)
			host, path, _ := strings.Cut(tt.request, "/")
			if got := location(vh, scheme, host, "/"+path); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRedirectStatusAndHeaders(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{
		0:                            "FOUND",
		http.StatusMovedPermanently:  "MOVED_PERMANENTLY",
		http.StatusFound:             "FOUND",
		http.StatusSeeOther:          "SEE_OTHER",
		http.StatusTemporaryRedirect: "TEMPORARY_REDIRECT",
		http.StatusPermanentRedirect: "PERMANENT_REDIRECT",
	} {
		status := ""
		if code != 0 {
			status = fmt.Sprintf(", statusCode: %d", code)
		}
		vh, _ := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [{filters: [
			{type: RequestRedirect, requestRedirect: {hostname: x`+status+`}},
			{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: a, value: b}]}}]}]}`)))
		expect(t, vh.Routes, `[{name: httproute/ns/h/rule/0/match/0, match: {prefix: /},
			redirect: {hostRedirect: x, responseCode: `+want+`},
			responseHeadersToAdd: [{header: {key: a, value: b}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD}]}]`)
	}
}
