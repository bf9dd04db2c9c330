package engine

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// kinds has a row for each kind that the graph holds.
var kinds = map[graph.Kind]kind{
	graph.KindNamespace:      withoutStatus[*corev1.Namespace](),
	graph.KindService:        withoutStatus[*corev1.Service](),
	graph.KindSecret:         withoutStatus[*corev1.Secret](),
	graph.KindConfigMap:      withoutStatus[*corev1.ConfigMap](),
	graph.KindEndpointSlice:  withoutStatus[*discoveryv1.EndpointSlice](),
	graph.KindReferenceGrant: withoutStatus[*gwv1.ReferenceGrant](),

	graph.KindGatewayClass: withStatus(func(c *gwv1.GatewayClass) *gwv1.GatewayClassStatus { return &c.Status },
		(*graph.Graph).PreviewGatewayClass,
		func(g *graph.Graph, key graph.Key) *graph.GatewayClassFacts { return g.GatewayClass(key.Name) },
		status.GatewayClass, status.RestoreGatewayClass, status.GatewayClassWarnings),
	graph.KindGateway: withStatus(func(g *gwv1.Gateway) *gwv1.GatewayStatus { return &g.Status },
		(*graph.Graph).PreviewGateway, named((*graph.Graph).Gateway),
		status.Gateway, status.RestoreGateway, status.GatewayWarnings),

	graph.KindListenerSet: withStatus(func(s *gwv1.ListenerSet) *gwv1.ListenerSetStatus { return &s.Status },
		(*graph.Graph).PreviewListenerSet, named((*graph.Graph).ListenerSet),
		status.ListenerSet, status.RestoreListenerSet, status.ListenerSetWarnings),
	graph.KindEnvoyFleet: withStatus(func(f *fleetv1alpha1.EnvoyFleet) *fleetv1alpha1.EnvoyFleetStatus { return &f.Status },
		(*graph.Graph).PreviewEnvoyFleet, named((*graph.Graph).EnvoyFleet),
		status.EnvoyFleet, status.RestoreEnvoyFleet, status.EnvoyFleetWarnings),

	graph.KindHTTPRoute: route(func(r *gwv1.HTTPRoute) *gwv1.RouteStatus { return &r.Status.RouteStatus }),
	graph.KindGRPCRoute: route(func(r *gwv1.GRPCRoute) *gwv1.RouteStatus { return &r.Status.RouteStatus }),
	graph.KindTLSRoute:  route(func(r *gwv1.TLSRoute) *gwv1.RouteStatus { return &r.Status.RouteStatus }),
	graph.KindTCPRoute:  route(func(r *gwv1.TCPRoute) *gwv1.RouteStatus { return &r.Status.RouteStatus }),
	graph.KindUDPRoute:  route(func(r *gwv1.UDPRoute) *gwv1.RouteStatus { return &r.Status.RouteStatus }),

	graph.KindBackendTLSPolicy: policy(func(p *gwv1.BackendTLSPolicy) *gwv1.PolicyStatus { return &p.Status },
		(*graph.Graph).PreviewBackendTLSPolicy, (*graph.Graph).BackendTLSPolicy,
		status.BackendTLSPolicy, status.BackendTLSPolicyWarnings),
	graph.KindBackendTrafficPolicy: policy(func(p *gwxv1alpha1.XBackendTrafficPolicy) *gwv1.PolicyStatus { return &p.Status },
		(*graph.Graph).PreviewBackendTrafficPolicy, (*graph.Graph).BackendTrafficPolicy,
		status.BackendTrafficPolicy, status.BackendTrafficPolicyWarnings),

	graph.KindBackend: withStatus(func(b *gwxv1alpha1.XBackend) *gwxv1alpha1.BackendStatus { return &b.Status },
		(*graph.Graph).PreviewXBackend, named((*graph.Graph).XBackend),
		status.XBackend, status.RestoreXBackend, status.XBackendWarnings),
	graph.KindMesh: withStatus(func(m *gwxv1alpha1.XMesh) *gwxv1alpha1.MeshStatus { return &m.Status },
		(*graph.Graph).PreviewXMesh,
		func(g *graph.Graph, key graph.Key) *graph.XMeshFacts { return g.XMesh(key.Name) },
		status.XMesh, status.RestoreXMesh, status.XMeshWarnings),
}

// A kind is what the engine has to know of one.
type kind struct {
	// has says that obj is of this kind.
	has func(obj runtime.Object) bool
	// status is nil for a kind without a status of ours.
	status *kindStatus
}

