package router

import (
	"testing"
)

// TestMatch asks of each request whether a match has it. The first half of the cases re-expresses what Envoy's
// test/common/router/config_impl_test.cc and test/common/http/header_utility_test.cc fix.
func TestMatch(t *testing.T) {
	t.Parallel()
	const get = "GET http://a.test"
	type requests []*Request
	for _, tt := range []struct {
		name, match string
		yes, no     requests
	}{
		{
			"prefix", `{prefix: /shop}`,
			requests{request(get + "/shop"), request(get + "/shopping"), request(get + "/shop/1?x=/"), request(get + "/shop?q"), request(get + "/shop#f")},
			requests{request(get + "/sho"), request(get + "/SHOP"), request(get + "/a/shop"), request(get + "/sho?/shop")},
		},
		{"empty prefix", `{prefix: ""}`, requests{request(get), request(get + "/x")}, nil},
		{"prefix, any case", `{prefix: /Shop, case_sensitive: false}`, requests{request(get + "/sHOPping")}, requests{request(get + "/sho")}},
		{
			"path", `{path: /shop}`,
			requests{request(get + "/shop"), request(get + "/shop?q=1"), request(get + "/shop#f?q=1")},
			requests{request(get + "/shop/"), request(get + "/Shop"), request(get + "/shop;env=x"), request(get + "/shoq?/shop")},
		},
		{"path, any case", `{path: /Shop, case_sensitive: false}`, requests{request(get + "/sHOP?x")}, requests{request(get + "/shops")}},
		{"path, case sensitive", `{path: /Shop, case_sensitive: true}`, requests{request(get + "/Shop")}, requests{request(get + "/shop")}},
		{
			"path elements", `{path_separated_prefix: /rest/api}`,
			requests{request(get + "/rest/api"), request(get + "/rest/api?x=1"), request(get + "/rest/api#f"), request(get + "/rest/api/"), request(get + "/rest/api/v1?x")},
			requests{request(get + "/rest/apis"), request(get + "/rest/ap"), request(get + "/rest/API"), request(get + "/rest?/rest/api")},
		},
		{
			"path elements, any case", `{path_separated_prefix: /rest/API, case_sensitive: false}`,
			requests{request(get + "/REST/api/x")}, requests{request(get + "/REST/apix")},
		},
		{
			"expression", `{safe_regex: {regex: "/t[io]c"}}`,
			requests{request(get + "/tic"), request(get + "/toc?tac=true"), request(get + "/tic#f")},
			requests{request(get + "/tac?tic"), request(get + "/tick"), request(get + "/a/tic"), request(get + "/tic/toc"), request(get)},
		},
		{"expression: the longest match counts", `{safe_regex: {regex: "/a|/ab"}}`, requests{request(get + "/a"), request(get + "/ab")}, requests{request(get + "/abc")}},
		{"expression: all of quoted text", `{safe_regex: {regex: '/\Qa.b'}}`, requests{request(get + "/a.b")}, requests{request(get + "/a_b"), request(get + "/a.b/")}},
		{"expression for everything", `{safe_regex: {regex: ".*"}}`, requests{request(get), request(get + "/x/y?z")}, nil},

		{
			"header", `{prefix: "", headers: [{name: X-Color, string_match: {exact: red}}]}`,
			requests{request(get+"/", "x-color: red")},
			requests{request(get + "/"), request(get+"/", "x-color: Red"), request(get+"/", "x-color: red", "x-color: red"), request(get+"/", "y-color: red")},
		},
		{
			"all headers", `{prefix: "", headers: [{name: a, string_match: {exact: "1"}}, {name: b, string_match: {exact: "2"}}]}`,
			requests{request(get+"/", "a: 1", "b: 2")}, requests{request(get+"/", "a: 1"), request(get+"/", "b: 2")},
		},
		{
			"header with several lines", `{prefix: "", headers: [{name: a, string_match: {exact: "1,2"}}]}`,
			requests{request(get+"/", "a: 1", "a: 2"), request(get+"/", "a: 1,2")}, requests{request(get+"/", "a: 2", "a: 1"), request(get+"/", "a: 1, 2")},
		},
		{
			"header, any case", `{prefix: "", headers: [{name: a, string_match: {exact: RED, ignore_case: true}}]}`,
			requests{request(get+"/", "a: rEd")}, requests{request(get+"/", "a: reds")},
		},
		{
			"header prefix", `{prefix: "", headers: [{name: a, string_match: {prefix: re}}]}`,
			requests{request(get+"/", "a: red")}, requests{request(get+"/", "a: bred"), request(get + "/")},
		},
		{
			"header suffix, any case", `{prefix: "", headers: [{name: a, string_match: {suffix: ED, ignore_case: true}}]}`,
			requests{request(get+"/", "a: red")}, requests{request(get+"/", "a: redder")},
		},
		{
			"header contains", `{prefix: "", headers: [{name: a, string_match: {contains: "+e("}}]}`,
			requests{request(get+"/", "a: r+e(d")}, requests{request(get+"/", "a: red")},
		},
		{
			"header expression", `{prefix: "", headers: [{name: a, string_match: {safe_regex: {regex: 'user=\d+'}}}]}`,
			requests{request(get+"/", "a: user=12")}, requests{request(get+"/", "a: user=12x"), request(get+"/", "a: user="), request(get + "/")},
		},
		{
			"header is there", `{prefix: "", headers: [{name: a, present_match: true}, {name: b}]}`,
			requests{request(get+"/", "a: 1", "b: "), request(get+"/", "A: ", "B: 2")}, requests{request(get+"/", "a: 1"), request(get + "/")},
		},
		{"header isn't there", `{prefix: "", headers: [{name: a, present_match: false}]}`, requests{request(get + "/")}, requests{request(get+"/", "a: ")}},
		{
			"header isn't there, inverted", `{prefix: "", headers: [{name: a, present_match: true, invert_match: true}]}`,
			requests{request(get + "/")}, requests{request(get+"/", "a: 1")},
		},
		{
			"header isn't absent", `{prefix: "", headers: [{name: a, present_match: false, invert_match: true}]}`,
			requests{request(get+"/", "a: 1")}, requests{request(get + "/")},
		},
		{
			"header is another: there must be one", `{prefix: "", headers: [{name: a, string_match: {exact: "1"}, invert_match: true}]}`,
			requests{request(get+"/", "a: 2"), request(get+"/", "a: ")}, requests{request(get+"/", "a: 1"), request(get + "/")},
		},
		{
			"missing headers are empty", `{prefix: "", headers: [{name: a, string_match: {exact: "1"}, invert_match: true, treat_missing_header_as_empty: true}]}`,
			requests{request(get + "/"), request(get+"/", "a: 2")}, requests{request(get+"/", "a: 1")},
		},
		{
			"missing headers are empty, and there", `{prefix: "", headers: [{name: a, present_match: true, treat_missing_header_as_empty: true}]}`,
			requests{request(get + "/"), request(get+"/", "a: 2")}, nil,
		},

		{"method", `{prefix: "", headers: [{name: ":method", string_match: {exact: PUT}}]}`, requests{request("PUT http://a.test/")}, requests{request(get + "/")}},
		{
			"authority", `{prefix: "", headers: [{name: ":authority", string_match: {exact: "a.test:80"}}, {name: host, string_match: {prefix: a}}]}`,
			requests{request("GET http://a.test:80/")}, requests{request(get + "/"), request(get+"/", "Host: a.test:80")},
		},
		{"path and query", `{prefix: "", headers: [{name: ":path", string_match: {exact: "/a?b"}}]}`, requests{request(get + "/a?b")}, requests{request(get + "/a")}},
		{"scheme", `{prefix: "", headers: [{name: ":scheme", string_match: {exact: https}}]}`, requests{request("GET https://a.test/")}, requests{request(get + "/")}},
		{"another pseudo header", `{prefix: "", headers: [{name: ":protocol", present_match: true}]}`, nil, requests{request(get + "/")}},

		{
			"query parameter", `{prefix: /, query_parameters: [{name: a, string_match: {exact: "1"}}]}`,
			requests{request(get + "/?a=1"), request(get + "/?b=&a=1&c"), request(get + "/?a=1&a=2")},
			requests{request(get + "/"), request(get + "/?"), request(get + "/?A=1"), request(get + "/?a=2&a=1"), request(get + "/?a"), request(get + "/?a=1#f")},
		},
		{
			"query parameter is there", `{prefix: /, query_parameters: [{name: a}, {name: b, present_match: true}]}`,
			requests{request(get + "/?a&b"), request(get + "/?b=2&a=1"), request(get + "/?a=&b=")}, requests{request(get + "/?a"), request(get + "/?b"), request(get + "/?ab")},
		},
		{"query parameter isn't there", `{prefix: /, query_parameters: [{name: a, present_match: false}]}`, requests{request(get + "/?b"), request(get + "/")}, requests{request(get + "/?a")}},
		{
			"query parameter expression", `{prefix: /, query_parameters: [{name: id, string_match: {safe_regex: {regex: '\d+[02468]'}}}]}`,
			requests{request(get + "/?id=12"), request(get + "/?param=x&debug&id=02")}, requests{request(get + "/?id=2"), request(get + "/?id=13")},
		},
		{"query parameters are compared as they are written", `{prefix: /, query_parameters: [{name: a, string_match: {exact: "b c"}}]}`, nil, requests{request(get + "/?a=b%20c"), request(get + "/?a=b+c")}},
		{"a value may have an equals sign", `{prefix: /, query_parameters: [{name: a, string_match: {exact: "b=c"}}]}`, requests{request(get + "/?a=b=c")}, nil},

		{
			"gRPC", `{prefix: "", grpc: {}}`,
			requests{request(get+"/", "content-type: application/grpc"), request(get+"/", "content-type: application/grpc+proto")},
			requests{request(get + "/"), request(get+"/", "content-type: application/grpc-web"), request(get+"/", "content-type: text/plain"), request(get+"/", "content-type: application/grpc; x=y")},
		},
		{
			"everything", `{path: /a, grpc: {}, headers: [{name: b}], query_parameters: [{name: c}]}`,
			requests{request(get+"/a?c", "content-type: application/grpc", "b: ")},
			requests{
				request(get+"/?c", "content-type: application/grpc", "b: "), request(get+"/a?c", "b: "),
				request(get+"/a?c", "content-type: application/grpc"), request(get+"/a", "content-type: application/grpc", "b: "),
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table := compiled(t, withRoutes(`[{name: it, match: `+tt.match+`, direct_response: {status: 200}}]`))
			for _, r := range tt.yes {
				if routeName(table, r) != "it" {
					t.Errorf("%s doesn't have %+v", tt.match, r)
				}
			}
			for _, r := range tt.no {
				if routeName(table, r) != "" {
					t.Errorf("%s has %+v", tt.match, r)
				}
			}
		})
	}
}

