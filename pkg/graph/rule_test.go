package graph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A ruleTest says what becomes of a rule.
type ruleTest struct {
	name, rule       string
	dropped, failing string // reasons
	field            string // of the problem, in the rule
	warning          string // the field it names
}

func TestHTTPRules(t *testing.T) {
	t.Parallel()
	const us, in = "UnsupportedValue", "IncompatibleFilters"
	tests := []ruleTest{
		{name: "nothing", rule: "{}"},
		{name: "paths", rule: "{matches: [{path: {value: /a}}, {path: {type: Exact, value: '/('}}, {path: {type: RegularExpression, value: '/a+'}}, {path: {type: RegularExpression}}]}"},
		{name: "path regex", rule: "{matches: [{}, {path: {type: RegularExpression, value: '/('}}]}", dropped: us, field: "matches[1].path"},
		{name: "regex of Perl, not RE2", rule: "{matches: [{path: {type: RegularExpression, value: '/(?!a)'}}]}", dropped: us, field: "matches[0].path"},
		{name: "empty path regex", rule: "{matches: [{path: {type: RegularExpression, value: ''}}]}", dropped: us, field: "matches[0].path"},
		{name: "path type", rule: "{matches: [{path: {type: Glob, value: /}}]}", dropped: us, field: "matches[0].path"},
		{name: "headers", rule: "{matches: [{headers: [{name: a, value: '('}, {name: b, type: RegularExpression, value: a+}]}]}"},
		{name: "header regex", rule: "{matches: [{headers: [{name: a, value: b}, {name: b, type: RegularExpression, value: '('}]}]}", dropped: us, field: "matches[0].headers[1]"},
		{name: "header type", rule: "{matches: [{headers: [{name: a, type: Prefix, value: b}]}]}", dropped: us, field: "matches[0].headers[0]"},
		{name: "query regex", rule: "{matches: [{queryParams: [{name: a, type: RegularExpression, value: '('}]}]}", dropped: us, field: "matches[0].queryParams[0]"},
		{name: "query type", rule: "{matches: [{queryParams: [{name: a, type: Prefix, value: b}]}]}", dropped: us, field: "matches[0].queryParams[0]"},
		{name: "header twice", rule: "{matches: [{}, {headers: [{name: a, value: b}, {name: A, type: RegularExpression, value: c}, {name: ab, value: d}]}]}", warning: "matches[1].headers[1]"},
		{name: "header with an underscore", rule: "{matches: [{headers: [{name: a-b, value: b}, {name: a_b, type: RegularExpression, value: c}]}]}", warning: "matches[0].headers[1]"},
		{name: "query twice", rule: "{matches: [{queryParams: [{name: a_b, value: b}, {name: A_b, value: c}, {name: a_b, value: d}]}]}", warning: "matches[0].queryParams[2]"},
		{name: "method", rule: "{matches: [{method: GET}, {method: BREW}]}", dropped: us, field: "matches[1].method"},
		{name: "timeouts", rule: "{timeouts: {request: 10s, backendRequest: 500ms}}"},
		{name: "request timeout", rule: "{timeouts: {request: soon}}", dropped: us, field: "timeouts.request"},
		{name: "backendRequest timeout", rule: "{timeouts: {request: 1s, backendRequest: soon}}", dropped: us, field: "timeouts.backendRequest"},

		{name: "all filters", rule: `{filters: [
			{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [a]}},
			{type: URLRewrite, urlRewrite: {hostname: a.b, path: {type: ReplaceFullPath, replaceFullPath: /}}},
			{type: RequestMirror, requestMirror: {backendRef: {name: s}}}, {type: RequestMirror, requestMirror: {backendRef: {name: s}}}]}`},
		{name: "redirect", rule: "{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 308, path: {type: ReplacePrefixMatch, replacePrefixMatch: /a}}}]}"},
		{name: "redirect with timeouts", rule: "{filters: [{type: RequestRedirect, requestRedirect: {}}], timeouts: {request: 1s}}", warning: "timeouts"},
		{name: "redirect with retries", rule: "{filters: [{type: RequestRedirect, requestRedirect: {}}], retry: {backoff: 1s}}", warning: "retry"},
		{name: "redirect with a session", rule: "{filters: [{type: RequestRedirect, requestRedirect: {}}], sessionPersistence: {absoluteTimeout: 1h}}", warning: "sessionPersistence"},
		{name: "redirect with backends", rule: "{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: s, port: 80}]}", warning: "backendRefs"},
		{name: "redirect scheme", rule: "{filters: [{type: RequestRedirect, requestRedirect: {scheme: ftp}}]}", failing: us, field: "filters[0]"},
		{name: "redirect status", rule: "{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]}", failing: us, field: "filters[0]"},
		{name: "redirect path", rule: "{filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceSome}}}]}", failing: us, field: "filters[0]"},
		{name: "rewrite path", rule: "{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceSome}}}]}", failing: us, field: "filters[0]"},
		{name: "rewrite without a path", rule: "{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath}}}]}", failing: us, field: "filters[0]"},
		{name: "rewrite without a prefix", rule: "{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch}}}]}", failing: us, field: "filters[0]"},
		{name: "rewrite and redirect", rule: "{filters: [{type: URLRewrite, urlRewrite: {}}, {type: RequestRedirect, requestRedirect: {}}]}", failing: in, field: "filters"},
		{name: "ExtensionRef", rule: "{filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: f}}]}", failing: us, field: "filters[0]"},
		{name: "twice", rule: "{filters: [{type: URLRewrite, urlRewrite: {}}, {type: URLRewrite, urlRewrite: {}}]}", failing: in, field: "filters[1]"},
		{name: "without request headers", rule: "{filters: [{type: RequestHeaderModifier}]}", failing: us, field: "filters[0]"},
		{name: "without response headers", rule: "{filters: [{type: ResponseHeaderModifier}]}", failing: us, field: "filters[0]"},
		{name: "without mirror", rule: "{filters: [{type: RequestMirror}]}", failing: us, field: "filters[0]"},
		{name: "without redirect", rule: "{filters: [{type: RequestRedirect}]}", failing: us, field: "filters[0]"},
		{name: "without rewrite", rule: "{filters: [{type: URLRewrite}]}", failing: us, field: "filters[0]"},

		{name: "setting Host", rule: "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: HOST, value: a.b}]}}]}"},
		{name: "setting Host to two lines", rule: `{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Host, value: "a\nb"}]}}]}`, failing: us, field: "filters[0]"},
		{name: "setting Host in a response", rule: "{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: Host, value: a.b}]}}]}", failing: us, field: "filters[0]"},
		{name: "adding Host", rule: "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: Host, value: a.b}]}}]}", failing: us, field: "filters[0]"},
		{name: "removing Host", rule: "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a, Host]}}]}", failing: us, field: "filters[0]"},
		{name: "removing a pseudo header", rule: "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [':path']}}]}", failing: us, field: "filters[0]"},
		{name: "removing nothing", rule: "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: ['']}}]}", failing: us, field: "filters[0]"},
		{name: "adding two lines", rule: `{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: a, value: "b\r\nc: d"}]}}]}`, failing: us, field: "filters[0]"},
		{name: "path of two lines", rule: `{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: "/\n"}}}]}`, failing: us, field: "filters[0]"},
		{name: "prefix of two lines", rule: `{filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: "/\0"}}}]}`, failing: us, field: "filters[0]"},

		{name: "prefixes", rule: "{matches: [{path: {value: /a}}, {}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}"},
		{name: "prefix of an exact match", rule: "{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}",
			dropped: us, field: "filters[0]"},
		{name: "redirected prefix of an exact match", rule: "{matches: [{}, {path: {type: Exact, value: /a}}], filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}",
			dropped: us, field: "filters[0]"},

		{name: "filters of a backend", rule: "{backendRefs: [{name: s, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}, {type: ResponseHeaderModifier, responseHeaderModifier: {}}]}]}"},
		{name: "filter of a backend twice", rule: "{backendRefs: [{name: s, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}, {type: RequestHeaderModifier, requestHeaderModifier: {}}]}]}",
			failing: in, field: "backendRefs[0].filters[1]"},

		{name: "dropped and failing", rule: "{matches: [{method: BREW}], filters: [{type: CORS}]}", warning: "matches", dropped: us, failing: us, field: "matches[0].method"},
		{name: "retry", rule: "{retry: {attempts: 3, codes: [400, 599]}}"},
		{name: "no retries", rule: "{retry: {attempts: 0}}"},
		{name: "fewer than no retries", rule: "{retry: {attempts: -1}}", dropped: us, field: "retry.attempts"},
		{name: "retry of success", rule: "{retry: {codes: [500, 200]}}", dropped: us, field: "retry.codes[1]"},
		{name: "retry of what isn't HTTP", rule: "{retry: {codes: [600]}}", dropped: us, field: "retry.codes[0]"},
		{name: "retry backoff", rule: "{retry: {backoff: 1s}}", warning: "retry.backoff"},
		{name: "no retry backoff", rule: "{retry: {backoff: soon}}", dropped: us, field: "retry.backoff"},
		{name: "session persistence", rule: "{sessionPersistence: {sessionName: s}}"},
		{name: "session persistence without effect", rule: "{sessionPersistence: {absoluteTimeout: 1h}}", warning: "sessionPersistence.absoluteTimeout"},
		{name: "session name", rule: "{sessionPersistence: {sessionName: a b}}", dropped: us, field: "sessionPersistence.sessionName"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			testRule(t, KindHTTPRoute, test)
		})
	}
}

