package graph

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// Graph holds the objects, the edges between them and what has been found out about them.
//
// A fact about an object is a function of that object and of the objects that it refers to, never of the order in which
// they came. What is stored beside the objects are the facts of Gateways and routes, the reverse indexes that say whose
// facts to look at again, and where each route has been placed.
type Graph struct {
	classes      map[string]*gwv1.GatewayClass
	gateways     map[types.NamespacedName]*gatewayNode
	listenerSets map[types.NamespacedName]*listenerSetNode
	fleets       map[types.NamespacedName]*fleetNode
	scopes       map[Key]*scopeNode
	routes       map[Key]*routeNode
	grants       map[types.NamespacedName]*gwv1.ReferenceGrant
	namespaces   map[string]*corev1.Namespace
	services     map[types.NamespacedName]*corev1.Service
	secrets      map[types.NamespacedName]*corev1.Secret
	keyPairs     map[types.NamespacedName]*secretKeyPair // of the Secrets of type kubernetes.io/tls
	slices       map[types.NamespacedName]*discoveryv1.EndpointSlice
	configMaps   map[types.NamespacedName]*corev1.ConfigMap
	xbackends    map[types.NamespacedName]*xbackendNode
	meshes       map[string]*gwxv1alpha1.XMesh

	gatewaysByClass      index[string, types.NamespacedName]
	gatewaysByFleet      index[types.NamespacedName, types.NamespacedName]
	gatewaysByScope      index[Key, types.NamespacedName]
	classesByFleet       index[types.NamespacedName, string]
	fleetsByService      index[types.NamespacedName, types.NamespacedName] // that send traces there
	setsByGateway        index[types.NamespacedName, types.NamespacedName]
	setsByNamespace      index[string, Key]               // ListenerSets
	listenersBySecret    index[types.NamespacedName, Key] // Gateways and ListenerSets
	listenersByConfigMap index[types.NamespacedName, Key]
	listenersAcross      index[crossing, Key]
	routesByParent       index[Key, *routeNode]            // a Gateway or a ListenerSet
	defaults             map[types.NamespacedName]struct{} // the Gateways that are default Gateways
	defaultRoutes        map[*routeNode]struct{}           // the routes that use them
	routesByBackend      index[Key, *routeNode]            // as a backend, a mirror, another one that requests go to, or a parent
	routesByNamespace    index[string, *routeNode]
	routesAcross         index[crossing, *routeNode]
	slicesByService      index[types.NamespacedName, types.NamespacedName]
	xbackendsByReference index[Key, types.NamespacedName]
	xbackendsAcross      index[crossing, types.NamespacedName]

	tlsPolicies            map[types.NamespacedName]*tlsPolicyNode
	tlsPoliciesByService   index[types.NamespacedName, types.NamespacedName]
	tlsPoliciesByConfigMap index[types.NamespacedName, types.NamespacedName]

	trafficPolicies         map[types.NamespacedName]*trafficPolicyNode
	trafficPoliciesByTarget index[Key, types.NamespacedName]
	uses                    map[Key]map[use]int // by Service or XBackend, how many routes make each

	permissions map[permission]int // how often the ReferenceGrants give each permission
	needed      map[Key]int        // how many objects need each Secret and ConfigMap

	provisions bool // Gateways get what their EnvoyFleet's spec.provisioning says

	attached     map[ListenerKey]int32                     // routes accepted by each listener
	hostRoutes   map[Key]index[VirtualHostKey, *routeNode] // by scope
	streamRoutes map[ListenerKey]index[string, *routeNode] // by domain
	meshRoutes   index[MeshHostKey, *routeNode]

	meshConsumers      index[BackendKey, string] // the namespaces that have consumer routes for a port
	servicesByAddress  index[netip.Addr, types.NamespacedName]
	servicesByIPFamily index[corev1.IPFamily, types.NamespacedName]
}

