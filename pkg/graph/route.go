package graph

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

type routeNode struct {
	facts  *RouteFacts
	placed placement
}

// Route returns what is true of a route, or nil if there is no such route.
func (g *Graph) Route(key Key) *RouteFacts {
	node := g.routes[key]
	if node == nil {
		return nil
	}
	return node.facts
}

// PreviewRoute returns what would be true of route, which is of one of the kinds of routes, if it were written now. Nothing
// changes.
func (g *Graph) PreviewRoute(route metav1.Object) *RouteFacts {
	return g.evalRoute(g.bareRoute(route))
}

// bareRoute returns facts that nothing has been found out for yet but the parents that a route refers to.
func (g *Graph) bareRoute(obj metav1.Object) *RouteFacts {
	f := &RouteFacts{}
	f.set(obj)
	f.Key = Key{f.route().kind(), obj.GetNamespace(), obj.GetName()}
	f.Refs = g.parentRefs(f)
	return f
}

// A kindOfRoute is what the kinds of routes have in common. Each is in a file of its own.
type kindOfRoute interface {
	kind() Kind
	object() metav1.Object
	common() *gwv1.CommonRouteSpec
	hostnames() []gwv1.Hostname
	// rules finds what is true of the rules.
	rules(g *Graph, from origin) []RuleFacts
	// eachBackendRef visits all references to backends, mirrors and others that requests go to.
	eachBackendRef(visit func(*gwv1.BackendObjectReference))
	// warnings name fields of the rules that have no effect, and why.
	warnings() []string
	// sameSpec says whether another route of the kind has the same spec.
	sameSpec(other *RouteFacts) bool
}

func (f *RouteFacts) route() kindOfRoute {
	switch {
	case f.HTTP != nil:
		return (*httpRoute)(f.HTTP)
	case f.GRPC != nil:
		return (*grpcRoute)(f.GRPC)
	case f.TLS != nil:
		return (*tlsRoute)(f.TLS)
	case f.TCP != nil:
		return (*tcpRoute)(f.TCP)
	default:
		return (*udpRoute)(f.UDP)
	}
}

// set puts the route in the field of its kind.
func (f *RouteFacts) set(obj metav1.Object) {
	switch o := obj.(type) {
	case *gwv1.HTTPRoute:
		f.HTTP = o
	case *gwv1.GRPCRoute:
		f.GRPC = o
	case *gwv1.TLSRoute:
		f.TLS = o
	case *gwv1.TCPRoute:
		f.TCP = o
	case *gwv1.UDPRoute:
		f.UDP = o
	}
}

// setRoute takes a route, bare, or nil for a route that is gone.
func (g *Graph) setRoute(key Key, bare *RouteFacts, d *Dirty) {
	d.status(key)
	node := g.routes[key]
	if node != nil && bare != nil && sameRoute(node.facts, bare) {
		facts := *node.facts
		facts.set(bare.object())
		node.facts = &facts
		return
	}
	if node != nil {
		g.indexRoute(node, false)
	}
	if bare == nil {
		g.place(node, placement{}, true, d)
		delete(g.routes, key)
		return
	}
	if node == nil {
		node = &routeNode{}
		g.routes[key] = node
	}
	node.facts = g.evalRoute(bare)
	g.indexRoute(node, true)
	g.place(node, g.placementOf(node.facts), true, d)
}

// sameRoute compares what facts depend on: the spec, and the age for its place among other routes.
func sameRoute(a, b *RouteFacts) bool {
	created := a.object().GetCreationTimestamp()
	if other := b.object().GetCreationTimestamp(); !created.Equal(&other) {
		return false
	}
	return a.route().sameSpec(b)
}

// indexRoute adds or removes the edges from a route to what its facts depend on.
func (g *Graph) indexRoute(n *routeNode, present bool) {
	key := n.facts.Key
	g.routesByNamespace.edit(present, key.Namespace, n)
	g.indexParents(n, present)
	if usesDefaults(n.facts) && present {
		g.defaultRoutes[n] = struct{}{}
	} else {
		delete(g.defaultRoutes, n)
	}
	n.facts.eachBackend(func(target Key) {
		g.routesByBackend.edit(present, target, n)
		if target.Namespace != key.Namespace {
			g.routesAcross.edit(present, crossing{key.Kind, key.Namespace, target.Namespace}, n)
		}
	})
}

// indexParents adds or removes the edges from a route to its parents.
func (g *Graph) indexParents(n *routeNode, present bool) {
	for _, ref := range n.facts.Refs {
		switch target := parentKey(ref, n.facts.Key.Namespace); target.Kind {
		case KindGateway, KindListenerSet:
			g.routesByParent.edit(present, target, n)
		case KindService:
			g.routesByBackend.edit(present, target, n)
		}
	}
}

// refreshRoute looks at a route again after something that its rules refer to has changed.
func (g *Graph) refreshRoute(n *routeNode, d *Dirty) {
	bare := &RouteFacts{Key: n.facts.Key, Refs: n.facts.Refs}
	bare.set(n.facts.object())
	g.replaceRoute(n, g.evalRoute(bare), d)
}

// reattachRoute looks at a route's parents again, after one of them, or what decides about them, has changed.
func (g *Graph) reattachRoute(n *routeNode, d *Dirty) {
	facts := *n.facts
	facts.Parents = g.evalParents(&facts)
	g.replaceRoute(n, &facts, d)
}

func (g *Graph) replaceRoute(n *routeNode, facts *RouteFacts, d *Dirty) {
	served := reflect.DeepEqual(n.facts.Rules, facts.Rules) && reflect.DeepEqual(n.facts.MeshRules, facts.MeshRules)
	if !served || !reflect.DeepEqual(n.facts, facts) {
		n.facts = facts
		d.status(facts.Key)
	}
	g.place(n, g.placementOf(facts), !served, d)
}

