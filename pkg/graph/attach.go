package graph

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// parentKind returns KindGateway, KindService, or an empty Kind for a parent that isn't ours to say anything about.
// "When unspecified, gateway.networking.k8s.io is inferred. To set the core API group (such as for a Service kind
// referent), Group must be explicitly set to the empty string."
func parentKind(ref gwv1.ParentReference) Kind {
	group, kind := valueOr(ref.Group, gwv1.GroupName), Kind(valueOr(ref.Kind, gwv1.Kind(KindGateway)))
	switch {
	case group == gwv1.GroupName && kind == KindGateway:
		return KindGateway
	case group == "" && kind == KindService:
		return KindService
	}
	return ""
}

// evalParents finds what is true between a route, whose rules are known, and each of its parents. Neither a reference to
// a Gateway nor one to a Service needs a ReferenceGrant: a Gateway allows routes by allowedRoutes, a Service only those
// of its own namespace.
func (g *Graph) evalParents(f *RouteFacts) []ParentFacts {
	refs := f.parentRefs()
	if len(refs) == 0 {
		return nil
	}
	parents := make([]ParentFacts, len(refs))
	for i, ref := range refs {
		p := &parents[i]
		p.Ref = ref
		target := types.NamespacedName{Namespace: namespaceOr(ref.Namespace, f.Key.Namespace), Name: string(ref.Name)}
		switch parentKind(ref) {
		case KindGateway:
			g.gatewayParent(f, p, target)
		case KindService:
			g.serviceParent(f, p, target)
		}
	}
	return parents
}

func (g *Graph) gatewayParent(f *RouteFacts, p *ParentFacts, name types.NamespacedName) {
	p.Gateway = &name
	node := g.gateways[name]
	if node == nil {
		p.Missing = true
		p.Unaccepted = newProblem(gwv1.RouteReasonNoMatchingParent, "%s does not exist", gatewayKey(name))
		return
	}
	p.ClassMissing = node.facts.ClassMissing
	if p.Managed = node.facts.Managed; !p.Managed {
		return
	}
	p.Attachments, p.Unaccepted = g.attach(f, p.Ref, node.facts)
	if invalid := allRulesInvalid(f.Rules); p.Unaccepted == nil && invalid != nil {
		p.Unaccepted, p.Attachments = invalid, nil
	}
}

// attach finds the listeners of a Gateway that accept a route: "an attachment is considered successful if at least one
// section in the parent resource accepts it." The reason for none is the last hurdle that any listener got the route to.
//
// Of an HTTPRoute and a GRPCRoute whose hostnames intersect on a listener, v1.6 of the specification wants only the older
// accepted; v1.7 lets both be (GRPCRouteSpec.Hostnames). Both are, so that no route is refused for what others say.
func (g *Graph) attach(f *RouteFacts, ref gwv1.ParentReference, gw *GatewayFacts) ([]Attachment, *Problem) {
	var attachments []Attachment
	var selected, allowed bool
	for _, l := range gw.Listeners {
		if !selectsListener(ref, l) {
			continue
		}
		selected = true
		if !allowsKind(l, f.Key.Kind) || !g.allowsNamespace(gw, l, f.Key.Namespace) {
			continue
		}
		allowed = true
		if hostnames := sharedHostnames(f.hostnames(), l); len(hostnames) > 0 {
			attachments = append(attachments, Attachment{Listener: l.Spec.Name, Hostnames: hostnames})
		}
	}
	key := gatewayKey(namespacedName(gw.Object))
	switch {
	case len(attachments) > 0:
		return attachments, nil
	case !selected:
		return nil, newProblem(gwv1.RouteReasonNoMatchingParent, "%s has no listener with the parentRef's sectionName and port", key)
	case !allowed:
		return nil, newProblem(gwv1.RouteReasonNotAllowedByListeners,
			"no listener of %s that the parentRef selects allows a %s from namespace %s; see its allowedRoutes", key, f.Key.Kind, f.Key.Namespace)
	}
	return nil, newProblem(gwv1.RouteReasonNoMatchingListenerHostname,
		"spec.hostnames: none matches the hostname of a listener of %s that allows the route", key)
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
// the selector may be used by this Gateway. Same: Only Routes in the same namespace may be used by this Gateway." A
// namespace that doesn't exist has no labels to select.
func (g *Graph) allowsNamespace(gw *GatewayFacts, l *ListenerFacts, namespace string) bool {
	from, selector := routeNamespaces(l)
	switch from {
	case gwv1.NamespacesFromAll:
		return true
	case gwv1.NamespacesFromSame:
		return namespace == gw.Object.Namespace
	case gwv1.NamespacesFromSelector:
		ns := g.namespaces[namespace]
		s, err := metav1.LabelSelectorAsSelector(selector)
		return err == nil && ns != nil && s.Matches(labels.Set(ns.Labels))
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

// acceptedBy returns the listeners of a Gateway that accept a route, each once, by whichever of the route's parentRefs.
func (g *Graph) acceptedBy(gw *GatewayFacts, name types.NamespacedName, f *RouteFacts) []gwv1.SectionName {
	if allRulesInvalid(f.Rules) != nil {
		return nil
	}
	var listeners []gwv1.SectionName
	for _, ref := range f.parentRefs() {
		target := types.NamespacedName{Namespace: namespaceOr(ref.Namespace, f.Key.Namespace), Name: string(ref.Name)}
		if parentKind(ref) != KindGateway || target != name {
			continue
		}
		attachments, _ := g.attach(f, ref, gw)
		for _, a := range attachments {
			if !slices.Contains(listeners, a.Listener) {
				listeners = append(listeners, a.Listener)
			}
		}
	}
	return listeners
}