// The first route that matches is taken, however little it says.
func TestRouteOrder(t *testing.T) {
	t.Parallel()
	table := compiled(t, withRoutes(`
  - {name: put, match: {prefix: /a, headers: [{name: ":method", string_match: {exact: PUT}}]}, direct_response: {status: 200}}
  - {name: short, match: {prefix: /a}, direct_response: {status: 200}}
  - {name: long, match: {prefix: /a/b}, direct_response: {status: 200}}
  - {name: exact, match: {path: /c}, direct_response: {status: 200}}
`))
	for line, want := range map[string]string{
		"PUT http://x.test/a/b": "put", "GET http://x.test/a/b": "short", "GET http://x.test/c": "exact", "GET http://x.test/d": "",
	} {
		if got := routeName(table, request(line)); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

func TestRuntimeFraction(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fraction string
		random   uint64
		want     string
	}{
		{`{numerator: 50, denominator: MILLION}`, 49, "some"},
		{`{numerator: 50, denominator: MILLION}`, 50, "rest"},
		{`{numerator: 50, denominator: MILLION}`, 1_000_049, "some"},
		{`{numerator: 25}`, 124, "some"},
		{`{numerator: 25}`, 125, "rest"},
		{`{numerator: 1, denominator: TEN_THOUSAND}`, 100, "rest"},
		{`{numerator: 1, denominator: TEN_THOUSAND}`, 20_000, "some"},
		{`{}`, 0, "rest"},
		{`{numerator: 100}`, 99, "some"},
	} {
		table := compiled(t, withRoutes(`
  - {name: some, match: {prefix: /, runtime_fraction: {default_value: `+tt.fraction+`}}, direct_response: {status: 200}}
  - {name: rest, match: {prefix: /}, direct_response: {status: 200}}
`))
		r := request("GET http://a.test/")
		r.Random = tt.random
		if got := routeName(table, r); got != tt.want {
			t.Errorf("%s of %d: got %q, want %q", tt.fraction, tt.random, got, tt.want)
		}
	}
}
