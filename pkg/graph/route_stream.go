package graph

import (
	"fmt"
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

func (r *tlsRoute) kind() Kind                            { return KindTLSRoute }
func (r *tlsRoute) object() metav1.Object                 { return (*gwv1.TLSRoute)(r) }
func (r *tlsRoute) common() *gwv1.CommonRouteSpec         { return &r.Spec.CommonRouteSpec }
func (r *tlsRoute) hostnames() []gwv1.Hostname            { return r.Spec.Hostnames }
func (r *tlsRoute) streamRules() []streamRule             { return streamRulesOf(r.Spec.Rules) }
func (r *tlsRoute) rules(g *Graph, by origin) []RuleFacts { return g.streamRules(by, r.streamRules()) }
func (r *tlsRoute) eachBackendRef(visit visitBackend)     { eachStreamBackend(r.streamRules(), visit) }
func (r *tlsRoute) warnings() []string                    { return unreachedRules(r.kind(), r.streamRules()) }
func (r *tlsRoute) sameSpec(other *RouteFacts) bool       { return reflect.DeepEqual(r.Spec, other.TLS.Spec) }

func (r *tcpRoute) kind() Kind                            { return KindTCPRoute }
func (r *tcpRoute) object() metav1.Object                 { return (*gwv1.TCPRoute)(r) }
func (r *tcpRoute) common() *gwv1.CommonRouteSpec         { return &r.Spec.CommonRouteSpec }
func (r *tcpRoute) hostnames() []gwv1.Hostname            { return nil }
func (r *tcpRoute) streamRules() []streamRule             { return streamRulesOf(r.Spec.Rules) }
func (r *tcpRoute) rules(g *Graph, by origin) []RuleFacts { return g.streamRules(by, r.streamRules()) }
func (r *tcpRoute) eachBackendRef(visit visitBackend)     { eachStreamBackend(r.streamRules(), visit) }
func (r *tcpRoute) warnings() []string                    { return unreachedRules(r.kind(), r.streamRules()) }
func (r *tcpRoute) sameSpec(other *RouteFacts) bool       { return reflect.DeepEqual(r.Spec, other.TCP.Spec) }

func (r *udpRoute) kind() Kind                            { return KindUDPRoute }
func (r *udpRoute) object() metav1.Object                 { return (*gwv1.UDPRoute)(r) }
func (r *udpRoute) common() *gwv1.CommonRouteSpec         { return &r.Spec.CommonRouteSpec }
func (r *udpRoute) hostnames() []gwv1.Hostname            { return nil }
func (r *udpRoute) streamRules() []streamRule             { return streamRulesOf(r.Spec.Rules) }
func (r *udpRoute) rules(g *Graph, by origin) []RuleFacts { return g.streamRules(by, r.streamRules()) }
func (r *udpRoute) eachBackendRef(visit visitBackend)     { eachStreamBackend(r.streamRules(), visit) }
func (r *udpRoute) warnings() []string                    { return unreachedRules(r.kind(), r.streamRules()) }
func (r *udpRoute) sameSpec(other *RouteFacts) bool       { return reflect.DeepEqual(r.Spec, other.UDP.Spec) }

// streamRule is a rule of any of the kinds: theirs have the same fields.
type streamRule gwv1.TCPRouteRule

func streamRulesOf[R gwv1.TLSRouteRule | gwv1.TCPRouteRule | gwv1.UDPRouteRule](rules []R) []streamRule {
	out := make([]streamRule, len(rules))
	for i := range rules {
		out[i] = streamRule(rules[i])
	}
	return out
}

type visitBackend = func(*gwv1.BackendObjectReference)

func eachStreamBackend(rules []streamRule, visit visitBackend) {
	for i := range rules {
		for j := range rules[i].BackendRefs {
			visit(&rules[i].BackendRefs[j].BackendObjectReference)
		}
	}
}

// streamRules finds what is true of rules that forward all that they get. There are no sessions to be kept: what is not read
// has no cookie.
func (g *Graph) streamRules(from origin, rules []streamRule) []RuleFacts {
	facts := make([]RuleFacts, len(rules))
	for i := range rules {
		id := ruleName(i, rules[i].Name)
		facts[i].Name = id.name
		for j := range rules[i].BackendRefs {
			b := g.ruleBackend(from, id, j, &rules[i].BackendRefs[j], nil)
			b.Session = nil
			facts[i].Backends = append(facts[i].Backends, b)
		}
	}
	return facts
}

// unreachedRules: "only one rule may ultimately receive the request" (Listener.AllowedRoutes). The rules of a stream have no
// matches, so that the first takes all. Only v1alpha2 allows more than one.
func unreachedRules(kind Kind, rules []streamRule) []string {
	if len(rules) < 2 {
		return nil
	}
	return []string{fmt.Sprintf("spec.rules[1:] has no effect: the rules of a %s have no matches, so that the first takes everything", kind)}
}