func TestGRPCRules(t *testing.T) {
	t.Parallel()
	const us, in = "UnsupportedValue", "IncompatibleFilters"
	tests := []ruleTest{
		{name: "nothing", rule: "{}"},
		{name: "methods", rule: "{matches: [{method: {service: a.B, method: C}}, {method: {type: RegularExpression, service: 'a\\..*'}}, {}]}"},
		{name: "service regex", rule: "{matches: [{}, {method: {type: RegularExpression, service: '(', method: a}}]}", dropped: us, field: "matches[1].method"},
		{name: "method regex", rule: "{matches: [{method: {type: RegularExpression, service: a, method: '('}}]}", dropped: us, field: "matches[0].method"},
		{name: "method type", rule: "{matches: [{method: {type: Prefix, service: a}}]}", dropped: us, field: "matches[0].method"},
		{name: "header regex", rule: "{matches: [{headers: [{name: a, type: RegularExpression, value: '('}]}]}", dropped: us, field: "matches[0].headers[0]"},
		{name: "header type", rule: "{matches: [{headers: [{name: a, type: Prefix, value: b}]}]}", dropped: us, field: "matches[0].headers[0]"},
		{name: "header twice", rule: "{matches: [{headers: [{name: a, value: b}, {name: A, value: c}]}]}", warning: "matches[0].headers[1]"},
		{name: "header with an underscore", rule: "{matches: [{headers: [{name: a_b, value: c}]}]}", warning: "matches[0].headers[0]"},
		{name: "all filters", rule: `{filters: [
			{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [a]}},
			{type: RequestMirror, requestMirror: {backendRef: {name: s}}}, {type: RequestMirror, requestMirror: {backendRef: {name: s}}}]}`},
		{name: "ExtensionRef", rule: "{filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: f}}]}", failing: us, field: "filters[0]"},
		{name: "twice", rule: "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}, {type: RequestHeaderModifier, requestHeaderModifier: {}}]}", failing: in, field: "filters[1]"},
		{name: "without request headers", rule: "{filters: [{type: RequestHeaderModifier}]}", failing: us, field: "filters[0]"},
		{name: "without response headers", rule: "{filters: [{type: ResponseHeaderModifier}]}", failing: us, field: "filters[0]"},
		{name: "without mirror", rule: "{filters: [{type: RequestMirror}]}", failing: us, field: "filters[0]"},
		{name: "filter of a backend", rule: "{backendRefs: [{name: s, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {}}]}]}"},
		{name: "mirror of a backend", rule: "{backendRefs: [{name: s, filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s}}}, {type: RequestMirror, requestMirror: {backendRef: {name: s}}}]}]}"},
		{name: "mirror of a backend by too much", rule: "{backendRefs: [{name: s}, {name: s, filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s}, percent: 101}}]}]}", failing: us, field: "backendRefs[1].filters[0]"},
		{name: "ExtensionRef of a backend", rule: "{backendRefs: [{name: s, filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: f}}]}]}", failing: us, field: "backendRefs[0].filters[0]"},
		{name: "CORS", rule: "{filters: [{type: CORS}]}", failing: us, field: "filters[0]"},
		{name: "session persistence", rule: "{sessionPersistence: {sessionName: s}}"},
		{name: "session persistence without effect", rule: "{sessionPersistence: {type: Header, absoluteTimeout: 1h}}", warning: "sessionPersistence.absoluteTimeout"},
		{name: "session name", rule: "{sessionPersistence: {sessionName: ''}}", dropped: us, field: "sessionPersistence.sessionName"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			testRule(t, KindGRPCRoute, test)
		})
	}
}

