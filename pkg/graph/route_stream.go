package graph

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Routes of streams, which are not read: TLSRoutes, which tell connections apart by server name, TCPRoutes and UDPRoutes.

type (
	tlsRoute gwv1.TLSRoute
	tcpRoute gwv1.TCPRoute
	udpRoute gwv1.UDPRoute
)

func (r *tlsRoute) kind() Kind                      { return KindTLSRoute }
func (r *tlsRoute) object() metav1.Object           { return (*gwv1.TLSRoute)(r) }
func (r *tlsRoute) common() *gwv1.CommonRouteSpec   { return &r.Spec.CommonRouteSpec }
func (r *tlsRoute) hostnames() []gwv1.Hostname      { return r.Spec.Hostnames }
func (r *tlsRoute) warnings() []string              { return nil }
func (r *tlsRoute) sameSpec(other *RouteFacts) bool { return reflect.DeepEqual(r.Spec, other.TLS.Spec) }

func (r *tlsRoute) rules(g *Graph, from Key) []RuleFacts {
	rules := make([]RuleFacts, len(r.Spec.Rules))
	for i := range r.Spec.Rules {
		rules[i] = g.streamRule(from, ruleName(i, r.Spec.Rules[i].Name), r.Spec.Rules[i].BackendRefs)
	}
	return rules
}

func (r *tlsRoute) eachBackendRef(visit func(*gwv1.BackendObjectReference)) {
	for i := range r.Spec.Rules {
		eachOf(r.Spec.Rules[i].BackendRefs, visit)
	}
}

func (r *tcpRoute) kind() Kind                      { return KindTCPRoute }
func (r *tcpRoute) object() metav1.Object           { return (*gwv1.TCPRoute)(r) }
func (r *tcpRoute) common() *gwv1.CommonRouteSpec   { return &r.Spec.CommonRouteSpec }
func (r *tcpRoute) hostnames() []gwv1.Hostname      { return nil }
func (r *tcpRoute) warnings() []string              { return nil }
func (r *tcpRoute) sameSpec(other *RouteFacts) bool { return reflect.DeepEqual(r.Spec, other.TCP.Spec) }

func (r *tcpRoute) rules(g *Graph, from Key) []RuleFacts {
	rules := make([]RuleFacts, len(r.Spec.Rules))
	for i := range r.Spec.Rules {
		rules[i] = g.streamRule(from, ruleName(i, r.Spec.Rules[i].Name), r.Spec.Rules[i].BackendRefs)
	}
	return rules
}

func (r *tcpRoute) eachBackendRef(visit func(*gwv1.BackendObjectReference)) {
	for i := range r.Spec.Rules {
		eachOf(r.Spec.Rules[i].BackendRefs, visit)
	}
}

func (r *udpRoute) kind() Kind                      { return KindUDPRoute }
func (r *udpRoute) object() metav1.Object           { return (*gwv1.UDPRoute)(r) }
func (r *udpRoute) common() *gwv1.CommonRouteSpec   { return &r.Spec.CommonRouteSpec }
func (r *udpRoute) hostnames() []gwv1.Hostname      { return nil }
func (r *udpRoute) warnings() []string              { return nil }
func (r *udpRoute) sameSpec(other *RouteFacts) bool { return reflect.DeepEqual(r.Spec, other.UDP.Spec) }

func (r *udpRoute) rules(g *Graph, from Key) []RuleFacts {
	rules := make([]RuleFacts, len(r.Spec.Rules))
	for i := range r.Spec.Rules {
		rules[i] = g.streamRule(from, ruleName(i, r.Spec.Rules[i].Name), r.Spec.Rules[i].BackendRefs)
	}
	return rules
}

func (r *udpRoute) eachBackendRef(visit func(*gwv1.BackendObjectReference)) {
	for i := range r.Spec.Rules {
		eachOf(r.Spec.Rules[i].BackendRefs, visit)
	}
}

func eachOf(refs []gwv1.BackendRef, visit func(*gwv1.BackendObjectReference)) {
	for i := range refs {
		visit(&refs[i].BackendObjectReference)
	}
}

// streamRule finds what is true of a rule that forwards all that it gets.
func (g *Graph) streamRule(from Key, id ruleID, refs []gwv1.BackendRef) RuleFacts {
	f := RuleFacts{Name: id.name}
	for i := range refs {
		f.Backends = append(f.Backends, g.ruleBackend(from, id, i, &refs[i], nil))
	}
	return f
}
