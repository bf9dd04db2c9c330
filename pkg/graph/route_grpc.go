package graph

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

type grpcRoute gwv1.GRPCRoute

func (r *grpcRoute) kind() Kind                    { return KindGRPCRoute }
func (r *grpcRoute) object() metav1.Object         { return (*gwv1.GRPCRoute)(r) }
func (r *grpcRoute) common() *gwv1.CommonRouteSpec { return &r.Spec.CommonRouteSpec }
func (r *grpcRoute) hostnames() []gwv1.Hostname    { return r.Spec.Hostnames }
func (r *grpcRoute) rules(g *Graph, from origin) []RuleFacts {
	return g.grpcRules(from, (*gwv1.GRPCRoute)(r))
}
func (r *grpcRoute) sameSpec(other *RouteFacts) bool {
	return reflect.DeepEqual(r.Spec, other.GRPC.Spec)
}

func (r *grpcRoute) eachBackendRef(visit func(*gwv1.BackendObjectReference)) {
	for i := range r.Spec.Rules {
		rule := &r.Spec.Rules[i]
		for j := range rule.BackendRefs {
			visit(&rule.BackendRefs[j].BackendObjectReference)
		}
		grpcFilters(rule).eachBackendRef(visit)
	}
}

func (r *grpcRoute) warnings() []string {
	var warnings []string
	for i := range r.Spec.Rules {
		rule := &r.Spec.Rules[i]
		id := ruleName(i, rule.Name)
		warnings = append(warnings, grpcFilters(rule).warnings(id)...)
		if s := rule.SessionPersistence; s != nil {
			warnings = append(warnings, sessionWarnings(s, id.field)...)
		}
	}
	return warnings
}