func (g *Graph) evalRoute(f *RouteFacts) *RouteFacts {
	f.Rules = f.route().rules(g, origin{Key: f.Key})
	if f.hasServiceParent() && f.readsHTTP() {
		f.MeshRules = f.route().rules(g, origin{Key: f.Key, mesh: true})
		f.findNeedsProxy()
	}
	f.Unresolved = firstUnresolved(f.Rules)
	f.PartiallyInvalid = partiallyInvalid(f.Rules)
	f.Parents = g.evalParents(f)
	f.Warnings = g.routeWarnings(f)
	return f
}

// firstUnresolved summarises ResolvedRefs: "whether the controller was able to resolve all the object references for
// the Route."
func firstUnresolved(rules []RuleFacts) *Problem {
	for i := range rules {
		for b := range rules[i].targets() {
			if b.Problem != nil {
				return b.Problem
			}
		}
	}
	return nil
}

// invalidRules returns what is wrong with the rules that are dropped or failing.
func invalidRules(rules []RuleFacts) []*Problem {
	var problems []*Problem
	for i := range rules {
		if p := firstProblem(rules[i].Dropped, rules[i].Failing); p != nil {
			problems = append(problems, p)
		}
	}
	return problems
}

// partiallyInvalid: "This condition indicates that the Route contains a combination of both valid and invalid rules. ...
// The message for this condition MUST start with the prefix Dropped Rule and include information about which Rules have
// been dropped. ... This condition MUST NOT be set if a Route is fully valid, fully invalid, or not accepted."
func partiallyInvalid(rules []RuleFacts) *Problem {
	problems := invalidRules(rules)
	if len(problems) == 0 || len(problems) == len(rules) {
		return nil
	}
	prefix := "Dropped Rule"
	if len(problems) > 1 {
		prefix = "Dropped Rules"
	}
	message := joinMessages(problems)
	if slices.ContainsFunc(rules, func(r RuleFacts) bool { return r.Dropped == nil && r.Failing != nil }) {
		message += "; requests that match a rule whose filters can't be applied are answered with an error"
	}
	return newProblem(gwv1.RouteReasonUnsupportedValue, "%s: %s", prefix, message)
}

// allRulesInvalid: "A Route MUST be considered Accepted if at least one of the Route's rules is implemented by the
// Gateway"; "If all Route Rules in a Route are invalid, the entire Route would be considered invalid."
func allRulesInvalid(rules []RuleFacts) *Problem {
	problems := invalidRules(rules)
	if len(problems) == 0 || len(problems) < len(rules) {
		return nil
	}
	return newProblem(problems[0].Reason, "no rule can be served: %s", joinMessages(problems))
}

func joinMessages(problems []*Problem) string {
	messages := make([]string, len(problems))
	for i, p := range problems {
		messages[i] = p.Message
	}
	return strings.Join(messages, "; ")
}

// routeWarnings names what is set in the spec and does nothing.
func (g *Graph) routeWarnings(f *RouteFacts) []string {
	warnings := g.defaultsWarnings(f)
	if len(f.route().hostnames()) > 0 {
		for i, ref := range f.Refs {
			if parentKind(ref) == KindService {
				warnings = append(warnings,
					fmt.Sprintf("spec.hostnames has no effect: for spec.parentRefs[%d], because a Service is reached by its own names", i))
			}
		}
	}
	if f.readsHTTP() {
		warnings = append(warnings, matchWarnings(f)...)
	}
	if f.hasServiceParent() && f.readsHTTP() {
		warnings = append(warnings, g.headlessWarnings(f)...)
		warnings = append(warnings, meshWarnings(f)...)
	}
	warnings = append(warnings, f.route().warnings()...)
	return append(warnings, g.unaddressed(f)...)
}

// readsHTTP says whether the route is one of requests, not of streams.
func (f *RouteFacts) readsHTTP() bool { return f.HTTP != nil || f.GRPC != nil }

func (f *RouteFacts) object() metav1.Object { return f.route().object() }

// eachBackend visits the backends that a route refers to, be they there or not, as far as they are of kinds that are supported.
func (f *RouteFacts) eachBackend(visit func(target Key)) {
	f.route().eachBackendRef(func(ref *gwv1.BackendObjectReference) {
		if target, known := backendKey(ref, f.Key.Namespace); known {
			visit(target)
		}
	})
}

// setNamespace follows the labels of a namespace, which decide which routes a listener with a selector allows, and which
// ListenerSets a Gateway.
func (g *Graph) setNamespace(name string, ns *corev1.Namespace, d *Dirty) {
	old := g.namespaces[name]
	put(g.namespaces, name, ns)
	if old != nil && ns != nil && reflect.DeepEqual(old.Labels, ns.Labels) {
		return
	}
	g.refreshListeners(g.setsByNamespace[name], d)
	for route := range g.routesByNamespace[name] {
		if g.isSelected(route.facts) {
			g.reattachRoute(route, d)
		}
	}
}

// isSelected says whether one of the route's parents asks for the labels of the route's namespace.
func (g *Graph) isSelected(f *RouteFacts) bool {
	selects := func(l *ListenerFacts) bool {
		from, _ := routeNamespaces(l)
		return from == gwv1.NamespacesFromSelector
	}
	for i := range f.Parents {
		p := &f.Parents[i]
		if p.Gateway != nil {
			if node := g.gateways[*p.Gateway]; node != nil && slices.ContainsFunc(node.facts.Listeners, selects) {
				return true
			}
		}
		if p.ListenerSet != nil {
			if node := g.listenerSets[*p.ListenerSet]; node != nil && slices.ContainsFunc(node.facts.Listeners, selects) {
				return true
			}
		}
	}
	return false
}
