package graph

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

type listenerSetNode struct {
	object *gwv1.ListenerSet
	facts  *ListenerSetFacts // AttachedRoutes is filled in when asked for
	needs  []Key             // sorted
}

// ListenerSet returns what is true of the ListenerSet, or nil if there is no such ListenerSet.
func (g *Graph) ListenerSet(name types.NamespacedName) *ListenerSetFacts {
	node := g.listenerSets[name]
	if node == nil {
		return nil
	}
	c := *node.facts
	c.AttachedRoutes = g.attachedTo(c.Listeners)
	return &c
}

// PreviewListenerSet returns what would be true of set if it were written now. Nothing changes.
func (g *Graph) PreviewListenerSet(set *gwv1.ListenerSet) *ListenerSetFacts {
	gateway := g.gateways[parentOf(set)]
	if gateway == nil {
		return g.beginListenerSet(set, nil)
	}
	e := g.evalScope(gateway.scope, overlay{set: set})
	facts := e.set(namespacedName(set))
	if !facts.Managed {
		return facts
	}
	facts.AttachedRoutes = make([]int32, len(facts.Listeners))
	if listeners := facts.attachable(); listeners != nil {
		facts.AttachedRoutes = g.countRoutes(listenerSetKey(namespacedName(set)), e.gateway(facts.Gateway), listeners)
	}
	return facts
}

func (g *Graph) setListenerSet(name types.NamespacedName, set *gwv1.ListenerSet, d *Dirty) {
	d.status(listenerSetKey(name))
	node := g.listenerSets[name]
	if node != nil && set != nil && node.object.CreationTimestamp.Equal(&set.CreationTimestamp) && reflect.DeepEqual(node.object.Spec, set.Spec) {
		node.object, node.facts = set, node.facts.withObject(set)
		return
	}
	var before types.NamespacedName
	if node != nil {
		before = parentOf(node.object)
		g.indexListenerSet(node.object, false)
	}
	if set == nil {
		g.changeNeeds(node.needs, nil, d)
		delete(g.listenerSets, name)
	} else {
		if node == nil {
			node = &listenerSetNode{}
			g.listenerSets[name] = node
		}
		node.object = set
		g.indexListenerSet(set, true)
	}
	if before.Name != "" && (set == nil || before != parentOf(set)) {
		g.refreshGateway(before, d)
	}
	switch {
	case set == nil:
		g.reattachRoutes(listenerSetKey(name), d)
	case g.gateways[parentOf(set)] != nil:
		g.refreshGateway(parentOf(set), d)
	default:
		g.replaceListenerSet(g.beginListenerSet(set, nil), d)
		g.reattachRoutes(listenerSetKey(name), d)
	}
}

// refreshGateway looks again at the scope of a Gateway, if there is such a Gateway.
func (g *Graph) refreshGateway(name types.NamespacedName, d *Dirty) {
	if node := g.gateways[name]; node != nil {
		g.refreshScope(node.scope, d)
	}
}

// indexListenerSet adds or removes the edges from a ListenerSet to what its facts depend on.
func (g *Graph) indexListenerSet(set *gwv1.ListenerSet, present bool) {
	name := namespacedName(set)
	g.setsByGateway.edit(present, parentOf(set), name)
	g.setsByNamespace.edit(present, set.Namespace, name)
	for i := range set.Spec.Listeners {
		g.indexCertificates(listenerSetKey(name), set.Spec.Listeners[i].TLS, present)
	}
}

// replaceListenerSet puts facts in place of what was known of a ListenerSet.
func (g *Graph) replaceListenerSet(facts *ListenerSetFacts, d *Dirty) change {
	node := g.listenerSets[namespacedName(facts.Object)]
	before := node.facts
	node.facts = facts
	needs := g.listenerSetNeeds(facts)
	g.changeNeeds(node.needs, needs, d)
	node.needs = needs
	if sameListenerSet(before, facts) {
		return change{}
	}
	d.status(listenerSetKey(namespacedName(facts.Object)))
	return change{
		shown: true,
		forRoutes: before == nil || before.Managed != facts.Managed || before.Orphaned != facts.Orphaned || before.Gateway != facts.Gateway ||
			(before.Unaccepted == nil) != (facts.Unaccepted == nil) || !sameListenersForRoutes(before.Listeners, facts.Listeners),
	}
}

