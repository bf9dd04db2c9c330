package router

import (
	"fmt"
	"net/http"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
)

// headerMatch is a condition on a header.
type headerMatch struct {
	name   string              // as Request.header takes it
	value  stringmatch.Matcher // nil if only the presence counts
	absent bool                // then: whether the header must not be there
	// That a header isn't there fails a match on its value, inverted or not, unless missing headers are taken for empty ones.
	missingIsEmpty bool
	invert         bool
}

func newHeaderMatch(config *routev3.HeaderMatcher) (*headerMatch, error) {
	m := &headerMatch{name: headerName(config.GetName()), missingIsEmpty: config.GetTreatMissingHeaderAsEmpty(), invert: config.GetInvertMatch()}
	var err error
	switch specifier := config.GetHeaderMatchSpecifier().(type) {
	case nil:
	case *routev3.HeaderMatcher_PresentMatch:
		m.absent = !specifier.PresentMatch
	case *routev3.HeaderMatcher_StringMatch:
		m.value, err = stringmatch.New(specifier.StringMatch)
	default:
		return nil, fmt.Errorf("header_match_specifier: %T isn't executed", specifier)
	}
	return m, err
}

func (m *headerMatch) matches(r *Request) bool {
	value, present := r.header(m.name)
	if !present && !m.missingIsEmpty {
		return m.value == nil && m.absent != m.invert
	}
	matched := !m.absent
	if m.value != nil {
		matched = m.value(value)
	}
	return matched != m.invert
}

// headerName returns the form of a header's name that Request.header takes.
func headerName(name string) string {
	if strings.HasPrefix(name, ":") {
		return strings.ToLower(name)
	}
	return http.CanonicalHeaderKey(name)
}

// queryMatch is a condition on a query parameter.
type queryMatch struct {
	name   string
	value  stringmatch.Matcher // nil if only the presence counts
	absent bool                // then: whether the parameter must not be there
}

func newQueryMatch(config *routev3.QueryParameterMatcher) (*queryMatch, error) {
	m := &queryMatch{name: config.GetName()}
	var err error
	switch specifier := config.GetQueryParameterMatchSpecifier().(type) {
	case nil:
	case *routev3.QueryParameterMatcher_PresentMatch:
		m.absent = !specifier.PresentMatch
	case *routev3.QueryParameterMatcher_StringMatch:
		m.value, err = stringmatch.New(specifier.StringMatch)
	default:
		return nil, fmt.Errorf("query_parameter_match_specifier: %T isn't executed", specifier)
	}
	return m, err
}

func (m *queryMatch) matches(parameters map[string]string) bool {
	value, present := parameters[m.name]
	if m.value == nil {
		return present != m.absent
	}
	return present && m.value(value)
}
