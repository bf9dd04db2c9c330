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
	facts.AttachedRoutes = g.countRoutes(listenerSetKey(namespacedName(set)), e.gateway(facts.Gateway), facts.Listeners)
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
	g.setsByNamespace.edit(present, set.Namespace, listenerSetKey(name))
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
		forRoutes: before == nil || before.Managed != facts.Managed || before.Missing != facts.Missing || before.Gateway != facts.Gateway ||
			!reflect.DeepEqual(before.Unaccepted, facts.Unaccepted) || !sameListenersForRoutes(before.Listeners, facts.Listeners),
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
	if f.Unaccepted = g.setNotAllowed(set, gw.Object); f.Unaccepted != nil {
		return f // nothing that it refers to is looked at
	}
	for i := range set.Spec.Listeners {
		key, spec := ListenerKey{listenerSetKey(namespacedName(set)), set.Spec.Listeners[i].Name}, (*gwv1.Listener)(&set.Spec.Listeners[i])
		f.Listeners = append(f.Listeners, g.evalListener(key, i, spec, gw.Object))
	}
	return f
}

// MaxListeners is how many listeners a Gateway has at most with those of its ListenerSets: enough for the "O(1000)" of GEP-1713,
// few enough for one Envoy to hold and to be looked at together with each write. Those that come later in the order of
// precedence are TooManyListeners.
const MaxListeners = 1024

// admit adds as many of the listeners of a ListenerSet to those of its Gateway as there is room for, and returns them: "An
// implementation MAY reject listeners by setting the ListenerEntryStatus Accepted condition to False with the Reason
// TooManyListeners".
func (f *GatewayFacts) admit(set *ListenerSetFacts) []*ListenerFacts {
	room := min(MaxListeners-len(f.Listeners), len(set.Listeners))
	for _, l := range set.Listeners[room:] {
		l.Unaccepted = newProblem(gwv1.ListenerEntryReasonTooManyListeners,
			"%s has %d listeners with those of ListenerSets that come before, and may have no more", gatewayKey(set.Gateway), MaxListeners)
		l.Unprogrammed = listenerNotServed(l)
	}
	f.Listeners = append(f.Listeners, set.Listeners[:room]...)
	return set.Listeners[:room]
}

// finishListenerSet finds what is true of a ListenerSet of which the listeners are known.
func finishListenerSet(f *ListenerSetFacts, gw *GatewayFacts) {
	if f.Unaccepted != nil {
		f.Unprogrammed = f.Unaccepted
		return
	}
	for _, l := range f.Listeners {
		if l.Conflict != nil { // not Invalid: all by itself, it would be served
			l.Unprogrammed = l.Conflict
		}
	}
	unserved := unservedListeners(f.Listeners)
	if f.Unaccepted = firstProblem(noneServed(f.Listeners, unserved), parentNotAccepted(gw)); f.Unaccepted == nil {
		gw.AttachedListenerSets++
		f.SomeListenersInvalid = someNotServed(f.Listeners, unserved)
	}
	f.Unprogrammed = firstProblem(noneServed(f.Listeners, unserved), parentNotProgrammed(gw))
	for _, l := range f.Listeners {
		f.Warnings = append(f.Warnings, listenerWarnings(l)...)
	}
}

// unservedListeners says why listeners are not valid: in a ListenerSet, one that lacks what it needs to be served isn't, as is
// the case for a certificate that the ListenerSet may not refer to.
func unservedListeners(listeners []*ListenerFacts) map[*ListenerFacts]*Problem {
	unserved := map[*ListenerFacts]*Problem{}
	for _, l := range listeners {
		if p := listenerNotServed(l); p != nil {
			unserved[l] = firstProblem(l.Unaccepted, l.Unresolved, p)
		}
	}
	return unserved
}

