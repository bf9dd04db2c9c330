package translate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// Each table lists matches by descending precedence. They are given in reverse, so that a tie would show.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		route   func(testing.TB, string, string) *graph.RouteFacts
		matches []string
	}{
		{"HTTP", httpRoute, []string{
			`{path: {type: Exact, value: /a}, method: GET}`,
			`{path: {type: Exact, value: /a}}`,
			`{path: {type: RegularExpression, value: /longer}, method: GET}`,
			`{path: {type: RegularExpression, value: /longer}}`,
			`{path: {type: RegularExpression, value: /a}}`,
			`{path: {value: /foo/bar}}`,
			`{path: {value: /foo}, method: GET, headers: [{name: a, value: b}]}`,
			`{path: {value: /foo}, method: GET}`,
			`{path: {value: /foo}, headers: [{name: a, value: b}, {name: c, value: d}]}`,
			`{path: {value: /foo/}, headers: [{name: a, value: b}, {name: A, value: d}], queryParams: [{name: a, value: b}]}`,
			`{path: {value: /foo}, headers: [{name: a, value: b}]}`,
			`{path: {value: /foo}, queryParams: [{name: a, value: b}, {name: c, value: d}]}`,
			`{path: {value: /foo}, queryParams: [{name: a, value: b}]}`,
			`{path: {value: /foo}}`,
			`{path: {value: /fo/}}`,
			`{method: GET}`,
			`{headers: [{name: a, value: b}]}`,
			`{}`,
		}},
		{"gRPC", grpcRoute, []string{
			`{method: {service: foo.Longer, method: A}}`,
			`{method: {service: foo.Longer}}`,
			`{method: {service: foo.Bar, method: Longer}}`,
			`{method: {service: foo.Bar, method: A}, headers: [{name: a, value: b}, {name: b, value: b}]}`,
			`{method: {service: foo.Bar, method: A}, headers: [{name: a, value: b}]}`,
			`{method: {service: foo.Bar, method: A}}`,
			`{method: {service: foo.Bar}}`,
			`{method: {method: A}}`,
			`{method: {type: RegularExpression, service: "foo.*", method: A}}`,
			`{method: {type: RegularExpression, service: "foo.*"}}`,
			`{headers: [{name: a, value: b}]}`,
			`{}`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var want, rules []string
			for i, m := range slices.Backward(tt.matches) {
				rules = append(rules, fmt.Sprintf(`{name: r%d, matches: [%s]}`, i, m))
			}
			for i := range tt.matches {
				want = append(want, fmt.Sprintf("r%d", i))
			}
			route := tt.route(t, "x", `{rules: [`+strings.Join(rules, ",")+`]}`)
			vh, _ := translated(t, virtualHost("*", route))
			var got []string
			for _, r := range vh.Routes {
				got = append(got, strings.Split(r.Name, "/")[4])
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestPrecedenceOfRoutes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		domain string
		routes []string // specs, the oldest first; those with "method: {" are of GRPCRoutes
		want   []string // "route/rule/match"
	}{
		{
			name: "ties: the oldest route, then the first rule, then the first match", domain: "*",
			routes: []string{
				`{rules: [{matches: [{path: {value: /a}}, {path: {value: /b}}]}, {matches: [{path: {value: /c}}]}]}`,
				`{rules: [{matches: [{path: {value: /d}}, {path: {value: /a}}]}]}`, // the second one never gets a request
			},
			want: []string{"0/0/0", "0/0/1", "0/1/0", "1/0/0"},
		},
		{
			name: "across routes, the match decides before age", domain: "*",
			routes: []string{`{rules: [{matches: [{path: {value: /}}]}]}`, `{rules: [{matches: [{path: {value: /a}}]}]}`},
			want:   []string{"1/0/0", "0/0/0"},
		},
		{
			name: "a hostname before a wildcard, a longer wildcard before a shorter one, any before none", domain: "a.b.example.com",
			routes: []string{
				`{rules: [{matches: [{path: {type: Exact, value: /other}}]}]}`,
				`{hostnames: ["*.example.com"], rules: [{matches: [{path: {type: Exact, value: /exact}}]}]}`,
				`{hostnames: ["*.other.example.com", "*.B.example.com"], rules: [{matches: [{path: {value: /a/long/prefix}}]}]}`,
				`{hostnames: ["*.com", "A.b.example.com"], rules: [{matches: [{method: GET}]}]}`,
			},
			want: []string{"3/0/0", "2/0/0", "1/0/0", "0/0/0"},
		},
		{
			name: "a wildcard domain", domain: "*.b.example.com",
			routes: []string{`{hostnames: ["*.example.com"], rules: [{}]}`, `{hostnames: ["*.b.example.com"], rules: [{matches: [{method: GET}]}]}`},
			want:   []string{"1/0/0", "0/0/0"},
		},
		{
			name: "GRPCRoutes before HTTPRoutes", domain: "a.example.com",
			routes: []string{
				`{hostnames: [a.example.com], rules: [{matches: [{path: {type: Exact, value: /foo.Bar/Do}}]}]}`,
				`{hostnames: ["*.example.com"], rules: [{matches: [{method: {method: Do}}]}]}`,
			},
			want: []string{"1/0/0", "0/0/0"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var routes []*graph.RouteFacts
			for i, spec := range tt.routes {
				if strings.Contains(spec, "method: {") {
					routes = append(routes, grpcRoute(t, fmt.Sprint(i), spec))
				} else {
					routes = append(routes, httpRoute(t, fmt.Sprint(i), spec))
				}
			}
			vh, _ := translated(t, virtualHost(tt.domain, routes...))
			var got []string
			for _, r := range vh.Routes {
				part := strings.Split(r.Name, "/")
				got = append(got, part[2]+"/"+part[4]+"/"+part[6])
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