// New returns an empty graph.
func New() *Graph {
	return &Graph{
		classes:      map[string]*gwv1.GatewayClass{},
		gateways:     map[types.NamespacedName]*gatewayNode{},
		listenerSets: map[types.NamespacedName]*listenerSetNode{},
		fleets:       map[types.NamespacedName]*fleetNode{},
		scopes:       map[Key]*scopeNode{},
		routes:       map[Key]*routeNode{},
		grants:       map[types.NamespacedName]*gwv1.ReferenceGrant{},
		namespaces:   map[string]*corev1.Namespace{},
		services:     map[types.NamespacedName]*corev1.Service{},
		secrets:      map[types.NamespacedName]*corev1.Secret{},
		keyPairs:     map[types.NamespacedName]*secretKeyPair{},
		slices:       map[types.NamespacedName]*discoveryv1.EndpointSlice{},
		configMaps:   map[types.NamespacedName]*corev1.ConfigMap{},
		xbackends:    map[types.NamespacedName]*xbackendNode{},
		meshes:       map[string]*gwxv1alpha1.XMesh{},

		gatewaysByClass:      index[string, types.NamespacedName]{},
		gatewaysByFleet:      index[types.NamespacedName, types.NamespacedName]{},
		gatewaysByScope:      index[Key, types.NamespacedName]{},
		classesByFleet:       index[types.NamespacedName, string]{},
		fleetsByService:      index[types.NamespacedName, types.NamespacedName]{},
		setsByGateway:        index[types.NamespacedName, types.NamespacedName]{},
		setsByNamespace:      index[string, Key]{},
		listenersBySecret:    index[types.NamespacedName, Key]{},
		listenersByConfigMap: index[types.NamespacedName, Key]{},
		listenersAcross:      index[crossing, Key]{},
		routesByParent:       index[Key, *routeNode]{},
		defaults:             map[types.NamespacedName]struct{}{},
		defaultRoutes:        map[*routeNode]struct{}{},
		routesByBackend:      index[Key, *routeNode]{},
		routesByNamespace:    index[string, *routeNode]{},
		routesAcross:         index[crossing, *routeNode]{},
		slicesByService:      index[types.NamespacedName, types.NamespacedName]{},
		xbackendsByReference: index[Key, types.NamespacedName]{},
		xbackendsAcross:      index[crossing, types.NamespacedName]{},

		tlsPolicies:            map[types.NamespacedName]*tlsPolicyNode{},
		tlsPoliciesByService:   index[types.NamespacedName, types.NamespacedName]{},
		tlsPoliciesByConfigMap: index[types.NamespacedName, types.NamespacedName]{},

		trafficPolicies:         map[types.NamespacedName]*trafficPolicyNode{},
		trafficPoliciesByTarget: index[Key, types.NamespacedName]{},
		uses:                    map[Key]map[use]int{},

		permissions: map[permission]int{},
		needed:      map[Key]int{},

		attached:     map[ListenerKey]int32{},
		hostRoutes:   map[Key]index[VirtualHostKey, *routeNode]{},
		streamRoutes: map[ListenerKey]index[string, *routeNode]{},
		meshRoutes:   index[MeshHostKey, *routeNode]{},

		meshConsumers:      index[BackendKey, string]{},
		servicesByAddress:  index[netip.Addr, types.NamespacedName]{},
		servicesByIPFamily: index[corev1.IPFamily, types.NamespacedName]{},
	}
}

// Apply adds obj or puts it in place of the object of its kind and name, and returns what may have changed through it.
// The graph keeps obj: nobody may write to it any more. Apply panics if obj is of a kind that has no Key.
func (g *Graph) Apply(obj metav1.Object) Dirty {
	var d Dirty
	name := types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
	switch o := obj.(type) {
	case *gwv1.GatewayClass:
		g.setClass(o.Name, o, &d)
	case *gwv1.Gateway:
		g.setGateway(name, o, &d)
	case *gwv1.ListenerSet:
		g.setListenerSet(name, o, &d)
	case *gwv1.HTTPRoute, *gwv1.GRPCRoute, *gwv1.TLSRoute, *gwv1.TCPRoute, *gwv1.UDPRoute:
		facts := g.bareRoute(o)
		g.setRoute(facts.Key, facts, &d)
	case *fleetv1alpha1.EnvoyFleet:
		g.setFleet(name, o, &d)
	case *gwv1.ReferenceGrant:
		g.setGrant(name, o, &d)
	case *corev1.Namespace:
		g.setNamespace(o.Name, o, &d)
	case *corev1.Service:
		g.setService(name, o, &d)
	case *corev1.Secret:
		g.setSecret(name, o, &d)
	case *discoveryv1.EndpointSlice:
		g.setSlice(name, o, &d)
	case *corev1.ConfigMap:
		g.setConfigMap(name, o, &d)
	case *gwv1.BackendTLSPolicy:
		g.setTLSPolicy(name, o, &d)
	case *gwxv1alpha1.XBackendTrafficPolicy:
		g.setTrafficPolicy(name, o, &d)
	case *gwxv1alpha1.XBackend:
		g.setXBackend(name, o, &d)
	case *gwxv1alpha1.XMesh:
		g.setXMesh(o.Name, o, &d)
	default:
		panic(fmt.Sprintf("graph: Apply of a %T", obj))
	}
	return d
}

