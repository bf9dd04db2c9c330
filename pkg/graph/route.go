package graph

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

type routeNode struct {
	facts  *RouteFacts
	placed placement
}

// Route returns what is true of an HTTPRoute or GRPCRoute, or nil if there is no such route.
func (g *Graph) Route(key Key) *RouteFacts {
	node := g.routes[key]
	if node == nil {
		return nil
	}
	return node.facts
}

// PreviewHTTPRoute returns what would be true of route if it were written now. Nothing changes.
func (g *Graph) PreviewHTTPRoute(route *gwv1.HTTPRoute) *RouteFacts {
	return g.evalRoute(bareHTTPRoute(route))
}

// PreviewGRPCRoute returns what would be true of route if it were written now. Nothing changes.
func (g *Graph) PreviewGRPCRoute(route *gwv1.GRPCRoute) *RouteFacts {
	return g.evalRoute(bareGRPCRoute(route))
}

// bareHTTPRoute returns facts that nothing has been found out for yet.
func bareHTTPRoute(r *gwv1.HTTPRoute) *RouteFacts {
	return &RouteFacts{Key: Key{KindHTTPRoute, r.Namespace, r.Name}, HTTP: r}
}

func bareGRPCRoute(r *gwv1.GRPCRoute) *RouteFacts {
	return &RouteFacts{Key: Key{KindGRPCRoute, r.Namespace, r.Name}, GRPC: r}
}

