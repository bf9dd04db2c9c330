package graph

import (
	"fmt"
	"slices"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var httpMethods = []gwv1.HTTPMethod{
	gwv1.HTTPMethodGet, gwv1.HTTPMethodHead, gwv1.HTTPMethodPost, gwv1.HTTPMethodPut, gwv1.HTTPMethodDelete,
	gwv1.HTTPMethodConnect, gwv1.HTTPMethodOptions, gwv1.HTTPMethodTrace, gwv1.HTTPMethodPatch,
}

func (g *Graph) httpRules(from origin, route *gwv1.HTTPRoute) []RuleFacts {
	rules := make([]RuleFacts, len(route.Spec.Rules))
	for i := range route.Spec.Rules {
		rules[i] = g.httpRule(from, i, &route.Spec.Rules[i])
	}
	return rules
}

func (g *Graph) httpRule(from origin, i int, rule *gwv1.HTTPRouteRule) RuleFacts {
	id, filters := ruleName(i, rule.Name), httpFilters(rule)
	session, invalidSession := ruleSession(id, rule.SessionPersistence)
	f := RuleFacts{
		Name:    id.name,
		Session: session,
		Dropped: firstProblem(unsupportedHTTPMatch(id, rule), invalidTimeout(id, rule), invalidRetry(id, rule.Retry), invalidSession,
			prefixNotMatched(id, rule)),
		Failing: filters.invalid(id),
	}
	for j := range rule.BackendRefs {
		f.Backends = append(f.Backends, g.ruleBackend(from, id, j, &rule.BackendRefs[j].BackendRef, session))
	}
	g.resolveFilters(from, id, filters, &f)
	return f
}

// unsupportedHTTPMatch finds a match that can't be expressed: one of an unknown type, or with an invalid regular
// expression. The rule is dropped, for what it would match isn't known.
func unsupportedHTTPMatch(id ruleID, rule *gwv1.HTTPRouteRule) *Problem {
	for i := range rule.Matches {
		m := &rule.Matches[i]
		in := func(p *Problem, format string, args ...any) *Problem {
			return p.in(id.field(fmt.Sprintf("matches[%d].", i) + fmt.Sprintf(format, args...)))
		}
		if p := invalidPath(m.Path); p != nil {
			return in(p, "path")
		}
		for j := range m.Headers {
			if p := invalidMatchType(m.Headers[j].Type, m.Headers[j].Value); p != nil {
				return in(p, "headers[%d]", j)
			}
		}
		for j := range m.QueryParams {
			if p := invalidMatchType(m.QueryParams[j].Type, m.QueryParams[j].Value); p != nil {
				return in(p, "queryParams[%d]", j)
			}
		}
		if m.Method != nil && !slices.Contains(httpMethods, *m.Method) {
			return in(unsupportedValue("%s is not known", *m.Method), "method")
		}
	}
	return nil
}

// invalidPath: "Unknown values here must result in the implementation setting the Accepted Condition for the Route to
// status: False, with a Reason of UnsupportedValue" (PathMatchType). Envoy refuses an empty regular expression.
func invalidPath(path *gwv1.HTTPPathMatch) *Problem {
	if path == nil {
		return nil
	}
	switch t := valueOr(path.Type, gwv1.PathMatchPathPrefix); t {
	case gwv1.PathMatchExact, gwv1.PathMatchPathPrefix:
		return nil
	case gwv1.PathMatchRegularExpression:
		if path.Value != nil && *path.Value == "" {
			return unsupportedValue("the regular expression is empty")
		}
		return invalidRegex(valueOr(path.Value, "/"))
	default:
		return unsupportedValue("type %s is not known", t)
	}
}

// invalidTimeout: "The value of Request is a Gateway API Duration string as defined by GEP-2257", a subset of Go's
// durations.
func invalidTimeout(id ruleID, rule *gwv1.HTTPRouteRule) *Problem {
	if rule.Timeouts == nil {
		return nil
	}
	check := func(field string, value *gwv1.Duration) *Problem {
		if value == nil {
			return nil
		}
		if _, err := time.ParseDuration(string(*value)); err != nil {
			return unsupportedValue("%q is not a duration", *value).in(id.field("timeouts." + field))
		}
		return nil
	}
	return firstProblem(check("request", rule.Timeouts.Request), check("backendRequest", rule.Timeouts.BackendRequest))
}
