package translate

import (
	"strings"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// told is the configuration of the filter for a route or a cluster, with the given state of a session.
func told(state string) string {
	return `typedPerFilterConfig: {envoy.filters.http.stateful_session: {
		"@type": type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute,
		statefulSession: {sessionState: ` + state + `}}}`
}

func byCookie(cookie string) string {
	return told(`{name: envoy.http.stateful_session.cookie, typedConfig: {
		"@type": type.googleapis.com/envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState, cookie: {` + cookie + `}}}`)
}

func byHeader(name string) string {
	return told(`{name: envoy.http.stateful_session.header, typedConfig: {
		"@type": type.googleapis.com/envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState, name: ` + name + `}}`)
}

// withCookie matches requests with a cookie.
func withCookie(name string) string {
	return `headers: [{name: cookie, stringMatch: {safeRegex: {regex: '(?:.*[;,]\s*)?` + name + `=[^;,].*'}}}]`
}

const strict = `attributes: [{name: SameSite, value: Strict}]`

func TestSessions(t *testing.T) {
	t.Parallel()
	s := &graph.SessionFacts{Name: "s"}
	const toA, toAB = `[{name: a, port: 80}]`, `[{name: a, port: 80, weight: 3}, {name: b, port: 80}]`
	for _, tt := range []struct {
		name     string
		backends string
		rule     *graph.SessionFacts
		policies []*graph.SessionFacts // of the backends
		routes   string                // <A> and <B> stand for the names that are made up for the backends
	}{
		{
			"cookie of a rule", toA, s, nil,
			`[{match: {prefix: /}, route: {cluster: "ns/a:80"}, ` + byCookie(`name: s, path: /, `+strict) + `}]`,
		},
		{
			"cookie of a policy", toA, nil, []*graph.SessionFacts{s},
			`[{match: {prefix: /}, route: {cluster: "ns/a:80"}, ` + byCookie(`name: s, `+strict) + `}]`,
		},
		{
			"permanent cookie", toA, &graph.SessionFacts{Name: "s", Lifetime: 1500 * time.Millisecond}, nil,
			`[{match: {prefix: /}, route: {cluster: "ns/a:80"}, ` + byCookie(`name: s, path: /, ttl: 2s, `+strict) + `}]`,
		},
		{
			"header", toA, &graph.SessionFacts{Name: "X-S", Header: true}, nil,
			`[{match: {prefix: /}, route: {cluster: "ns/a:80"}, ` + byHeader("x-s") + `}]`,
		},
		{
			"an invalid backend", `[{name: missing, port: 80}]`, s, nil, `[{match: {prefix: /}, directResponse: {status: 500}}]`,
		},
		{
			"weights, of which each backend has a cookie of its own", toAB, s, nil,
			`[{match: {prefix: /, ` + withCookie("s") + `}, route: {cluster: "ns/a:80"}, ` + byCookie(`name: s, path: /, `+strict) + `},
				{match: {prefix: /, ` + withCookie("s-<B>") + `}, route: {cluster: "ns/b:80"}, ` + byCookie(`name: s-<B>, path: /, `+strict) + `},
				{match: {prefix: /}, route: {weightedClusters: {clusters: [
					{name: "ns/a:80", weight: 3, ` + byCookie(`name: s, path: /, `+strict) + `},
					{name: "ns/b:80", weight: 1, ` + byCookie(`name: s-<B>, path: /, `+strict) + `}]}}}]`,
		},
		{
			"weights and no name", toAB, &graph.SessionFacts{}, nil,
			`[{match: {prefix: /, ` + withCookie("<A>") + `}, route: {cluster: "ns/a:80"}, ` + byCookie(`name: <A>, path: /, `+strict) + `},
				{match: {prefix: /, ` + withCookie("<B>") + `}, route: {cluster: "ns/b:80"}, ` + byCookie(`name: <B>, path: /, `+strict) + `},
				{match: {prefix: /}, route: {weightedClusters: {clusters: [
					{name: "ns/a:80", weight: 3, ` + byCookie(`name: <A>, path: /, `+strict) + `},
					{name: "ns/b:80", weight: 1, ` + byCookie(`name: <B>, path: /, `+strict) + `}]}}}]`,
		},
		{
			"a policy of one of the backends", toAB, nil, []*graph.SessionFacts{nil, {Name: "t", Header: true}},
			`[{match: {prefix: /, headers: [{name: t, presentMatch: true}]}, route: {cluster: "ns/b:80"}, ` + byHeader("t") + `},
				{match: {prefix: /}, route: {weightedClusters: {clusters: [
					{name: "ns/a:80", weight: 3}, {name: "ns/b:80", weight: 1, ` + byHeader("t") + `}]}}}]`,
		},
		{
			"weight 0 keeps the sessions that there are", `[{name: a, port: 80}, {name: b, port: 80, weight: 0}]`, nil, []*graph.SessionFacts{{Name: "s"}, {Name: "t"}},
			`[{match: {prefix: /, ` + withCookie("t") + `}, route: {cluster: "ns/b:80"}, ` + byCookie(`name: t, `+strict) + `},
				{match: {prefix: /}, route: {cluster: "ns/a:80"}, ` + byCookie(`name: s, `+strict) + `}]`,
		},
		{
			"an invalid share", `[{name: a, port: 80}, {name: missing, port: 80}]`, s, nil,
			`[{match: {prefix: /, ` + withCookie("s") + `}, route: {cluster: "ns/a:80"}, ` + byCookie(`name: s, path: /, `+strict) + `},
				{match: {prefix: /}, route: {clusterNotFoundResponseCode: INTERNAL_SERVER_ERROR, weightedClusters: {clusters: [
					{name: "ns/a:80", weight: 1, ` + byCookie(`name: s, path: /, `+strict) + `}, {name: unresolved-backend, weight: 1}]}}}]`,
		},
		{
			"filters of a backend without weight",
			`[{name: a, port: 80, weight: 0, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x]}}]}]`, s, nil,
			`[{match: {prefix: /, ` + withCookie("s") + `}, route: {cluster: "ns/a:80"}, requestHeadersToRemove: [x], ` + byCookie(`name: s, path: /, `+strict) + `},
				{match: {prefix: /}, directResponse: {status: 500}}]`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			route := httpRoute(t, "r", `{rules: [{backendRefs: `+tt.backends+`}]}`)
			rule := &route.Rules[0]
			rule.Session = tt.rule
			for i, p := range tt.policies {
				rule.Backends[i].Session = p
			}
			vh, _ := translated(t, virtualHost("*", route))
			for _, r := range vh.Routes {
				r.Name = ""
				if action := r.GetRoute(); action != nil {
					action.Timeout = nil
				}
			}
			var names []string
			r := rulesOf(route)[0]
			for i := range r.backends {
				names = append(names, []string{"<A>", "<B>"}[i], r.tokenName(&r.backends[i]))
			}
			expect(t, vh.Routes, strings.NewReplacer(names...).Replace(tt.routes))
		})
	}
}

