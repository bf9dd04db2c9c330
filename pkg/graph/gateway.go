package graph

import (
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

type gatewayNode struct {
	object *gwv1.Gateway
	scope  Key
	fleet  types.NamespacedName // without a name if it refers to none
	facts  *GatewayFacts        // AttachedRoutes is filled in when asked for; nil until its scope has been looked at
	needs  []Key                // sorted
}

// Gateway returns what is true of the Gateway, or nil if there is no such Gateway.
func (g *Graph) Gateway(name types.NamespacedName) *GatewayFacts {
	node := g.gateways[name]
	if node == nil {
		return nil
	}
	return g.withAttachedRoutes(node.facts)
}

// Gateways returns the names of the Gateways that are managed, sorted.
func (g *Graph) Gateways() []types.NamespacedName {
	var names []types.NamespacedName
	for name, node := range g.gateways {
		if node.facts.Managed {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareNames)
	return names
}

// PreviewGateway returns what would be true of gw if it were written now. Nothing changes.
func (g *Graph) PreviewGateway(gw *gwv1.Gateway) *GatewayFacts {
	scope, _ := g.scopeOf(gw)
	name := namespacedName(gw)
	facts := g.evalScope(scope, overlay{gateway: gw}).gateway(name)
	if !facts.Managed {
		return facts
	}
	if node := g.gateways[name]; node != nil && sameForRoutes(node.facts, facts) && node.facts.IsDefault() == facts.IsDefault() {
		return g.withAttachedRoutes(facts)
	}
	facts.AttachedRoutes = g.countRoutes(gatewayKey(name), facts, facts.own())
	return facts
}

// countRoutes returns how many routes each of the listeners of a parent would accept, by whichever of their parentRefs.
func (g *Graph) countRoutes(parent Key, gw *GatewayFacts, listeners []*ListenerFacts) []int32 {
	if len(listeners) == 0 {
		return nil
	}
	counts := make([]int32, len(listeners))
	count := func(f *RouteFacts, refs []gwv1.ParentReference) {
		accepted := g.acceptedBy(gw, parent, listeners, f, refs)
		for i, l := range listeners {
			if slices.Contains(accepted, l.Key) {
				counts[i]++
			}
		}
	}
	for route := range g.routesByParent[parent] {
		count(route.facts, route.facts.route().common().ParentRefs)
	}
	if gw.IsDefault() && parent.Kind == KindGateway {
		for route := range g.defaultRoutes {
			if !names(route.facts, parent) {
				count(route.facts, []gwv1.ParentReference{defaultRef(parent.NamespacedName())})
			}
		}
	}
	return counts
}

// withAttachedRoutes copies facts and adds the routes that the listeners have accepted. "AttachedRoutes ... MUST be set
// for Listeners, even if the Accepted condition of an individual Listener is set to False."
func (g *Graph) withAttachedRoutes(facts *GatewayFacts) *GatewayFacts {
	if !facts.Managed {
		return facts
	}
	c := *facts
	c.AttachedRoutes = g.attachedTo(c.own())
	return &c
}

// attachedTo returns how many routes each of the listeners has accepted.
func (g *Graph) attachedTo(listeners []*ListenerFacts) []int32 {
	var counts []int32
	for _, l := range listeners {
		counts = append(counts, g.attached[l.Key])
	}
	return counts
}

func (g *Graph) setGateway(name types.NamespacedName, gw *gwv1.Gateway, d *Dirty) {
	d.gatewayStatus(name)
	node := g.gateways[name]
	if node != nil && gw != nil && sameForScope(node.object, gw) {
		same := sameForInfrastructure(node.object, gw)
		node.object, node.facts = gw, node.facts.withObject(gw)
		if !same {
			g.refreshScope(node.scope, d)
		}
		return
	}
	scopes, fleets := map[Key]struct{}{}, map[types.NamespacedName]struct{}{}
	if node != nil {
		g.indexGateway(node.object, false)
		scopes[node.scope], fleets[node.fleet] = struct{}{}, struct{}{}
	}
	if gw == nil {
		g.enroll(name, node, false, d)
		g.dropGateway(name, node, d)
	} else {
		if node == nil {
			node = &gatewayNode{}
			g.gateways[name] = node
		}
		node.object = gw
		g.indexGateway(gw, true)
		g.enroll(name, node, true, d)
		scopes[node.scope], fleets[node.fleet] = struct{}{}, struct{}{}
	}
	g.reassign(fleets, scopes)
	g.refreshScopes(scopes, d)
}

// sameForScope compares what facts depend on: the spec, the age for precedence, and the addresses that the Gateway has been
// given, of which it keeps those of a pool.
func sameForScope(a, b *gwv1.Gateway) bool {
	return a.CreationTimestamp.Equal(&b.CreationTimestamp) && reflect.DeepEqual(a.Spec, b.Spec) &&
		reflect.DeepEqual(a.Status.Addresses, b.Status.Addresses)
}

// dropGateway forgets a Gateway, and leaves its ListenerSets and routes without a parent.
func (g *Graph) dropGateway(name types.NamespacedName, node *gatewayNode, d *Dirty) {
	delete(g.gateways, name)
	g.changeNeeds(node.needs, nil, d)
	if !sameInfrastructure(node.facts, nil) {
		d.infrastructure(name)
	}
	for set := range g.setsByGateway[name] {
		g.replaceListenerSet(g.beginListenerSet(g.listenerSets[set].object, nil), d)
	}
	g.followDefault(name, false, d)
	g.reattachRoutes(gatewayKey(name), d)
	for set := range g.setsByGateway[name] {
		g.reattachRoutes(listenerSetKey(set), d)
	}
}

// indexGateway adds or removes the edges from a Gateway to what its facts depend on.
func (g *Graph) indexGateway(gw *gwv1.Gateway, present bool) {
	key := gatewayKey(namespacedName(gw))
	g.gatewaysByClass.edit(present, string(gw.Spec.GatewayClassName), namespacedName(gw))
	for i := range gw.Spec.Listeners {
		g.indexCertificates(key, gw.Spec.Listeners[i].TLS, present)
	}
	if ref := clientCertificateRef(gw); ref != nil {
		g.indexReference(g.listenersBySecret, key, ref.Namespace, ref.Name, present)
	}
	for _, frontend := range frontends(gw) {
		for _, ref := range frontend.validation.CACertificateRefs {
			g.indexReference(g.listenersByConfigMap, key, ref.Namespace, ref.Name, present)
		}
	}
}

// indexCertificates adds or removes the edges from what has a listener to the listener's certificates.
func (g *Graph) indexCertificates(from Key, tls *gwv1.ListenerTLSConfig, present bool) {
	if tls == nil {
		return
	}
	for _, ref := range tls.CertificateRefs {
		g.indexReference(g.listenersBySecret, from, ref.Namespace, ref.Name, present)
	}
}

// indexReference adds or removes an edge from a Gateway or a ListenerSet to a Secret or a ConfigMap.
func (g *Graph) indexReference(by index[types.NamespacedName, Key], from Key, namespace *gwv1.Namespace, name gwv1.ObjectName, present bool) {
	target := types.NamespacedName{Namespace: namespaceOr(namespace, from.Namespace), Name: string(name)}
	by.edit(present, target, from)
	if target.Namespace != from.Namespace {
		g.listenersAcross.edit(present, crossing{from.Kind, from.Namespace, target.Namespace}, from)
	}
}

// replaceGateway puts facts in place of what was known of a Gateway.
func (g *Graph) replaceGateway(facts *GatewayFacts, d *Dirty) change {
	name := namespacedName(facts.Object)
	node := g.gateways[name]
	before := node.facts
	node.facts = facts
	needs := g.gatewayNeeds(facts)
	g.changeNeeds(node.needs, needs, d)
	node.needs = needs
	if sameGateway(before, facts) {
		return change{}
	}
	d.gatewayStatus(name)
	if !sameInfrastructure(before, facts) {
		d.infrastructure(name)
	}
	return change{
		shown:             isManaged(before) || isManaged(facts),
		forRoutes:         !sameForRoutes(before, facts),
		clientCertificate: before.ClientCertificateSecret() != facts.ClientCertificateSecret(),
	}
}

func isManaged(f *GatewayFacts) bool { return f != nil && f.Managed }

// sameGateway compares everything but metadata and status.
func sameGateway(a, b *GatewayFacts) bool {
	if a == nil || b == nil {
		return a == b
	}
	if !a.Managed && !b.Managed {
		return a.ClassMissing == b.ClassMissing
	}
	if a.Object != b.Object && !reflect.DeepEqual(a.Object.Spec, b.Object.Spec) {
		return false
	}
	ca, cb := *a, *b
	ca.Object, cb.Object = nil, nil
	return reflect.DeepEqual(ca, cb)
}

// sameForRoutes says whether routes find the same in two states of a Gateway: it spares them a look when, for example,
// a certificate has been renewed.
func sameForRoutes(a, b *GatewayFacts) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Managed == b.Managed && a.ClassMissing == b.ClassMissing && a.Scope == b.Scope && sameListenersForRoutes(a.own(), b.own())
}

func sameListenersForRoutes(a, b []*ListenerFacts) bool {
	return slices.EqualFunc(a, b, func(x, y *ListenerFacts) bool {
		return x.Key == y.Key && x.Spec.Port == y.Spec.Port && x.Spec.Protocol == y.Spec.Protocol &&
			x.Hostname == y.Hostname && (x.Unprogrammed == nil) == (y.Unprogrammed == nil) &&
			reflect.DeepEqual(x.SupportedKinds, y.SupportedKinds) && reflect.DeepEqual(x.Spec.AllowedRoutes, y.Spec.AllowedRoutes)
	})
}

// withObject returns facts about another write of the same spec.
func (f *GatewayFacts) withObject(gw *gwv1.Gateway) *GatewayFacts {
	c := *f
	c.Object = gw
	c.Listeners = slices.Clone(f.Listeners)
	for i := range gw.Spec.Listeners {
		if i < len(c.Listeners) { // a Gateway that isn't managed has none
			l := *c.Listeners[i]
			l.Spec = &gw.Spec.Listeners[i]
			c.Listeners[i] = &l
		}
	}
	return &c
}

// beginGateway finds what is true of a Gateway before its listeners are looked at.
func (g *Graph) beginGateway(gw *gwv1.Gateway, scope Key) *GatewayFacts {
	class := g.GatewayClass(string(gw.Spec.GatewayClassName))
	f := &GatewayFacts{Object: gw, ClassMissing: class == nil, Managed: class != nil && class.Managed, Scope: scope}
	if f.Managed {
		f.Fleet = g.fleetOf(gw, class.Object)
	}
	return f
}

// finishGateway finds what is true of a Gateway of which the listeners are known. pooled are the addresses that the pool of its
// fleet has for it and others.
func (g *Graph) finishGateway(f *GatewayFacts, pooled map[types.NamespacedName]addresses) {
	gw := f.Object
	own := f.own()
	class := g.GatewayClass(string(gw.Spec.GatewayClassName))
	f.Unaccepted = firstProblem(classNotAccepted(class), g.gatewayParameters(gw), unsupportedAddress(gw), noListenerValid(f))
	if f.Unaccepted == nil {
		f.SomeListenersInvalid = someListenersInvalid(f)
	}
	if f.provisioned() { // it has the addresses of a Service
		f.Unprogrammed = firstProblem(notAccepted(f), addressNotUsable(gw))
	} else {
		addresses := g.addressesOf(f, pooled)
		f.Addresses = addresses.held
		f.Unprogrammed = firstProblem(notAccepted(f), addresses.unprogrammed)
	}
	if f.Unprogrammed != nil {
		holdListeners(f)
	} else {
		f.Unprogrammed = nothingServed(f)
	}
	if f.Unprogrammed != nil && !refersToFleet(gw, class.Object) {
		f.Addresses = nil // which are those "that have been bound to the Gateway"; what a fleet gives is kept
	}
	var clientCertificate *Problem
	f.ClientCertificate, clientCertificate = g.clientCertificate(gw)
	f.Unresolved = firstProblem(clientCertificate, listenersNotResolved(own))
	f.InsecureFrontend = insecureFrontend(gw)
	f.Infrastructure = g.infrastructureOf(f)
	f.Warnings = slices.Concat(gatewayWarnings(f), g.infrastructureWarnings(f), unusedFrontends(f))
}

// own are the listeners of spec.listeners.
func (f *GatewayFacts) own() []*ListenerFacts {
	return f.Listeners[:min(len(f.Object.Spec.Listeners), len(f.Listeners))]
}
