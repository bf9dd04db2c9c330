package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// match is a match of a rule: what must hold of a request, all of it.
type match struct {
	path       pathMatch
	method     string       // the HTTP method, or empty for any
	headers    []valueMatch // names are unique and in lower case
	query      []valueMatch // names are unique
	grpc       bool
	precedence precedence
}

// pathForm says how a path is compared.
type pathForm int

const (
	// pathSegments: the path is the value or goes on with a slash. The empty value matches every path.
	pathSegments pathForm = iota
	// pathPrefix: the path starts with the value, wherever that ends.
	pathPrefix
	// pathExact: the path is the value.
	pathExact
	// pathRegex: the value, an RE2 expression, matches the whole path.
	pathRegex
)

type pathMatch struct {
	form  pathForm
	value string
}

// valueMatch is a condition on a header or a query parameter.
type valueMatch struct {
	name, value string
	regex       bool // the value is an RE2 expression that matches the whole value
}

// firstOfEach leaves out the conditions whose name came before. "If multiple entries specify equivalent header names,
// only the first entry with an equivalent name MUST be considered for a match."
func firstOfEach(conditions []valueMatch) []valueMatch {
	var out []valueMatch
	seen := map[string]bool{}
	for _, c := range conditions {
		if !seen[c.name] {
			seen[c.name] = true
			out = append(out, c)
		}
	}
	return out
}

// envoy returns a match of the path alone, in the form that Envoy takes.
func (p pathMatch) envoy() *routev3.RouteMatch {
	out := &routev3.RouteMatch{}
	switch p.form {
	case pathSegments:
		if p.value == "" {
			out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
		} else {
			out.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: p.value}
		}
	case pathPrefix:
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: p.value}
	case pathExact:
		out.PathSpecifier = &routev3.RouteMatch_Path{Path: p.value}
	case pathRegex:
		out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: regex(p.value)}
	}
	return out
}

// apart returns two matches that together are one of path elements, below the root: the element itself, and what is under it.
func (p pathMatch) apart() []pathMatch {
	return []pathMatch{{form: pathExact, value: p.value}, {form: pathPrefix, value: p.value + "/"}}
}

// envoy returns the match in the form that Envoy takes, with a path in place of its own (see changePath).
func (m *match) envoy(path pathMatch) *routev3.RouteMatch {
	out := path.envoy()
	if m.method != "" {
		out.Headers = append(out.Headers, headerMatcher(valueMatch{name: ":method", value: m.method}))
	}
	for _, h := range m.headers {
		out.Headers = append(out.Headers, headerMatcher(h))
	}
	for _, q := range m.query {
		out.QueryParameters = append(out.QueryParameters, &routev3.QueryParameterMatcher{
			Name:                         q.name,
			QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{StringMatch: stringMatcher(q)},
		})
	}
	if m.grpc {
		// HTTPRoutes and GRPCRoutes may share a virtual host: a GRPCRoute takes only requests with a gRPC content type.
		out.Grpc = &routev3.RouteMatch_GrpcRouteMatchOptions{}
	}
	return out
}

func headerMatcher(h valueMatch) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name:                 h.name,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: stringMatcher(h)},
	}
}

func stringMatcher(c valueMatch) *matcherv3.StringMatcher {
	if c.regex {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(c.value)}}
	}
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: c.value}}
}

func regex(expression string) *matcherv3.RegexMatcher {
	return &matcherv3.RegexMatcher{Regex: expression}
}
