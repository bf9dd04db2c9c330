package graph

import (
	"fmt"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func (g *Graph) grpcRules(from Key, route *gwv1.GRPCRoute) []RuleFacts {
	rules := make([]RuleFacts, len(route.Spec.Rules))
	for i := range route.Spec.Rules {
		rules[i] = g.grpcRule(from, i, &route.Spec.Rules[i])
	}
	return rules
}

func (g *Graph) grpcRule(from Key, i int, rule *gwv1.GRPCRouteRule) RuleFacts {
	id := ruleName(i, rule.Name)
	session, invalidSession := ruleSession(id, rule.SessionPersistence)
	f := RuleFacts{
		Name:    id.name,
		Session: session,
		Dropped: firstProblem(unsupportedGRPCMatch(id, rule), invalidSession),
		Failing: firstProblem(unsupportedGRPCFilter(id, rule), unsupportedGRPCBackendFilter(id, rule)),
	}
	for j := range rule.BackendRefs {
		f.Backends = append(f.Backends, g.ruleBackend(from, id, j, &rule.BackendRefs[j].BackendRef, session))
	}
	for j := range rule.Filters {
		if mirror := rule.Filters[j].RequestMirror; mirror != nil {
			f.Mirrors = append(f.Mirrors, g.ruleMirror(from, id, j, mirror))
		}
	}
	return f
}

// unsupportedGRPCMatch finds a match that can't be expressed: one of an unknown type, or with an invalid regular
// expression. The rule is dropped, for what it would match isn't known.
func unsupportedGRPCMatch(id ruleID, rule *gwv1.GRPCRouteRule) *Problem {
	for i := range rule.Matches {
		m := &rule.Matches[i]
		if m.Method != nil {
			if p := invalidMatchType(m.Method.Type, valueOr(m.Method.Service, ""), valueOr(m.Method.Method, "")); p != nil {
				return p.in(id.field(fmt.Sprintf("matches[%d].method", i)))
			}
		}
		for j := range m.Headers {
			if p := invalidMatchType(m.Headers[j].Type, m.Headers[j].Value); p != nil {
				return p.in(id.field(fmt.Sprintf("matches[%d].headers[%d]", i, j)))
			}
		}
	}
	return nil
}

// unsupportedGRPCFilter: "Unknown values here must result in the implementation setting the Accepted Condition for the
// Route to status: False, with a Reason of UnsupportedValue" (GRPCRouteFilter.Type).
func unsupportedGRPCFilter(id ruleID, rule *gwv1.GRPCRouteRule) *Problem {
	seen := map[gwv1.GRPCRouteFilterType]int{}
	for i := range rule.Filters {
		f := &rule.Filters[i]
		p := grpcFilter(f)
		if p == nil && f.Type != gwv1.GRPCRouteFilterRequestMirror {
			p = repeatedFilter(seen, f.Type, i)
		}
		if p != nil {
			return p.in(id.field(fmt.Sprintf("filters[%d]", i)))
		}
	}
	return nil
}

func grpcFilter(f *gwv1.GRPCRouteFilter) *Problem {
	switch f.Type {
	case gwv1.GRPCRouteFilterRequestHeaderModifier:
		if f.RequestHeaderModifier == nil {
			return filterWithoutConfig("requestHeaderModifier")
		}
		return unsupportedHeaders(f.RequestHeaderModifier, true)
	case gwv1.GRPCRouteFilterResponseHeaderModifier:
		if f.ResponseHeaderModifier == nil {
			return filterWithoutConfig("responseHeaderModifier")
		}
		return unsupportedHeaders(f.ResponseHeaderModifier, false)
	case gwv1.GRPCRouteFilterRequestMirror:
		if f.RequestMirror == nil {
			return filterWithoutConfig("requestMirror")
		}
	default:
		return unsupportedFilter(f.Type, gwv1.GRPCRouteFilterRequestHeaderModifier, gwv1.GRPCRouteFilterResponseHeaderModifier,
			gwv1.GRPCRouteFilterRequestMirror)
	}
	return nil
}

// unsupportedGRPCBackendFilter: "Filters defined at this level MUST be executed if and only if the request is being
// forwarded to the backend defined here." Of these, header modifiers are supported.
func unsupportedGRPCBackendFilter(id ruleID, rule *gwv1.GRPCRouteRule) *Problem {
	for i := range rule.BackendRefs {
		seen := map[gwv1.GRPCRouteFilterType]int{}
		for j := range rule.BackendRefs[i].Filters {
			f := &rule.BackendRefs[i].Filters[j]
			var p *Problem
			switch f.Type {
			case gwv1.GRPCRouteFilterRequestHeaderModifier, gwv1.GRPCRouteFilterResponseHeaderModifier:
				p = firstProblem(grpcFilter(f), repeatedFilter(seen, f.Type, j))
			default:
				p = unsupportedFilter(f.Type, gwv1.GRPCRouteFilterRequestHeaderModifier, gwv1.GRPCRouteFilterResponseHeaderModifier)
			}
			if p != nil {
				return p.in(id.field(fmt.Sprintf("backendRefs[%d].filters[%d]", i, j)))
			}
		}
	}
	return nil
}
