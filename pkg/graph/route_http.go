package graph

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

type httpRoute gwv1.HTTPRoute

func (r *httpRoute) kind() Kind                    { return KindHTTPRoute }
func (r *httpRoute) object() metav1.Object         { return (*gwv1.HTTPRoute)(r) }
func (r *httpRoute) common() *gwv1.CommonRouteSpec { return &r.Spec.CommonRouteSpec }
func (r *httpRoute) hostnames() []gwv1.Hostname    { return r.Spec.Hostnames }
func (r *httpRoute) rules(g *Graph, from origin) []RuleFacts {
	return g.httpRules(from, (*gwv1.HTTPRoute)(r))
}
func (r *httpRoute) sameSpec(other *RouteFacts) bool {
	return reflect.DeepEqual(r.Spec, other.HTTP.Spec)
}

func (r *httpRoute) eachBackendRef(visit func(*gwv1.BackendObjectReference)) {
	for i := range r.Spec.Rules {
		rule := &r.Spec.Rules[i]
		for j := range rule.BackendRefs {
			visit(&rule.BackendRefs[j].BackendObjectReference)
		}
		httpFilters(rule).eachBackendRef(visit)
	}
}

func (r *httpRoute) warnings() []string {
	var warnings []string
	for i := range r.Spec.Rules {
		rule := &r.Spec.Rules[i]
		id, filters := ruleName(i, rule.Name), httpFilters(rule)
		warnings = append(warnings, filters.warnings(id)...)
		warnings = append(warnings, filters.redirectWarnings(id)...)
		warnings = append(warnings, preflightWarnings(id, rule, filters)...)
		if has(rule.Filters, gwv1.HTTPRouteFilterRequestRedirect) {
			warnings = append(warnings, neverForwarded(id, rule)...)
			continue
		}
		warnings = append(warnings, retryWarnings(id, rule.Retry)...)
		if s := rule.SessionPersistence; s != nil {
			warnings = append(warnings, sessionWarnings(s, id.field)...)
		}
	}
	return warnings
}
