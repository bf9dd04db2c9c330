package graph

import (
	"reflect"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// An XBackend is a destination outside of the cluster, and "describes what a specific gateway client connection MUST do on the
// wire when connecting to" it (GEP-4488): where it is, what is spoken and how connections are secured.

type xbackendNode struct {
	object *gwxv1alpha1.XBackend
	read   xbackendReading
	needs  []Key // Secrets and ConfigMaps
}

// An xbackendReading is what the spec of an XBackend comes to.
type xbackendReading struct {
	port       int32
	hostname   string
	protocol   gwxv1alpha1.BackendProtocol // empty if the route is to say
	tls        *BackendTLSFacts            // nil without TLS, and if unaccepted is not
	unaccepted *Problem
	unresolved *Problem
}

func xbackendKey(name types.NamespacedName) Key {
	return Key{Kind: KindBackend, Namespace: name.Namespace, Name: name.Name}
}

// XBackend returns what is true of an XBackend, or nil if there is no such XBackend.
func (g *Graph) XBackend(name types.NamespacedName) *XBackendFacts {
	node := g.xbackends[name]
	if node == nil {
		return nil
	}
	return g.xbackendFacts(node)
}

// PreviewXBackend returns what would be true of backend if it were written now. Nothing changes.
func (g *Graph) PreviewXBackend(backend *gwxv1alpha1.XBackend) *XBackendFacts {
	return g.xbackendFacts(g.readXBackend(backend))
}

// xbackendFacts: "Ancestors is a list of parent resources associated with this Backend, and the status of the Backend with
// respect to each parent", which is the same for all: an XBackend says nothing of who uses it.
func (g *Graph) xbackendFacts(node *xbackendNode) *XBackendFacts {
	var ancestors []gwv1.ParentReference
	for _, gateway := range g.gatewaysUsing(xbackendKey(namespacedName(node.object)), func(use) bool { return true }) {
		ancestors = append(ancestors, ancestor(gwv1.GroupName, gwv1.Kind(KindGateway), gateway))
	}
	return &XBackendFacts{
		Object:     node.object,
		Ancestors:  ancestors,
		Unaccepted: node.read.unaccepted,
		Unresolved: node.read.unresolved,
		Warnings:   xbackendWarnings(&node.object.Spec),
	}
}

func (g *Graph) setXBackend(name types.NamespacedName, backend *gwxv1alpha1.XBackend, d *Dirty) {
	d.status(xbackendKey(name))
	old := g.xbackends[name]
	if old != nil && backend != nil && reflect.DeepEqual(old.object.Spec, backend.Spec) {
		g.xbackends[name] = &xbackendNode{backend, old.read, old.needs}
		return
	}
	if old != nil {
		g.indexXBackend(old.object, false)
	}
	var node *xbackendNode
	if backend != nil {
		g.indexXBackend(backend, true)
		node = g.readXBackend(backend)
	}
	g.replaceXBackend(name, node, d)
}

// indexXBackend adds or removes the edges from an XBackend to what its facts depend on.
func (g *Graph) indexXBackend(backend *gwxv1alpha1.XBackend, present bool) {
	name := namespacedName(backend)
	for target := range xbackendReferences(backend) {
		g.xbackendsByReference.edit(present, target, name)
		if target.Namespace != name.Namespace {
			g.xbackendsAcross.edit(present, crossing{KindBackend, name.Namespace, target.Namespace}, name)
		}
	}
}

// refreshXBackends looks at XBackends again after something that they refer to, or may refer to, has changed.
func (g *Graph) refreshXBackends(names map[types.NamespacedName]struct{}, d *Dirty) {
	for name := range names {
		g.replaceXBackend(name, g.readXBackend(g.xbackends[name].object), d)
	}
}

// replaceXBackend follows what changes with an XBackend. Nodes may be nil.
func (g *Graph) replaceXBackend(name types.NamespacedName, node *xbackendNode, d *Dirty) {
	key, before := xbackendKey(name), g.xbackends[name]
	put(g.xbackends, name, node)
	var needed, needs []Key
	for _, n := range []struct {
		node *xbackendNode
		keys *[]Key
	}{{before, &needed}, {node, &needs}} {
		if n.node != nil {
			*n.keys = n.node.needs
			d.backend(BackendKey{Key: key, Port: n.node.read.port})
		}
	}
	g.changeNeeds(needed, needs, d)
	if before != nil && node != nil && reflect.DeepEqual(before.read, node.read) {
		return
	}
	d.status(key)
	if (before == nil) != (node == nil) {
		g.trafficPoliciesChanged(key, d)
	}
	for route := range g.routesByBackend[key] {
		g.refreshRoute(route, d)
	}
}

// xbackendPort is BackendPort for an XBackend: nil if it has another port, or can't be connected to.
func (g *Graph) xbackendPort(key BackendKey) *BackendPortFacts {
	node := g.xbackends[key.NamespacedName()]
	if node == nil || node.read.port != key.Port || node.read.unaccepted != nil {
		return nil
	}
	return &BackendPortFacts{
		Key:         key,
		HTTP2:       isHTTP2(string(node.read.protocol)),
		TLS:         node.read.tls,
		RetryBudget: g.trafficPolicyOf(key.Key).budget,
		Hostname:    node.read.hostname,
		Protocol:    node.read.protocol,
	}
}

// xbackend resolves a reference to an XBackend that is permitted. "For other resources, destination port might be derived from
// the referent resource or this field" (BackendObjectReference.Port): it is derived from the XBackend, and if it is set too, it
// has to be that one.
func (g *Graph) xbackend(from origin, ref *gwv1.BackendObjectReference, b *BackendFacts) {
	target := b.Backend.Key
	node := g.xbackends[target.NamespacedName()]
	if node == nil {
		b.Problem = newProblem(gwv1.RouteReasonBackendNotFound, "%s does not exist", target)
		return
	}
	read := &node.read
	if ref.Port == nil {
		b.Backend.Port = read.port
	}
	b.AppProtocol, b.HTTP2, b.TLS = string(read.protocol), isHTTP2(string(read.protocol)), read.tls != nil
	b.Problem = firstProblem(otherPort(b.Backend, read.port), invalidXBackend(target, read), unsupportedBackendProtocol(from.Kind, *b),
		keyForMesh(from, node.object))
}