// Delete removes the object with that key, if there is one, and returns what may have changed through it.
func (g *Graph) Delete(key Key) Dirty {
	var d Dirty
	if g.Object(key) == nil {
		return d
	}
	switch name := key.NamespacedName(); key.Kind {
	case KindGatewayClass:
		g.setClass(key.Name, nil, &d)
	case KindGateway:
		g.setGateway(name, nil, &d)
	case KindListenerSet:
		g.setListenerSet(name, nil, &d)
	case KindHTTPRoute, KindGRPCRoute, KindTLSRoute, KindTCPRoute, KindUDPRoute:
		g.setRoute(key, nil, &d)
	case KindEnvoyFleet:
		g.setFleet(name, nil, &d)
	case KindReferenceGrant:
		g.setGrant(name, nil, &d)
	case KindNamespace:
		g.setNamespace(key.Name, nil, &d)
	case KindService:
		g.setService(name, nil, &d)
	case KindSecret:
		g.setSecret(name, nil, &d)
	case KindEndpointSlice:
		g.setSlice(name, nil, &d)
	case KindConfigMap:
		g.setConfigMap(name, nil, &d)
	case KindBackendTLSPolicy:
		g.setTLSPolicy(name, nil, &d)
	case KindBackendTrafficPolicy:
		g.setTrafficPolicy(name, nil, &d)
	case KindBackend:
		g.setXBackend(name, nil, &d)
	case KindMesh:
		g.setXMesh(key.Name, nil, &d)
	}
	return d
}

// Object returns the object with that key as it was given to Apply, or nil.
func (g *Graph) Object(key Key) metav1.Object {
	switch name := key.NamespacedName(); key.Kind {
	case KindGatewayClass:
		return objectOrNil(g.classes[key.Name])
	case KindGateway:
		if node := g.gateways[name]; node != nil {
			return node.object
		}
	case KindListenerSet:
		if node := g.listenerSets[name]; node != nil {
			return node.object
		}
	case KindEnvoyFleet:
		if node := g.fleets[name]; node != nil {
			return node.object
		}
	case KindHTTPRoute, KindGRPCRoute, KindTLSRoute, KindTCPRoute, KindUDPRoute:
		if node := g.routes[key]; node != nil {
			return node.facts.object()
		}
	case KindReferenceGrant:
		return objectOrNil(g.grants[name])
	case KindNamespace:
		return objectOrNil(g.namespaces[key.Name])
	case KindService:
		return objectOrNil(g.services[name])
	case KindSecret:
		return objectOrNil(g.secrets[name])
	case KindEndpointSlice:
		return objectOrNil(g.slices[name])
	case KindConfigMap:
		return objectOrNil(g.configMaps[name])
	case KindBackendTLSPolicy:
		if node := g.tlsPolicies[name]; node != nil {
			return node.object
		}
	case KindBackendTrafficPolicy:
		if node := g.trafficPolicies[name]; node != nil {
			return node.object
		}
	case KindBackend:
		if node := g.xbackends[name]; node != nil {
			return node.object
		}
	case KindMesh:
		return objectOrNil(g.meshes[key.Name])
	}
	return nil
}

// objectOrNil keeps a nil pointer from becoming an interface that isn't nil.
func objectOrNil[T any, P interface {
	*T
	metav1.Object
}](obj P) metav1.Object {
	if obj == nil {
		return nil
	}
	return obj
}

// put stores value under key, or removes the key if value is nil.
func put[K comparable, T any](m map[K]*T, key K, value *T) {
	if value == nil {
		delete(m, key)
	} else {
		m[key] = value
	}
}