// sameListenerSet compares everything but metadata and status.
func sameListenerSet(a, b *ListenerSetFacts) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Object != b.Object && !reflect.DeepEqual(a.Object.Spec, b.Object.Spec) {
		return false
	}
	ca, cb := *a, *b
	ca.Object, cb.Object = nil, nil
	return reflect.DeepEqual(ca, cb)
}

// withObject returns facts about another write of the same spec.
func (f *ListenerSetFacts) withObject(set *gwv1.ListenerSet) *ListenerSetFacts {
	c := *f
	c.Object = set
	c.Listeners = slices.Clone(f.Listeners)
	for i, l := range c.Listeners {
		lc := *l
		lc.Spec = (*gwv1.Listener)(&set.Spec.Listeners[i])
		c.Listeners[i] = &lc
	}
	return &c
}

// parentOf returns the Gateway that a ListenerSet refers to: "If the parent Gateway is in another namespace, Namespace" is set.
func parentOf(set *gwv1.ListenerSet) types.NamespacedName {
	ref := &set.Spec.ParentRef
	return types.NamespacedName{Namespace: namespaceOr(ref.Namespace, set.Namespace), Name: string(ref.Name)}
}

// refersToGateway says whether the parentRef of a ListenerSet is to a Gateway, which is the only kind that there is.
func refersToGateway(set *gwv1.ListenerSet) bool {
	ref := &set.Spec.ParentRef
	return valueOr(ref.Group, gwv1.GroupName) == gwv1.GroupName && Kind(valueOr(ref.Kind, gwv1.Kind(KindGateway))) == KindGateway
}

// setsOf returns the ListenerSets that refer to a Gateway in the order of precedence: "ListenerSet ordered by creation time
// (oldest first)", then "alphabetically by {namespace}/{name}".
func (g *Graph) setsOf(gateway types.NamespacedName, with overlay) []*gwv1.ListenerSet {
	var sets []*gwv1.ListenerSet
	for name := range g.setsByGateway[gateway] {
		if with.set == nil || name != namespacedName(with.set) {
			sets = append(sets, g.listenerSets[name].object)
		}
	}
	if with.set != nil && parentOf(with.set) == gateway {
		sets = append(sets, with.set)
	}
	slices.SortFunc(sets, func(a, b *gwv1.ListenerSet) int { return compareAge(a, b) })
	return sets
}

// beginListenerSet finds what is true of a ListenerSet before its listeners are compared with others. The Gateway is nil if it
// doesn't exist.
func (g *Graph) beginListenerSet(set *gwv1.ListenerSet, gw *GatewayFacts) *ListenerSetFacts {
	f := &ListenerSetFacts{Object: set, Gateway: parentOf(set)}
	switch {
	case !refersToGateway(set):
		return f
	case gw == nil:
		f.Orphaned, f.Missing = true, gatewayKey(f.Gateway)
		return f
	case gw.ClassMissing:
		f.Orphaned, f.Missing = true, Key{Kind: KindGatewayClass, Name: string(gw.Object.Spec.GatewayClassName)}
		return f
	case !gw.Managed:
		return f
	}
	f.Managed = true
	f.Unaccepted = g.setNotAllowed(set, gw.Object)
	for i := range set.Spec.Listeners {
		key, spec := ListenerKey{listenerSetKey(namespacedName(set)), set.Spec.Listeners[i].Name}, (*gwv1.Listener)(&set.Spec.Listeners[i])
		if f.Unaccepted != nil { // what it refers to is not looked at
			f.Listeners = append(f.Listeners, &ListenerFacts{Key: key, Spec: spec, Index: i})
			continue
		}
		f.Listeners = append(f.Listeners, g.evalListener(key, i, spec, gw.Object))
	}
	return f
}