// noneServed: "one or more listeners in the set are invalid (or using an unsupported feature)" (GEP-1713), and no other is
// left: "This can be the reason when Accepted is True or False, depending on whether the listener being invalid causes the
// entire ListenerSet to not be accepted" (ListenerSetReasonListenersNotValid).
func noneServed(listeners []*ListenerFacts, unserved map[*ListenerFacts]*Problem) *Problem {
	if len(unserved) < len(listeners) {
		return nil
	}
	return newProblem(gwv1.ListenerSetReasonListenersNotValid, "no listener is valid: %s", describeListeners(listeners, unserved))
}

// someNotServed is noneServed where others are left.
func someNotServed(listeners []*ListenerFacts, unserved map[*ListenerFacts]*Problem) *Problem {
	if len(unserved) == 0 {
		return nil
	}
	return newProblem(gwv1.ListenerSetReasonListenersNotValid, "some listeners are not valid: %s", describeListeners(listeners, unserved))
}

// parentNotAccepted: "the parent Gateway is not accepted" (ListenerSetReasonParentNotAccepted).
func parentNotAccepted(gw *GatewayFacts) *Problem {
	if gw.Unaccepted == nil {
		return nil
	}
	return newProblem(gwv1.ListenerSetReasonParentNotAccepted, "%s is not accepted: %s", gatewayKey(namespacedName(gw.Object)), gw.Unaccepted.Message)
}

// reasonParentNotProgrammed is one of the "possible reasons for this condition to be False" of
// ListenerSetConditionProgrammed, for which upstream has no constant.
const reasonParentNotProgrammed gwv1.ListenerSetConditionReason = "ParentNotProgrammed"

// parentNotProgrammed: Programmed "only reflects the listeners in that ListenerSet. An exception to this is when the parent
// Gateway's Accepted or Programmed conditions transition to False" (GEP-1713).
func parentNotProgrammed(gw *GatewayFacts) *Problem {
	unprogrammed := gw.Unprogrammed
	if unprogrammed == nil && gw.Infrastructure != nil {
		unprogrammed = gw.Infrastructure.Unprogrammed
	}
	if unprogrammed == nil {
		return nil
	}
	return newProblem(reasonParentNotProgrammed, "%s is not programmed: %s", gatewayKey(namespacedName(gw.Object)), unprogrammed.Message)
}

// setNotAllowed: "AllowedListeners defines which ListenerSets can be attached to this Gateway. The default value is to allow
// no ListenerSets."
func (g *Graph) setNotAllowed(set *gwv1.ListenerSet, gw *gwv1.Gateway) *Problem {
	allowed := false
	switch from, selector := allowedListeners(gw); from {
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

// allowedListeners returns spec.allowedListeners.namespaces with its default.
func allowedListeners(gw *gwv1.Gateway) (gwv1.FromNamespaces, *metav1.LabelSelector) {
	if gw.Spec.AllowedListeners == nil || gw.Spec.AllowedListeners.Namespaces == nil {
		return gwv1.NamespacesFromNone, nil
	}
	namespaces := gw.Spec.AllowedListeners.Namespaces
	return valueOr(namespaces.From, gwv1.NamespacesFromNone), namespaces.Selector
}

// allowedListenersWarnings: "Selector must be specified when From is set to Selector. ... This field is ignored for other
// values of From." One that can't be used selects nothing.
func allowedListenersWarnings(gw *gwv1.Gateway) []string {
	const field = "spec.allowedListeners.namespaces.selector"
	from, selector := allowedListeners(gw)
	if from != gwv1.NamespacesFromSelector {
		return selectorWithoutEffect(field, from, selector)
	}
	if selector == nil {
		return []string{field + ": must be set when from is Selector; no ListenerSets are allowed without"}
	}
	if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
		return []string{fmt.Sprintf("%s: %v; no ListenerSets are allowed by it", field, err)}
	}
	return nil
}

// selectorWithoutEffect names a selector of namespaces that isn't asked for.
func selectorWithoutEffect(field string, from gwv1.FromNamespaces, selector *metav1.LabelSelector) []string {
	if selector == nil || from == gwv1.NamespacesFromSelector {
		return nil
	}
	return []string{fmt.Sprintf("%s has no effect: from is %s, not %s", field, from, gwv1.NamespacesFromSelector)}
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
