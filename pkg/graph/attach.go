package graph

import (
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// parentKind returns KindGateway, KindListenerSet, KindService, or an empty Kind for a parent that isn't ours to say anything
// about. "When unspecified, gateway.networking.k8s.io is inferred. To set the core API group (such as for a Service kind
// referent), Group must be explicitly set to the empty string."
func parentKind(ref gwv1.ParentReference) Kind {
	group, kind := valueOr(ref.Group, gwv1.GroupName), Kind(valueOr(ref.Kind, gwv1.Kind(KindGateway)))
	switch {
	case group == gwv1.GroupName && (kind == KindGateway || kind == KindListenerSet):
		return kind
	case group == "" && kind == KindService:
		return KindService
	}
	return ""
}

// parentKey returns what a parentRef of an object in a namespace refers to; an empty key if that isn't ours.
func parentKey(ref gwv1.ParentReference, namespace string) Key {
	kind := parentKind(ref)
	if kind == "" {
		return Key{}
	}
	return Key{Kind: kind, Namespace: namespaceOr(ref.Namespace, namespace), Name: string(ref.Name)}
}

// evalParents finds what is true between a route, whose rules are known, and each of its parents. Neither a reference to
// a Gateway nor one to a Service needs a ReferenceGrant: a Gateway allows routes by allowedRoutes, and a route for a Service of
// another namespace is for clients of its own.
func (g *Graph) evalParents(f *RouteFacts) []ParentFacts {
	if len(f.Refs) == 0 {
		return nil
	}
	parents := make([]ParentFacts, len(f.Refs))
	named := len(f.route().common().ParentRefs)
	for i, ref := range f.Refs {
		p := &parents[i]
		p.Ref, p.Default, p.Unresolved = ref, i >= named, f.Unresolved
		switch target := parentKey(ref, f.Key.Namespace); target.Kind {
		case KindGateway:
			g.gatewayParent(f, p, target)
		case KindListenerSet:
			g.listenerSetParent(f, p, target)
		case KindService:
			g.serviceParent(f, p, target.NamespacedName())
		}
	}
	return parents
}

func (g *Graph) gatewayParent(f *RouteFacts, p *ParentFacts, key Key) {
	p.Gateway = new(key.NamespacedName())
	node := g.gateways[*p.Gateway]
	if node == nil {
		p.Missing = true
		p.Unaccepted = newProblem(gwv1.RouteReasonNoMatchingParent, "%s does not exist", key)
		return
	}
	if node.facts == nil {
		return // not looked at yet; the route is attached again when it is
	}
	p.ClassMissing = node.facts.ClassMissing
	if p.Managed = node.facts.Managed; p.Managed {
		g.attachTo(f, p, key, node.facts, node.facts.own())
	}
}

func (g *Graph) listenerSetParent(f *RouteFacts, p *ParentFacts, key Key) {
	p.ListenerSet = new(key.NamespacedName())
	node := g.listenerSets[*p.ListenerSet]
	if node == nil || node.facts.Orphaned && node.facts.Missing.Kind == KindGateway {
		p.Missing = true
		missing := key
		if node != nil {
			missing = node.facts.Missing
		}
		p.Unaccepted = newProblem(gwv1.RouteReasonNoMatchingParent, "%s does not exist", missing)
		return
	}
	p.ClassMissing = node.facts.Orphaned
	if p.Managed = node.facts.Managed; p.Managed {
		g.attachTo(f, p, key, g.gateways[node.facts.Gateway].facts, node.facts.Listeners)
		if len(node.facts.Listeners) == 0 { // it isn't allowed, and so no part of the Gateway
			p.Unaccepted = newProblem(gwv1.RouteReasonNoMatchingParent, "%s is not attached to a Gateway: %s", key, node.facts.Unaccepted.Message)
		}
	}
}

// attachTo attaches a route to the listeners of a parent.
func (g *Graph) attachTo(f *RouteFacts, p *ParentFacts, parent Key, gw *GatewayFacts, listeners []*ListenerFacts) {
	p.Attachments, p.Unaccepted = g.attach(f, p.Ref, parent, gw, listeners)
	if invalid := allRulesInvalid(f.Rules); p.Unaccepted == nil && invalid != nil {
		p.Unaccepted, p.Attachments = invalid, nil
	}
}

// attach finds the listeners of a parent that accept a route: "an attachment is considered successful if at least one
// section in the parent resource accepts it." The reason for none is the last hurdle that any listener got the route to.
//
// Of an HTTPRoute and a GRPCRoute whose hostnames intersect on a listener, v1.6 of the specification wants only the older
// accepted; v1.7 lets both be (GRPCRouteSpec.Hostnames). Both are, so that no route is refused for what others say.
func (g *Graph) attach(f *RouteFacts, ref gwv1.ParentReference, parent Key, gw *GatewayFacts, listeners []*ListenerFacts) ([]Attachment, *Problem) {
	var attachments []Attachment
	var selected, allowed bool
	for _, l := range listeners {
		if !selectsListener(ref, l) {
			continue
		}
		selected = true
		if !allowsKind(l, f.Key.Kind) || !g.allowsNamespace(l, f.Key.Namespace) {
			continue
		}
		allowed = true
		a := Attachment{Listener: l.Key, Gateway: namespacedName(gw.Object)}
		if hasHostname(l.Spec.Protocol) {
			if a.Hostnames = sharedHostnames(f.route().hostnames(), l); len(a.Hostnames) == 0 {
				continue
			}
		}
		attachments = append(attachments, a)
	}
	switch {
	case len(attachments) > 0:
		return attachments, nil
	case !selected:
		return nil, newProblem(gwv1.RouteReasonNoMatchingParent, "%s has no listener with the parentRef's sectionName and port", parent)
	case !allowed:
		return nil, newProblem(gwv1.RouteReasonNotAllowedByListeners,
			"no listener of %s that the parentRef selects allows a %s from namespace %s; see its allowedRoutes", parent, f.Key.Kind, f.Key.Namespace)
	}
	return nil, newProblem(gwv1.RouteReasonNoMatchingListenerHostname,
		"spec.hostnames: none matches the hostname of a listener of %s that allows the route", parent)
}

// selectsListener: "SectionName is ... Listener name. When both Port and SectionName are specified, the name and port of
// the selected listener must match both specified values. ... When unspecified (empty string), this will reference the
// entire resource."
func selectsListener(ref gwv1.ParentReference, l *ListenerFacts) bool {
	return (ref.SectionName == nil || *ref.SectionName == "" || *ref.SectionName == l.Spec.Name) &&
		(ref.Port == nil || *ref.Port == l.Spec.Port)
}

// allowsKind: "Kinds specifies the groups and kinds of Routes that are allowed to bind to this Gateway Listener."
func allowsKind(l *ListenerFacts, kind Kind) bool {
	return slices.ContainsFunc(l.SupportedKinds, func(k gwv1.RouteGroupKind) bool { return Kind(k.Kind) == kind })
}

// allowsNamespace: "All: Routes in all namespaces may be used by this Gateway. Selector: Routes in namespaces selected by
// the selector may be used by this Gateway. Same: Only Routes in the same namespace may be used by this Gateway." What stands
// in a ListenerSet is about the namespace of the ListenerSet.
func (g *Graph) allowsNamespace(l *ListenerFacts, namespace string) bool {
	from, selector := routeNamespaces(l)
	switch from {
	case gwv1.NamespacesFromAll:
		return true
	case gwv1.NamespacesFromSame:
		return namespace == l.Key.Parent.Namespace
	case gwv1.NamespacesFromSelector:
		return g.namespaceMatches(namespace, selector)
	}
	return false
}

// sharedHostnames: "If both the Listener and HTTPRoute have specified hostnames, any HTTPRoute hostnames that do not
// match the Listener hostname MUST be ignored." What is left is the intersection, each domain once.
func sharedHostnames(hostnames []gwv1.Hostname, l *ListenerFacts) []string {
	listener := domain(l.Hostname)
	if len(hostnames) == 0 {
		return []string{listener}
	}
	var shared []string
	for _, h := range hostnames {
		if s, ok := intersect(listener, domain(string(h))); ok && !slices.Contains(shared, s) {
			shared = append(shared, s)
		}
	}
	return shared
}

// acceptedBy returns those of the listeners of a parent that accept a route, each once, by whichever of refs.
func (g *Graph) acceptedBy(gw *GatewayFacts, parent Key, listeners []*ListenerFacts, f *RouteFacts, refs []gwv1.ParentReference) []ListenerKey {
	if allRulesInvalid(f.Rules) != nil {
		return nil
	}
	var accepted []ListenerKey
	for _, ref := range refs {
		if parentKey(ref, f.Key.Namespace) != parent {
			continue
		}
		attachments, _ := g.attach(f, ref, parent, gw, listeners)
		for _, a := range attachments {
			if !slices.Contains(accepted, a.Listener) {
				accepted = append(accepted, a.Listener)
			}
		}
	}
	return accepted
}
