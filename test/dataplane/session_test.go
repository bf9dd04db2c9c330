package dataplane_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// session is how the client of a test keeps its session: what of a response goes into the next request.
type session func(*response) http.Header

func cookieSession(answer *response) http.Header {
	for _, c := range (&http.Response{Header: answer.header}).Cookies() {
		return http.Header{"Cookie": {c.Name + `="` + c.Value + `"`}}
	}
	return nil
}

func headerSession(answer *response) http.Header {
	if value := answer.header.Get("X-Session"); value != "" {
		return http.Header{"X-Session": {value}}
	}
	return nil
}

// policy is an XBackendTrafficPolicy for a Service.
func policy(service, spec string) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: %[1]s, namespace: default}
spec: {targetRefs: [{group: "", kind: Service, name: %[1]s}], %[2]s}
`, service, spec)
}

// A client stays at an endpoint as long as that exists, whoever asks for it: a rule of a route, or a policy of a Service.
func TestSessionPersistence(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rule, policy string
		kept         session
		attributes   []string // of the cookie
		path         bool
	}{
		"cookie of a rule": {
			rule: `sessionPersistence: {sessionName: s}, `, kept: cookieSession,
			attributes: []string{"s=", "Path=/app", "HttpOnly", "SameSite=Strict"}, path: true,
		},
		"permanent cookie of a rule": {
			rule: `sessionPersistence: {absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}, `, kept: cookieSession,
			attributes: []string{"Path=/app", "Max-Age=3600", "HttpOnly"}, path: true,
		},
		"header of a rule":    {rule: `sessionPersistence: {type: Header, sessionName: X-Session}, `, kept: headerSession},
		"cookie of a Service": {policy: `sessionPersistence: {sessionName: s}`, kept: cookieSession, attributes: []string{"s=", "HttpOnly"}},
		"header of a Service": {policy: `sessionPersistence: {type: Header, sessionName: X-Session}`, kept: headerSession},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ports := map[string]string{} // by what the backends answer
			var all []string
			for _, name := range []string{"a", "b", "c"} {
				ports["200 "+name+" /app"] = backend(t, name)
				all = append(all, ports["200 "+name+" /app"])
			}
			port := freePort(t)
			files := map[string]string{
				"gateway.yaml": gateway(httpListener(port)),
				"app.yaml":     service("app", all...),
				"route.yaml":   routeOf("app", `{`+test.rule+`matches: [{path: {value: /app}}], backendRefs: [{name: app, port: 80}]}`),
			}
			if test.policy != "" {
				files["policy.yaml"] = policy("app", test.policy)
			}
			s := play(t, files)
			r := at(port, "/app")
			first := s.ask(r)
			r.header = test.kept(first)
			if r.header == nil {
				t.Fatalf("no session in %v", first.header)
			}
			cookie := first.header.Get("Set-Cookie")
			for _, attribute := range test.attributes {
				if !strings.Contains(cookie, attribute) {
					t.Errorf("cookie %q lacks %s", cookie, attribute)
				}
			}
			if strings.Contains(cookie, "Path=") != test.path {
				t.Errorf("cookie %q: a path is expected: %t", cookie, test.path)
			}
			home := fmt.Sprintf("%d %s", first.status, first.body)
			stays := func() {
				t.Helper()
				for range 6 {
					s.answers(home, r)
				}
			}
			stays()
			spread := map[string]bool{}
			for range 6 {
				spread[s.ask(at(port, "/app")).body] = true
			}
			if len(spread) != len(all) {
				t.Errorf("clients without a session reached %v", spread)
			}

			// An endpoint more, and one of the others less, is nothing to a session.
			remaining, other := []string{ports[home]}, ""
			for answer, port := range ports {
				if answer != home && other == "" {
					remaining, other = append(remaining, port), answer
				}
			}
			added := backend(t, "added")
			s.apply("app.yaml", service("app", append(remaining, added)...))
			s.becomes("200 added /app", at(port, "/app"))
			stays()

			// Without its endpoint, it goes on at another one, and stays there.
			s.apply("app.yaml", service("app", ports[other], added))
			var moved *response
			s.eventually(func() error {
				moved = s.ask(r)
				if got := fmt.Sprintf("%d %s", moved.status, moved.body); got == home {
					return fmt.Errorf("an endpoint that was removed answers %q", got)
				}
				return nil
			})
			home, r.header = fmt.Sprintf("%d %s", moved.status, moved.body), test.kept(moved)
			if r.header == nil {
				t.Fatalf("no new session in %v", moved.header)
			}
			stays()
		})
	}
}

// "A persistent session takes precedence over traffic split weights": a client stays at its Service, though the weights now send
// all others elsewhere.
func TestSessionPersistenceWeights(t *testing.T) {
	t.Parallel()
	split := func(old, canary int) string {
		return routeOf("app", fmt.Sprintf(`{sessionPersistence: {sessionName: s},
    backendRefs: [{name: old, port: 80, weight: %d}, {name: canary, port: 80, weight: %d}]}`, old, canary))
	}
	port := freePort(t)
	s := play(t, map[string]string{
		"gateway.yaml": gateway(httpListener(port)),
		"old.yaml":     service("old", backend(t, "old")),
		"canary.yaml":  service("canary", backend(t, "canary")),
		"route.yaml":   split(0, 1),
	})
	r := at(port, "/")
	s.answers("200 canary /", r)
	r.header = cookieSession(s.ask(r))
	s.apply("route.yaml", split(1, 0))
	s.becomes("200 old /", at(port, "/"))
	for range 6 {
		s.answers("200 canary /", r)
	}
}

// "Session persistence configuration specified in a route rule SHALL override" that of a policy (GEP-1619).
func TestSessionPersistenceOverride(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := play(t, map[string]string{
		"gateway.yaml": gateway(httpListener(port)),
		"app.yaml":     service("app", backend(t, "app")),
		"policy.yaml":  policy("app", `sessionPersistence: {sessionName: of-the-service}`),
		"route.yaml":   routeOf("app", `{sessionPersistence: {type: Header, sessionName: X-Session}, backendRefs: [{name: app, port: 80}]}`),
	})
	if answer := s.ask(at(port, "/")); headerSession(answer) == nil || cookieSession(answer) != nil {
		t.Errorf("the session is in %v", answer.header)
	}
}
