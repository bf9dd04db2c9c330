package graph

import (
	"fmt"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func (g *Graph) grpcRules(from origin, route *gwv1.GRPCRoute) []RuleFacts {
	rules := make([]RuleFacts, len(route.Spec.Rules))
	for i := range route.Spec.Rules {
		rules[i] = g.grpcRule(from, i, &route.Spec.Rules[i])
	}
	return rules
}

func (g *Graph) grpcRule(from origin, i int, rule *gwv1.GRPCRouteRule) RuleFacts {
	id, filters := ruleName(i, rule.Name), grpcFilters(rule)
	session, invalidSession := ruleSession(id, rule.SessionPersistence)
	f := RuleFacts{
		Name:    id.name,
		Session: session,
		Dropped: firstProblem(unsupportedGRPCMatch(id, rule), invalidSession),
		Failing: filters.invalid(id),
	}
	for j := range rule.BackendRefs {
		f.Backends = append(f.Backends, g.ruleBackend(from, id, j, &rule.BackendRefs[j].BackendRef, session))
	}
	g.resolveFilters(from, id, filters, &f)
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