// TestSessionNames makes sure that the rules of routes share no sessions unless a name is chosen.
func TestSessionNames(t *testing.T) {
	t.Parallel()
	const twoRules = `{rules: [{backendRefs: [{name: a, port: 80}]}, {name: n, backendRefs: [{name: a, port: 80}]}]}`
	seen := map[string]bool{}
	for _, route := range []*graph.RouteFacts{httpRoute(t, "r", twoRules), httpRoute(t, "q", twoRules), grpcRoute(t, "r", twoRules)} {
		for i := range route.Rules {
			route.Rules[i].Backends[0].Session = &graph.SessionFacts{}
		}
		for _, r := range rulesOf(route) {
			if name := r.backends[0].token.name; seen[name] {
				t.Errorf("%s is the name of two tokens", name)
			} else {
				seen[name] = true
			}
		}
	}
}

func TestSecureCookie(t *testing.T) {
	t.Parallel()
	route := httpRoute(t, "r", `{rules: [{backendRefs: [{name: a, port: 80}]}]}`)
	route.Rules[0].Session = &graph.SessionFacts{Name: "s"}
	facts := virtualHost("*", route)
	facts.Key.Table.Listener = "https"
	vh, _ := translated(t, facts)
	vh.Routes[0].Name, vh.Routes[0].GetRoute().Timeout = "", nil
	expect(t, []*routev3.Route{vh.Routes[0]}, `[{match: {prefix: /}, route: {cluster: "ns/a:80"}, `+
		byCookie(`name: s, path: /, attributes: [{name: SameSite, value: Strict}, {name: Secure}]`)+`}]`)
}

func TestCookiePath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path pathMatch
		want string
	}{
		{pathMatch{pathSegments, ""}, "/"},
		{pathMatch{pathSegments, "/a/b"}, "/a/b"},
		{pathMatch{pathSegments, "/a/b;c/d"}, "/a"},
		{pathMatch{pathExact, "/a"}, "/a"},
		{pathMatch{pathExact, "/"}, "/"},
		{pathMatch{pathPrefix, "/a.B/"}, "/a.B/"},
		{pathMatch{pathRegex, "/p1/p2/.*/p3"}, "/p1/p2"},
		{pathMatch{pathRegex, "/p1/p2"}, "/p1/p2"},
		{pathMatch{pathRegex, "/p1/p[23]"}, "/p1"},
		{pathMatch{pathRegex, "/p1?"}, "/"},
		{pathMatch{pathRegex, "/a|/b"}, "/"},
		{pathMatch{pathRegex, "(?i)/a/b"}, "/"},
		{pathMatch{pathRegex, ".*"}, "/"},
		{pathMatch{pathRegex, `/a/b\n`}, "/a"},
		{pathMatch{pathRegex, "/ä/b"}, "/"},
		{pathMatch{pathRegex, "("}, "/"},
	} {
		if got := cookiePath(tt.path); got != tt.want {
			t.Errorf("cookiePath(%v) is %q, want %q", tt.path, got, tt.want)
		}
	}
}
