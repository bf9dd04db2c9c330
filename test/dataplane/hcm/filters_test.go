package hcm_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const corsRoutes = `
  - match: {prefix: /all}
    route: {cluster: backend}
    typedPerFilterConfig:
      envoy.filters.http.cors:
        "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
        allowOriginStringMatch: [{exact: "*"}]
        allowMethods: "*"
        allowHeaders: "*"
        maxAge: "5"
        forwardNotMatchingPreflights: false
  - match: {prefix: /some}
    route: {cluster: backend}
    responseHeadersToAdd: [{header: {key: access-control-allow-origin, value: other}}]
    typedPerFilterConfig:
      envoy.filters.http.cors:
        "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
        allowOriginStringMatch: [{exact: "https://a.com"}, {safeRegex: {regex: "https://[^/:]+\\.b\\.com(?:|:443)"}}]
        allowMethods: GET, PUT
        allowHeaders: x-a, x-b
        exposeHeaders: x-c
        maxAge: "60"
        allowCredentials: true
        forwardNotMatchingPreflights: false
  - match: {prefix: /forwarding}
    route: {cluster: backend}
    typedPerFilterConfig:
      envoy.filters.http.cors:
        "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
        allowOriginStringMatch: [{exact: "https://a.com"}]
  - match: {prefix: /redirect}
    redirect: {hostRedirect: example.com}
    typedPerFilterConfig:
      envoy.filters.http.cors:
        "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
        allowOriginStringMatch: [{exact: "*"}]
  - match: {prefix: /unknown}
    route: {cluster: unknown}
    typedPerFilterConfig:
      envoy.filters.http.cors:
        "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
        allowOriginStringMatch: [{exact: "*"}]
` + toBackend

func TestCORS(t *testing.T) {
	t.Parallel()
	g := newGateway(t, corsRoutes)
	g.cluster("backend", []string{backend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })})
	preflight := []string{"Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a, x-z"}
	for name, test := range map[string]struct {
		method, path string
		header       []string
		status       int
		want         []string
	}{
		"preflight, everything": {"OPTIONS", "/all", append(preflight, "Origin: http://o"), 200, []string{
			"Access-Control-Allow-Origin: http://o", "Access-Control-Allow-Methods: PUT", "Access-Control-Allow-Headers: x-a, x-z",
			"Access-Control-Max-Age: 5", "Access-Control-Allow-Credentials", "Content-Type",
		}},
		"preflight, something": {"OPTIONS", "/some", append(preflight, "Origin: https://a.com"), 200, []string{
			"Access-Control-Allow-Origin: https://a.com", "Access-Control-Allow-Methods: GET, PUT",
			"Access-Control-Allow-Headers: x-a, x-b", "Access-Control-Max-Age: 60", "Access-Control-Allow-Credentials: true",
			"Access-Control-Expose-Headers: x-c",
		}},
		"preflight, by expression": {"OPTIONS", "/some", append(preflight, "Origin: https://x.b.com:443"), 200, []string{
			"Access-Control-Allow-Origin: https://x.b.com:443",
		}},
		"preflight, not allowed": {"OPTIONS", "/some", append(preflight, "Origin: https://b.com"), 200, []string{"Access-Control-Allow-Origin"}},
		"preflight, passed on":   {"OPTIONS", "/forwarding", append(preflight, "Origin: https://b.com"), 202, []string{"Access-Control-Allow-Origin"}},
		"no method asked for":    {"OPTIONS", "/all", []string{"Origin: http://o"}, 202, []string{"Access-Control-Allow-Origin: http://o"}},
		"request": {"GET", "/some", []string{"Origin: https://a.com"}, 202, []string{
			"Access-Control-Allow-Origin: https://a.com", "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: x-c",
			"Access-Control-Allow-Methods",
		}},
		"request, not allowed": {"GET", "/forwarding", []string{"Origin: https://b.com"}, 202, []string{"Access-Control-Allow-Origin"}},
		"no origin":            {"GET", "/all", nil, 202, []string{"Access-Control-Allow-Origin"}},
		"no policy":            {"GET", "/", []string{"Origin: https://a.com"}, 202, []string{"Access-Control-Allow-Origin"}},
		"redirect":             {"GET", "/redirect", []string{"Origin: https://a.com"}, 301, []string{"Access-Control-Allow-Origin"}},
		"an answer of the gateway's": {"GET", "/unknown", []string{"Origin: https://a.com"}, 503, []string{
			"Access-Control-Allow-Origin: https://a.com",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := g.do(g.request(test.method, test.path, nil, test.header...))
			if got.StatusCode != test.status {
				t.Errorf("got %s, want %d", got.Status, test.status)
			}
			for _, want := range test.want {
				checkHeader(t, got.Header, want)
			}
		})
	}
}