// testRule puts a rule into routes: alone, beside a rule that is valid, and beside it with a name.
func testRule(t *testing.T, kind Kind, test ruleTest) {
	g := graphOf(t, ourClass, `
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: ours, listeners: [{name: http, port: 80, protocol: HTTP}]}
`)
	rule := strings.ReplaceAll(test.rule, "\t", " ")
	named := strings.Replace(strings.Replace(rule, "{", "{name: it, ", 1), "name: it, }", "name: it}", 1)
	apply(t, g, strings.NewReplacer("KIND", string(kind), "NAMED", named, "RULE", rule).Replace(`
kind: KIND
metadata: {name: alone}
spec: {parentRefs: [{name: gw}], rules: [RULE]}
---
kind: KIND
metadata: {name: second}
spec: {parentRefs: [{name: gw}], rules: [{}, RULE]}
---
kind: KIND
metadata: {name: named}
spec: {parentRefs: [{name: gw}], rules: [NAMED, {}]}
`))
	invalid := test.dropped
	if invalid == "" {
		invalid = test.failing
	}
	for _, c := range []struct {
		route                 string
		rule                  int
		prefix                string
		unaccepted, partially string
	}{
		{"alone", 0, "spec.rules[0].", invalid, ""},
		{"second", 1, "spec.rules[1].", "", "UnsupportedValue"},
		{"named", 0, `rule "it" `, "", "UnsupportedValue"},
	} {
		if invalid == "" {
			c.partially = ""
		}
		f := g.Route(key(kind, "default/"+c.route))
		r := f.Rules[c.rule]
		if reason(r.Dropped) != test.dropped || reason(r.Failing) != test.failing {
			t.Errorf("%s: Dropped %+v, Failing %+v; want %q, %q", c.route, r.Dropped, r.Failing, test.dropped, test.failing)
		}
		if reason(f.Parents[0].Unaccepted) != c.unaccepted {
			t.Errorf("%s: Unaccepted %+v, want %q", c.route, f.Parents[0].Unaccepted, c.unaccepted)
		}
		if reason(f.PartiallyInvalid) != c.partially {
			t.Errorf("%s: PartiallyInvalid %+v, want %q", c.route, f.PartiallyInvalid, c.partially)
		}
		if p := f.PartiallyInvalid; p != nil && !strings.HasPrefix(p.Message, "Dropped Rule: "+c.prefix+test.field+": ") {
			t.Errorf("%s: PartiallyInvalid does not name %s: %q", c.route, c.prefix+test.field, p.Message)
		}
		var warnings []string
		for _, w := range f.Warnings {
			field, _, _ := strings.Cut(w, ": ")
			warnings = append(warnings, strings.TrimSuffix(field, " has no effect"))
		}
		var want []string
		if test.warning != "" {
			want = []string{c.prefix + test.warning}
		}
		if diff := cmp.Diff(want, warnings); diff != "" {
			t.Errorf("%s: fields of Warnings (-want +got):\n%s", c.route, diff)
		}
	}
}