// setRoute takes a route, bare, or nil for a route that is gone.
func (g *Graph) setRoute(key Key, bare *RouteFacts, d *Dirty) {
	d.status(key)
	node := g.routes[key]
	if node != nil && bare != nil && sameRoute(node.facts, bare) {
		facts := *node.facts
		facts.HTTP, facts.GRPC = bare.HTTP, bare.GRPC
		node.facts = &facts
		return
	}
	if node != nil {
		g.indexRoute(node, false)
	}
	if bare == nil {
		g.place(node, placement{}, false, d)
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
	if a.HTTP != nil {
		return reflect.DeepEqual(a.HTTP.Spec, b.HTTP.Spec)
	}
	return reflect.DeepEqual(a.GRPC.Spec, b.GRPC.Spec)
}

// indexRoute adds or removes the edges from a route to what its facts depend on.
func (g *Graph) indexRoute(n *routeNode, present bool) {
	key := n.facts.Key
	g.routesByNamespace.edit(present, key.Namespace, n)
	for _, ref := range n.facts.parentRefs() {
		target := types.NamespacedName{Namespace: namespaceOr(ref.Namespace, key.Namespace), Name: string(ref.Name)}
		switch parentKind(ref) {
		case KindGateway:
			g.routesByGateway.edit(present, target, n)
		case KindService:
			g.routesByService.edit(present, target, n)
		}
	}
	n.facts.eachBackendRef(func(ref *gwv1.BackendObjectReference) {
		target := types.NamespacedName{Namespace: namespaceOr(ref.Namespace, key.Namespace), Name: string(ref.Name)}
		g.routesByService.edit(present, target, n)
		if target.Namespace != key.Namespace {
			g.routesAcross.edit(present, crossing{key.Kind, key.Namespace, target.Namespace}, n)
		}
	})
}

// refreshRoute looks at a route again after something that its rules refer to has changed.
func (g *Graph) refreshRoute(n *routeNode, d *Dirty) {
	g.replaceRoute(n, g.evalRoute(&RouteFacts{Key: n.facts.Key, HTTP: n.facts.HTTP, GRPC: n.facts.GRPC}), d)
}

// reattachRoute looks at a route's parents again, after one of them, or what decides about them, has changed.
func (g *Graph) reattachRoute(n *routeNode, d *Dirty) {
	facts := *n.facts
	facts.Parents = g.evalParents(&facts)
	g.replaceRoute(n, &facts, d)
}

func (g *Graph) replaceRoute(n *routeNode, facts *RouteFacts, d *Dirty) {
	served := reflect.DeepEqual(n.facts.Rules, facts.Rules)
	if !served || !reflect.DeepEqual(n.facts, facts) {
		n.facts = facts
		d.status(facts.Key)
	}
	g.place(n, g.placementOf(facts), !served, d)
}

func (g *Graph) evalRoute(f *RouteFacts) *RouteFacts {
	if f.HTTP != nil {
		f.Rules = g.httpRules(f.Key, f.HTTP)
	} else {
		f.Rules = g.grpcRules(f.Key, f.GRPC)
	}
	if f.hasServiceParent() {
		f.findNeedsProxy()
	}
	f.Unresolved = firstUnresolved(f.Rules)
	f.PartiallyInvalid = partiallyInvalid(f.Rules)
	f.Parents = g.evalParents(f)
	f.Warnings = routeWarnings(f)
	return f
}

// firstUnresolved summarises ResolvedRefs: "whether the controller was able to resolve all the object references for
// the Route."
func firstUnresolved(rules []RuleFacts) *Problem {
	for _, rule := range rules {
		for _, b := range rule.Backends {
			if b.Problem != nil {
				return b.Problem
			}
		}
		for _, m := range rule.Mirrors {
			if m.Problem != nil {
				return m.Problem
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
func routeWarnings(f *RouteFacts) []string {
	var warnings []string
	warn := func(field, why string) { warnings = append(warnings, field+" has no effect: "+why) }
	if scope := f.common().UseDefaultGateways; scope != "" && scope != gwv1.GatewayDefaultScopeNone {
		warn("spec.useDefaultGateways", "default Gateways are not supported")
	}
	if len(f.hostnames()) > 0 {
		for i, ref := range f.parentRefs() {
			if parentKind(ref) == KindService {
				warn("spec.hostnames", fmt.Sprintf("for spec.parentRefs[%d], because a Service is reached by its own names", i))
			}
		}
	}
	if f.hasServiceParent() {
		warnings = append(warnings, meshWarnings(f)...)
	}
	if f.HTTP != nil {
		for i := range f.HTTP.Spec.Rules {
			rule := &f.HTTP.Spec.Rules[i]
			id := ruleName(i, rule.Name)
			warnings = append(warnings, retryWarnings(id, rule.Retry)...)
			if s := rule.SessionPersistence; s != nil {
				warnings = append(warnings, sessionWarnings(s, id.field)...)
			}
		}
		return warnings
	}
	for i := range f.GRPC.Spec.Rules {
		rule := &f.GRPC.Spec.Rules[i]
		if s := rule.SessionPersistence; s != nil {
			warnings = append(warnings, sessionWarnings(s, ruleName(i, rule.Name).field)...)
		}
	}
	return warnings
}

func (f *RouteFacts) object() metav1.Object {
	if f.HTTP != nil {
		return f.HTTP
	}
	return f.GRPC
}

func (f *RouteFacts) common() *gwv1.CommonRouteSpec {
	if f.HTTP != nil {
		return &f.HTTP.Spec.CommonRouteSpec
	}
	return &f.GRPC.Spec.CommonRouteSpec
}

func (f *RouteFacts) parentRefs() []gwv1.ParentReference { return f.common().ParentRefs }

func (f *RouteFacts) hostnames() []gwv1.Hostname {
	if f.HTTP != nil {
		return f.HTTP.Spec.Hostnames
	}
	return f.GRPC.Spec.Hostnames
}

// eachBackendRef visits the references to Services, of backends and of mirrors.
func (f *RouteFacts) eachBackendRef(visit func(*gwv1.BackendObjectReference)) {
	service := func(ref *gwv1.BackendObjectReference) {
		if isService(ref) {
			visit(ref)
		}
	}
	mirror := func(m *gwv1.HTTPRequestMirrorFilter) {
		if m != nil {
			service(&m.BackendRef)
		}
	}
	if f.HTTP != nil {
		for i := range f.HTTP.Spec.Rules {
			rule := &f.HTTP.Spec.Rules[i]
			for j := range rule.BackendRefs {
				service(&rule.BackendRefs[j].BackendObjectReference)
			}
			for j := range rule.Filters {
				mirror(rule.Filters[j].RequestMirror)
			}
		}
		return
	}
	for i := range f.GRPC.Spec.Rules {
		rule := &f.GRPC.Spec.Rules[i]
		for j := range rule.BackendRefs {
			service(&rule.BackendRefs[j].BackendObjectReference)
		}
		for j := range rule.Filters {
			mirror(rule.Filters[j].RequestMirror)
		}
	}
}

// setNamespace follows the labels of a namespace, which decide which routes a listener with a selector allows.
func (g *Graph) setNamespace(name string, ns *corev1.Namespace, d *Dirty) {
	old := g.namespaces[name]
	put(g.namespaces, name, ns)
	if old != nil && ns != nil && reflect.DeepEqual(old.Labels, ns.Labels) {
		return
	}
	for route := range g.routesByNamespace[name] {
		if g.isSelected(route.facts) {
			g.reattachRoute(route, d)
		}
	}
}

// isSelected says whether one of the route's parents asks for the labels of the route's namespace.
func (g *Graph) isSelected(f *RouteFacts) bool {
	for i := range f.Parents {
		if f.Parents[i].Gateway == nil {
			continue
		}
		node := g.gateways[*f.Parents[i].Gateway]
		if node == nil {
			continue
		}
		for _, l := range node.facts.Listeners {
			if from, _ := routeNamespaces(l); from == gwv1.NamespacesFromSelector {
				return true
			}
		}
	}
	return false
}