const sessionRoutes = `
  - match: {prefix: /cookie}
    route: {cluster: backend}
    typedPerFilterConfig:
      envoy.filters.http.stateful_session: &cookie
        "@type": type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute
        statefulSession:
          sessionState:
            name: envoy.http.stateful_session.cookie
            typedConfig:
              "@type": type.googleapis.com/envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState
              cookie: {name: session, ttl: 100s, path: /cookie, attributes: [{name: SameSite, value: Strict}, {name: Secure}]}
  - match: {prefix: /header}
    route: {cluster: backend}
    typedPerFilterConfig:
      envoy.filters.http.stateful_session:
        "@type": type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute
        statefulSession:
          sessionState:
            name: envoy.http.stateful_session.header
            typedConfig:
              "@type": type.googleapis.com/envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState
              name: x-session
  - match: {prefix: /other}
    route: {cluster: backend}
    typedPerFilterConfig: {envoy.filters.http.stateful_session: *cookie}
`

// named are backends that answer with their addresses.
func named(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		out = append(out, backend(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, r.Context().Value(http.LocalAddrContextKey))
		}))
	}
	return out
}

func TestSessions(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sessionRoutes)
	hosts := named(t, 3)
	g.cluster("backend", hosts)

	first := g.get("/cookie/a")
	cookie := first.Header.Get("Set-Cookie")
	value, attributes, _ := strings.Cut(cookie, ";")
	if attributes != " Max-Age=100; Path=/cookie; SameSite=Strict; Secure; HttpOnly" || !strings.HasPrefix(value, `session="`) {
		t.Fatalf("Set-Cookie: %s", cookie)
	}
	token := g.get("/header").Header.Get("X-Session")
	if address, err := base64.StdEncoding.DecodeString(token); err != nil || !slices.Contains(hosts, string(address)) {
		t.Fatalf("x-session: %s %v", token, err)
	}
	old := base64.StdEncoding.EncodeToString([]byte(first.body))
	for range 5 {
		for _, header := range []string{"Cookie: a=b; " + value, "Cookie: session=" + old} {
			if got := g.do(g.request(http.MethodGet, "/cookie/b", nil, header)); got.body != first.body || got.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s: got %s, Set-Cookie %s; want %s", header, got.body, got.Header.Get("Set-Cookie"), first.body)
			}
		}
		got := g.do(g.request(http.MethodGet, "/header", nil, "X-Session: "+token))
		if base64.StdEncoding.EncodeToString([]byte(got.body)) != token || got.Header.Get("X-Session") != "" {
			t.Errorf("got %s for x-session %s", got.body, token)
		}
	}
	// Where browsers wouldn't send the cookie, there is no session.
	if got := g.do(g.request(http.MethodGet, "/cookies", nil, "Cookie: "+value)); got.Header.Get("Set-Cookie") != "" {
		t.Errorf("/cookies: Set-Cookie %s", got.Header.Get("Set-Cookie"))
	}
	if got := g.get("/other"); got.Header.Get("Set-Cookie") != "" {
		t.Errorf("/other: Set-Cookie %s", got.Header.Get("Set-Cookie"))
	}
	// A session that has ended is none: this one ended in 1970.
	ended := base64.StdEncoding.EncodeToString([]byte("\x0a" + string(rune(len(first.body))) + first.body + "\x10\x01"))
	if got := g.do(g.request(http.MethodGet, "/cookie", nil, "Cookie: session="+ended)); got.Header.Get("Set-Cookie") == "" {
		t.Error("a session that has ended is kept")
	}
	// A host that is gone is replaced.
	gone := base64.StdEncoding.EncodeToString([]byte(netip.MustParseAddrPort("127.0.0.1:1").String()))
	got := g.do(g.request(http.MethodGet, "/header", nil, "X-Session: "+gone))
	if !slices.Contains(hosts, got.body) || got.Header.Get("X-Session") == "" {
		t.Errorf("a host that is gone: got %s, x-session %q", got.body, got.Header.Get("X-Session"))
	}
	for _, header := range []string{"X-Session: %", "X-Session: "} {
		if got := g.do(g.request(http.MethodGet, "/header", nil, header)); got.Header.Get("X-Session") == "" {
			t.Errorf("%s: no x-session", header)
		}
	}
}
