package router

import (
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
)

// routeMatch is a RouteMatch: the conditions of a route, all of which must hold.
type routeMatch struct {
	path     pathMatch
	headers  []*headerMatch
	query    []*queryMatch
	grpc     bool
	fraction *fraction
}

func newRouteMatch(config *routev3.RouteMatch) (*routeMatch, error) {
	m := &routeMatch{grpc: config.GetGrpc() != nil}
	var err error
	if m.path, err = newPathMatch(config); err != nil {
		return nil, err
	}
	for i, h := range config.GetHeaders() {
		matcher, err := newHeaderMatch(h)
		if err != nil {
			return nil, fmt.Errorf("headers[%d] (%s).%w", i, h.GetName(), err)
		}
		m.headers = append(m.headers, matcher)
	}
	for i, q := range config.GetQueryParameters() {
		matcher, err := newQueryMatch(q)
		if err != nil {
			return nil, fmt.Errorf("query_parameters[%d] (%s).%w", i, q.GetName(), err)
		}
		m.query = append(m.query, matcher)
	}
	if f := config.GetRuntimeFraction(); f != nil {
		m.fraction = newFraction(f.GetDefaultValue())
	}
	return m, nil
}

func (m *routeMatch) matches(r *Request) bool {
	if m.fraction != nil && !m.fraction.has(r.Random) || m.grpc && !r.IsGRPC() || !m.path.matches(pathOnly(r.Path)) {
		return false
	}
	for _, h := range m.headers {
		if !h.matches(r) {
			return false
		}
	}
	if len(m.query) == 0 {
		return true
	}
	parameters := queryParameters(r.Path)
	for _, q := range m.query {
		if !q.matches(parameters) {
			return false
		}
	}
	return true
}

// pathMatch is a condition on the path of a request, without its query.
type pathMatch struct {
	matches stringmatch.Matcher
	// matched is the length of what a prefix_rewrite replaces: of the prefix or path, wherever it ends; -1 is all of the path.
	matched int
}

func newPathMatch(config *routev3.RouteMatch) (pathMatch, error) {
	m := pathMatch{matched: -1}
	pattern := &matcherv3.StringMatcher{IgnoreCase: config.GetCaseSensitive() != nil && !config.GetCaseSensitive().GetValue()}
	var err error
	switch specifier := config.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		pattern.MatchPattern, m.matched = &matcherv3.StringMatcher_Prefix{Prefix: specifier.Prefix}, len(specifier.Prefix)
		m.matches, err = stringmatch.New(pattern)
	case *routev3.RouteMatch_Path:
		pattern.MatchPattern, m.matched = &matcherv3.StringMatcher_Exact{Exact: specifier.Path}, len(specifier.Path)
		m.matches, err = stringmatch.New(pattern)
	case *routev3.RouteMatch_PathSeparatedPrefix:
		pattern.MatchPattern, m.matched = &matcherv3.StringMatcher_Prefix{Prefix: specifier.PathSeparatedPrefix}, len(specifier.PathSeparatedPrefix)
		var starts stringmatch.Matcher
		starts, err = stringmatch.New(pattern)
		m.matches = func(path string) bool { return starts(path) && (len(path) == m.matched || path[m.matched] == '/') }
	case *routev3.RouteMatch_SafeRegex: // to which case_sensitive is nothing
		m.matches, err = stringmatch.Regex(specifier.SafeRegex)
	default:
		err = fmt.Errorf("path_specifier: %T isn't executed", specifier)
	}
	return m, err
}

// split cuts a path, with its query, after what was matched.
func (m pathMatch) split(path string) (matched, rest string) {
	end := m.matched
	if end < 0 {
		end = len(pathOnly(path))
	}
	end = min(end, len(path))
	return path[:end], path[end:]
}

// fraction is a part of all requests.
type fraction struct{ numerator, denominator uint64 }

func newFraction(percent *typev3.FractionalPercent) *fraction {
	denominator := map[typev3.FractionalPercent_DenominatorType]uint64{
		typev3.FractionalPercent_HUNDRED:      100,
		typev3.FractionalPercent_TEN_THOUSAND: 10_000,
		typev3.FractionalPercent_MILLION:      1_000_000,
	}[percent.GetDenominator()]
	return &fraction{numerator: uint64(percent.GetNumerator()), denominator: denominator}
}

// has says whether a request is in the fraction. So a request that is in a fraction is in every larger one of that denominator.
func (f *fraction) has(random uint64) bool { return random%f.denominator < f.numerator }
