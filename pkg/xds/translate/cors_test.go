package translate

import (
	"regexp"
	"slices"
	"testing"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestCORSPolicy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, filter, want string }{
		{"nothing", `{}`, `maxAge: "5"`},
		{
			"lists", `{allowOrigins: ["https://a.example:8443"], allowMethods: [GET, PUT], allowHeaders: [X-A, x-b], exposeHeaders: [X-C, X-D], maxAge: 60, allowCredentials: true}`,
			`allowOriginStringMatch: [{exact: "https://a.example:8443"}], allowMethods: "GET, PUT", allowHeaders: "X-A, x-b", exposeHeaders: "X-C, X-D",
				maxAge: "60", allowCredentials: true`,
		},
		{
			"wildcards", `{allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], exposeHeaders: ["*"], allowCredentials: false}`,
			`allowOriginStringMatch: [{exact: "*"}], allowMethods: "*", allowHeaders: "*", exposeHeaders: "*", maxAge: "5"`,
		},
		{
			"wildcards with credentials", `{allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], exposeHeaders: ["*", X-A], allowCredentials: true}`,
			`allowOriginStringMatch: [{exact: "*"}], allowMethods: "*", allowHeaders: "*", exposeHeaders: X-A, maxAge: "5", allowCredentials: true`,
		},
		{"wildcards beside others", `{allowMethods: [GET, "*"], allowHeaders: ["*", a]}`, `allowMethods: "*", allowHeaders: "*", maxAge: "5"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var filter gwv1.HTTPCORSFilter
			parse(t, tt.filter, &filter)
			got := corsPolicy(&filter)
			validate(t, got)
			expect(t, []*corsv3.CorsPolicy{got}, `[{forwardNotMatchingPreflights: false, `+tt.want+`}]`)
		})
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		origin       string
		allowed, not []string
	}{
		{"*", []string{"*"}, nil}, // which allows all to Envoy's filter
		{"https://a.example", []string{"https://a.example", "https://a.example:443"}, []string{"http://a.example", "https://a.example:8443", "https://a.example.org", "https://b.a.example"}},
		{"http://A.example:80", []string{"http://a.example", "http://a.example:80"}, []string{"http://a.example:8080", "https://a.example:80"}},
		{"http://a.example:0443", []string{"http://a.example:443"}, []string{"http://a.example", "http://a.example:0443"}},
		{
			"https://*.bar.com", []string{"https://www.bar.com", "https://a.b.bar.com:443"},
			[]string{"https://bar.com", "https://.bar.com", "https://www.bar.com:8443", "https://www.bar.com.example", "https://www.barxcom", "https://evil.example/www.bar.com", "https://evil.example:1.bar.com"},
		},
		{"https://*.bar.com:8443", []string{"https://www.bar.com:8443"}, []string{"https://www.bar.com"}},
		{"http://*", []string{"http://a", "http://a.example", "http://[::1]", "http://10.0.0.1:80"}, []string{"https://a", "http://a:8080", "http://", "null", "*"}},
		{"https://*:444", []string{"https://a:444", "https://[::1]:444"}, []string{"https://a", "https://a:443"}},
	} {
		matches := func(origin string) bool {
			for _, m := range originMatchers(tt.origin) {
				if m.GetExact() == origin || m.GetSafeRegex() != nil && regexp.MustCompile("^(?:"+m.GetSafeRegex().GetRegex()+")$").MatchString(origin) {
					return true
				}
			}
			return false
		}
		for _, origin := range slices.Concat(tt.allowed, tt.not) {
			if want := slices.Contains(tt.allowed, origin); matches(origin) != want {
				t.Errorf("%s: %s is allowed: %t", tt.origin, origin, !want)
			}
		}
	}
}

// TestCORSPlaces looks where a policy is said: where it holds for all requests, of the route, and else of a cluster.
func TestCORSPlaces(t *testing.T) {
	t.Parallel()
	const cors, modifier = `{type: CORS, cors: {}}`, `{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x]}}`
	for _, tt := range []struct {
		name, rule string
		route      bool
		clusters   []bool
	}{
		{"rule", `{filters: [` + cors + `], backendRefs: [{name: a, port: 80}, {name: b, port: 80}]}`, true, []bool{false, false}},
		{"backend", `{backendRefs: [{name: a, port: 80, filters: [` + cors + `]}]}`, true, nil},
		{"one backend of two", `{backendRefs: [{name: a, port: 80, filters: [` + cors + `]}, {name: b, port: 80}]}`, false, []bool{true, false}},
		{
			"rule, beside headers of a backend", `{filters: [` + cors + `], backendRefs: [{name: a, port: 80, filters: [` + modifier + `]}, {name: missing, port: 80}]}`,
			false, []bool{true, true},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vh, _ := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [`+tt.rule+`]}`)))
			route := vh.Routes[0]
			if _, ok := route.TypedPerFilterConfig[corsFilterName]; ok != tt.route {
				t.Errorf("of the route: %t", ok)
			}
			var clusters []bool
			for _, w := range route.GetRoute().GetWeightedClusters().GetClusters() {
				_, ok := w.TypedPerFilterConfig[corsFilterName]
				clusters = append(clusters, ok)
			}
			if !slices.Equal(clusters, tt.clusters) {
				t.Errorf("of clusters: %v", clusters)
			}
		})
	}
}