// finishListenerSet finds what is true of a ListenerSet of which the listeners are known.
func finishListenerSet(f *ListenerSetFacts, gw *GatewayFacts) {
	if f.Unaccepted != nil {
		for _, l := range f.Listeners {
			l.Unaccepted = newProblem(gwv1.ListenerSetReasonNotAllowed, "the ListenerSet is not accepted: %s", f.Unaccepted.Message)
			l.Unprogrammed = newProblem(gwv1.ListenerReasonInvalid, "%s", l.Unaccepted.Message)
		}
		f.Unprogrammed = newProblem(gwv1.ListenerSetReasonNotAllowed, "%s", f.Unaccepted.Message)
		return
	}
	f.Unaccepted = firstProblem(parentNotAccepted(gw), noListenerValid(f.Listeners))
	if f.Unaccepted == nil {
		f.SomeListenersInvalid = someListenersInvalid(f.Listeners)
		gw.AttachedListenerSets++
	}
	switch {
	case f.Unaccepted != nil:
		f.Unprogrammed = newProblem(f.Unaccepted.Reason, "%s", f.Unaccepted.Message)
	case gw.Unprogrammed != nil && !slices.ContainsFunc(f.Listeners, func(l *ListenerFacts) bool { return l.Unprogrammed == nil }):
		f.Unprogrammed = newProblem("ParentNotProgrammed", "Gateway %s is not programmed: %s", f.Gateway, gw.Unprogrammed.Message)
	default:
		f.Unprogrammed = nothingServed(f.Listeners)
	}
}

// parentNotAccepted: "the parent Gateway is not accepted" (ListenerSetReasonParentNotAccepted). That it has no valid listener
// of its own is no reason: those of its ListenerSets may be.
func parentNotAccepted(gw *GatewayFacts) *Problem {
	if gw.Unaccepted == nil {
		return nil
	}
	return newProblem(gwv1.ListenerSetReasonParentNotAccepted, "%s is not accepted: %s", gatewayKey(namespacedName(gw.Object)), gw.Unaccepted.Message)
}

// setNotAllowed: "AllowedListeners defines which ListenerSets can be attached to this Gateway. The default value is to allow
// no ListenerSets."
func (g *Graph) setNotAllowed(set *gwv1.ListenerSet, gw *gwv1.Gateway) *Problem {
	from, selector := gwv1.NamespacesFromNone, (*metav1.LabelSelector)(nil)
	if a := gw.Spec.AllowedListeners; a != nil && a.Namespaces != nil {
		from, selector = valueOr(a.Namespaces.From, from), a.Namespaces.Selector
	}
	allowed := false
	switch from {
	case gwv1.NamespacesFromAll:
		allowed = true
	case gwv1.NamespacesFromSame:
		allowed = set.Namespace == gw.Namespace
	case gwv1.NamespacesFromSelector:
		allowed = g.namespaceMatches(set.Namespace, selector)
	}
	if allowed {
		return nil
	}
	return newProblem(gwv1.ListenerSetReasonNotAllowed, "%s allows no ListenerSets of namespace %s; see its spec.allowedListeners",
		gatewayKey(namespacedName(gw)), set.Namespace)
}

// namespaceMatches says whether a selector selects a namespace by its labels. One that doesn't exist has none.
func (g *Graph) namespaceMatches(namespace string, selector *metav1.LabelSelector) bool {
	ns := g.namespaces[namespace]
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && ns != nil && s.Matches(labels.Set(ns.Labels))
}

// TableName tells the table of an HTTPS listener from others of its port; see TableKey.Listener.
func TableName(scope Key, l ListenerKey) string {
	if l.Parent == scope {
		return string(l.Name)
	}
	return fmt.Sprintf("%s/%s/%s/%s", strings.ToLower(string(l.Parent.Kind)), l.Parent.Namespace, l.Parent.Name, l.Name)
}
