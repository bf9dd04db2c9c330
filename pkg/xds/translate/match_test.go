package translate

import (
	"regexp"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

func TestHTTPMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, match, want string }{
		{"nothing", `{}`, `{prefix: /}`},
		{"prefix by default", `{path: {value: /foo}}`, `{pathSeparatedPrefix: /foo}`},
		{"a trailing slash is ignored", `{path: {type: PathPrefix, value: /foo/}}`, `{pathSeparatedPrefix: /foo}`},
		{"the root", `{path: {type: PathPrefix, value: /}}`, `{prefix: /}`},
		{"exact", `{path: {type: Exact, value: /foo/}}`, `{path: /foo/}`},
		{"exact root", `{path: {type: Exact, value: /}}`, `{path: /}`},
		{"regular expression", `{path: {type: RegularExpression, value: "/v[0-9]+"}}`, `{safeRegex: {regex: "/v[0-9]+"}}`},
		{"method", `{method: PUT}`, `{prefix: /, headers: [{name: ":method", stringMatch: {exact: PUT}}]}`},
		{
			"headers: names have no case, the first of equal ones counts",
			`{headers: [{name: X-A, value: v}, {name: x-b, type: RegularExpression, value: "[ab]"}, {name: x-a, value: w}]}`,
			`{prefix: /, headers: [{name: x-a, stringMatch: {exact: v}}, {name: x-b, stringMatch: {safeRegex: {regex: "[ab]"}}}]}`,
		},
		{
			"query parameters: names have case, the first of equal ones counts",
			`{queryParams: [{name: a, value: v}, {name: A, type: RegularExpression, value: "[ab]"}, {name: a, value: w}]}`,
			`{prefix: /, queryParameters: [{name: a, stringMatch: {exact: v}}, {name: A, stringMatch: {safeRegex: {regex: "[ab]"}}}]}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vh, _ := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [{matches: [`+tt.match+`]}]}`)))
			expect(t, []*routev3.RouteMatch{vh.Routes[0].Match}, `[`+tt.want+`]`)
		})
	}
}

func TestGRPCMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, match, want string }{
		{"nothing", `{}`, `{prefix: /, grpc: {}}`},
		{"service and method", `{method: {service: foo.Bar, method: Do}}`, `{path: /foo.Bar/Do, grpc: {}}`},
		{"service", `{method: {type: Exact, service: foo.Bar}}`, `{prefix: /foo.Bar/, grpc: {}}`},
		{"method", `{method: {method: Do}}`, `{safeRegex: {regex: "/[^/]+/Do"}, grpc: {}}`},
		{"expressions", `{method: {type: RegularExpression, service: "a|b", method: "Do.*"}}`, `{safeRegex: {regex: "/(?:a|b)/(?:Do.*)"}, grpc: {}}`},
		{"expression for the service", `{method: {type: RegularExpression, service: "foo"}}`, `{safeRegex: {regex: "/(?:foo)/[^/]+"}, grpc: {}}`},
		{"expression for the method", `{method: {type: RegularExpression, method: "Do"}}`, `{safeRegex: {regex: "/[^/]+/(?:Do)"}, grpc: {}}`},
		{
			"headers", `{headers: [{name: Version, value: "2"}, {name: version, value: "3"}]}`,
			`{prefix: /, grpc: {}, headers: [{name: version, stringMatch: {exact: "2"}}]}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vh, _ := translated(t, virtualHost("*", grpcRoute(t, "g", `{rules: [{matches: [`+tt.match+`]}]}`)))
			expect(t, []*routev3.RouteMatch{vh.Routes[0].Match}, `[`+tt.want+`]`)
		})
	}
}

// An expression that is valid alone has to stay so between others, and keep its meaning there.
func TestSegmentRegex(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		expression string
		matches    []string
		not        []string
	}{
		{"", []string{"/foo/X"}, []string{"//X", "/a/b/X"}},
		{`a|b`, []string{"/a/X", "/b/X"}, []string{"/a", "/aX"}},
		{`\Qa.b`, []string{"/a.b/X"}, []string{"/a_b/X"}},
		{`\Qa.\E.`, []string{"/a.b/X"}, []string{"/a_b/X"}},
		{`(?i)foo`, []string{"/FOO/X"}, []string{"/foo/x"}},
	} {
		expression := regexp.MustCompile("^(?:/" + segmentRegex(tt.expression) + "/X)$")
		for _, path := range tt.matches {
			if !expression.MatchString(path) {
				t.Errorf("%q: %s doesn't match %s", tt.expression, expression, path)
			}
		}
		for _, path := range tt.not {
			if expression.MatchString(path) {
				t.Errorf("%q: %s matches %s", tt.expression, expression, path)
			}
		}
	}
}