func TestInvalidRules(t *testing.T) {
	t.Parallel()
	f := New().PreviewRoute(parseOne[*gwv1.HTTPRoute](t, `
kind: HTTPRoute
metadata: {name: r}
spec:
  rules:
  - {}
  - {name: redirecting, filters: [{type: URLRewrite, urlRewrite: {}}, {type: RequestRedirect, requestRedirect: {}}]}
  - {matches: [{method: BREW}]}
`))
	want := &Problem{"UnsupportedValue", `Dropped Rules: rule "redirecting" filters: RequestRedirect and URLRewrite can't be combined; ` +
		`spec.rules[2].matches[0].method: BREW is not known; requests that match a rule whose filters can't be applied are answered with an error`}
	if diff := cmp.Diff(want, f.PartiallyInvalid); diff != "" {
		t.Errorf("PartiallyInvalid (-want +got):\n%s", diff)
	}
}

func TestRouteWarnings(t *testing.T) {
	t.Parallel()
	f := New().PreviewRoute(parseOne[*gwv1.GRPCRoute](t, `
kind: GRPCRoute
metadata: {name: r}
spec:

  hostnames: [a.example.com]
  parentRefs: [{name: gw}, {group: "", kind: Service, name: s}]
`))
	want := []string{
		"spec.hostnames has no effect: for spec.parentRefs[1], because a Service is reached by its own names",
	}
	if diff := cmp.Diff(want, f.Warnings); diff != "" {
		t.Errorf("Warnings (-want +got):\n%s", diff)
	}
}