// kindStatus is what the engine does with the statuses of a kind. Objects given to it are of that kind. Facts are what the
// graph finds true of one; nobody else knows their type.
type kindStatus struct {
	// preview returns the facts that would hold if obj were written now.
	preview func(g *graph.Graph, obj runtime.Object) (facts any)
	// facts returns what the graph holds of key; nil if the object is gone.
	facts func(g *graph.Graph, key graph.Key) (facts any)
	// render puts facts into the status of obj, which keeps what is not ours.
	render func(facts any, obj runtime.Object)
	// restore puts what is ours in the status of stored back into the status of written. facts may be nil: then a status is
	// taken for one of an object that is not ours, but its entries under our name stay ours.
	restore func(facts any, written, stored runtime.Object)
	// warnings is what facts have to say to whoever writes the object.
	warnings func(facts any) []string
	// rendered says whether the status of obj says already what render would make of it.
	rendered func(facts any, obj runtime.Object) bool
	// copy gives to the status of from.
	copy func(to, from runtime.Object)
}

// object is what every kind's objects are.
type object interface {
	runtime.Object
	metav1.Object
}

// kindOf returns the row of the kind that obj is of.
func kindOf(obj runtime.Object) (name graph.Kind, row kind) {
	for name, row = range kinds {
		if row.has(obj) {
			return name, row
		}
	}
	return "", kind{}
}

func withoutStatus[O runtime.Object]() kind { return kind{has: is[O]} }

func is[O runtime.Object](obj runtime.Object) bool {
	_, ok := obj.(O)
	return ok
}

// withStatus makes the row of objects of a type O, of which facts F hold. Their status S is a field of which at is the
// address.
func withStatus[O object, F, S any](
	at func(O) *S,
	preview func(*graph.Graph, O) *F,
	facts func(*graph.Graph, graph.Key) *F,
	render func(facts *F, old S, generation int64, now metav1.Time) S,
	restore func(facts *F, written, stored S) S,
	warnings func(*F) []string,
) kind {
	return kind{has: is[O], status: &kindStatus{
		preview: func(g *graph.Graph, obj runtime.Object) any { return preview(g, obj.(O)) },
		facts: func(g *graph.Graph, key graph.Key) any {
			if f := facts(g, key); f != nil {
				return f
			}
			return nil
		},
		render: func(facts any, obj runtime.Object) {
			o := obj.(O)
			*at(o) = render(facts.(*F), *at(o), o.GetGeneration(), metav1.Now())
		},
		restore: func(facts any, written, stored runtime.Object) {
			f, ok := facts.(*F)
			if !ok {
				f = new(F)
			}
			w := at(written.(O))
			*w = restore(f, *w, *at(stored.(O)))
		},
		warnings: func(facts any) []string { return warnings(facts.(*F)) },
		rendered: func(facts any, obj runtime.Object) bool {
			o := obj.(O)
			return equality.Semantic.DeepEqual(*at(o), render(facts.(*F), *at(o), o.GetGeneration(), metav1.Now()))
		},
		copy: func(to, from runtime.Object) { *at(to.(O)) = *at(from.(O)) },
	}}
}

// route is withStatus for a kind of route.
func route[O object](at func(O) *gwv1.RouteStatus) kind {
	preview := func(g *graph.Graph, route O) *graph.RouteFacts { return g.PreviewRoute(route) }
	restore := func(_ *graph.RouteFacts, written, stored gwv1.RouteStatus) gwv1.RouteStatus {
		return status.RestoreRoute(written, stored)
	}
	return withStatus(at, preview, (*graph.Graph).Route, status.Route, restore, status.RouteWarnings)
}

// policy is withStatus for a kind of policy.
func policy[O object, F any](
	at func(O) *gwv1.PolicyStatus,
	preview func(*graph.Graph, O) *F,
	facts func(*graph.Graph, types.NamespacedName) *F,
	render func(facts *F, old gwv1.PolicyStatus, generation int64, now metav1.Time) gwv1.PolicyStatus,
	warnings func(*F) []string,
) kind {
	restore := func(_ *F, written, stored gwv1.PolicyStatus) gwv1.PolicyStatus {
		return status.RestorePolicy(written, stored)
	}
	return withStatus(at, preview, named(facts), render, restore, warnings)
}

// named is facts for the keys of one kind.
func named[F any](facts func(*graph.Graph, types.NamespacedName) *F) func(*graph.Graph, graph.Key) *F {
	return func(g *graph.Graph, key graph.Key) *F { return facts(g, key.NamespacedName()) }
}
