package apis

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	upstreamv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
	upstreamv1alpha3 "sigs.k8s.io/gateway-api/apis/v1alpha3"
	upstreamv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gateway/v1alpha2"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gatewayx/v1alpha1"
)

// The group versions of the Gateway API. Of gateway.networking.k8s.io, v1 is the preferred one, then the newest.
var (
	GatewayV1       = schema.GroupVersion{Group: gatewayv1.GroupName, Version: "v1"}
	GatewayV1beta1  = schema.GroupVersion{Group: gatewayv1.GroupName, Version: "v1beta1"}
	GatewayV1alpha3 = schema.GroupVersion{Group: gatewayv1.GroupName, Version: "v1alpha3"}
	GatewayV1alpha2 = schema.GroupVersion{Group: gatewayv1.GroupName, Version: "v1alpha2"}

	GatewayXV1alpha1 = schema.GroupVersion{Group: gatewayxv1alpha1.GroupVersion.Group, Version: "v1alpha1"}
)

// FleetV1alpha1 is the group version of our own kinds.
var FleetV1alpha1 = fleetv1alpha1.GroupVersion

// A Kind is a kind of object that is stored once and served in several versions. The first one is the hub: objects are
// stored in it, and are of its Go type in memory. A kind that upstream has moved has versions in which its group or its
// name is another: they are views of the same objects.
type Kind []Version

// Version is a kind in one of its versions.
type Version struct {
	schema.GroupVersionKind
	New, NewList func() runtime.Object
}

// Hub is the version that is stored.
func (k Kind) Hub() Version { return k[0] }

// GatewayKinds are the kinds of the Gateway API.
var GatewayKinds = []Kind{
	{
		version[gatewayv1.GatewayClass, gatewayv1.GatewayClassList](GatewayV1, "GatewayClass"),
		version[upstreamv1beta1.GatewayClass, upstreamv1beta1.GatewayClassList](GatewayV1beta1, "GatewayClass"),
		version[v1alpha2.GatewayClass, v1alpha2.GatewayClassList](GatewayV1alpha2, "GatewayClass"),
	},
	{
		version[gatewayv1.Gateway, gatewayv1.GatewayList](GatewayV1, "Gateway"),
		version[upstreamv1beta1.Gateway, upstreamv1beta1.GatewayList](GatewayV1beta1, "Gateway"),
		version[v1alpha2.Gateway, v1alpha2.GatewayList](GatewayV1alpha2, "Gateway"),
	},
	{
		version[gatewayv1.ListenerSet, gatewayv1.ListenerSetList](GatewayV1, "ListenerSet"),
		version[v1alpha1.XListenerSet, v1alpha1.XListenerSetList](GatewayXV1alpha1, "XListenerSet"),
	},
	{
		version[gatewayv1.HTTPRoute, gatewayv1.HTTPRouteList](GatewayV1, "HTTPRoute"),
		version[upstreamv1beta1.HTTPRoute, upstreamv1beta1.HTTPRouteList](GatewayV1beta1, "HTTPRoute"),
		version[v1alpha2.HTTPRoute, v1alpha2.HTTPRouteList](GatewayV1alpha2, "HTTPRoute"),
	},
	{
		version[gatewayv1.GRPCRoute, gatewayv1.GRPCRouteList](GatewayV1, "GRPCRoute"),
		version[upstreamv1alpha2.GRPCRoute, upstreamv1alpha2.GRPCRouteList](GatewayV1alpha2, "GRPCRoute"),
	},
	{
		version[gatewayv1.TLSRoute, gatewayv1.TLSRouteList](GatewayV1, "TLSRoute"),
		version[upstreamv1alpha3.TLSRoute, upstreamv1alpha3.TLSRouteList](GatewayV1alpha3, "TLSRoute"),
		version[upstreamv1alpha2.TLSRoute, upstreamv1alpha2.TLSRouteList](GatewayV1alpha2, "TLSRoute"),
	},
	{
		version[gatewayv1.TCPRoute, gatewayv1.TCPRouteList](GatewayV1, "TCPRoute"),
		version[upstreamv1alpha2.TCPRoute, upstreamv1alpha2.TCPRouteList](GatewayV1alpha2, "TCPRoute"),
	},
	{
		version[gatewayv1.UDPRoute, gatewayv1.UDPRouteList](GatewayV1, "UDPRoute"),
		version[upstreamv1alpha2.UDPRoute, upstreamv1alpha2.UDPRouteList](GatewayV1alpha2, "UDPRoute"),
	},
	{
		version[gatewayv1.ReferenceGrant, gatewayv1.ReferenceGrantList](GatewayV1, "ReferenceGrant"),
		version[upstreamv1beta1.ReferenceGrant, upstreamv1beta1.ReferenceGrantList](GatewayV1beta1, "ReferenceGrant"),
		version[upstreamv1alpha2.ReferenceGrant, upstreamv1alpha2.ReferenceGrantList](GatewayV1alpha2, "ReferenceGrant"),
	},
	{
		version[gatewayv1.BackendTLSPolicy, gatewayv1.BackendTLSPolicyList](GatewayV1, "BackendTLSPolicy"),
		version[upstreamv1alpha3.BackendTLSPolicy, upstreamv1alpha3.BackendTLSPolicyList](GatewayV1alpha3, "BackendTLSPolicy"),
		version[v1alpha2.BackendTLSPolicy, v1alpha2.BackendTLSPolicyList](GatewayV1alpha2, "BackendTLSPolicy"),
	},
	{
		version[gatewayxv1alpha1.XBackendTrafficPolicy, gatewayxv1alpha1.XBackendTrafficPolicyList](GatewayXV1alpha1, "XBackendTrafficPolicy"),
		version[v1alpha2.BackendLBPolicy, v1alpha2.BackendLBPolicyList](GatewayV1alpha2, "BackendLBPolicy"),
	},
	{version[gatewayxv1alpha1.XBackend, gatewayxv1alpha1.XBackendList](GatewayXV1alpha1, "XBackend")},
	{version[gatewayxv1alpha1.XMesh, gatewayxv1alpha1.XMeshList](GatewayXV1alpha1, "XMesh")},
}

// OwnKinds are the kinds of this project's own API group that people write.
var OwnKinds = []Kind{
	{version[fleetv1alpha1.EnvoyFleet, fleetv1alpha1.EnvoyFleetList](FleetV1alpha1, "EnvoyFleet")},
}

// ObservedKinds are the kinds of this project's own API group in which the server says what it sees. Clients only read them,
// and what moves or counts people's objects passes them over.
var ObservedKinds = []Kind{
	{version[fleetv1alpha1.EnvoyNode, fleetv1alpha1.EnvoyNodeList](FleetV1alpha1, "EnvoyNode")},
}

// DefinedKinds are the kinds that CustomResourceDefinitions define (package crd): those of the Gateway API and our own.
var DefinedKinds = slices.Concat(GatewayKinds, OwnKinds, ObservedKinds)

// CoreKinds are the kinds that a Gateway needs and that a cluster would have.
var CoreKinds = []Kind{
	{version[corev1.Namespace, corev1.NamespaceList](corev1.SchemeGroupVersion, "Namespace")},
	{version[corev1.Service, corev1.ServiceList](corev1.SchemeGroupVersion, "Service")},
	{version[corev1.Secret, corev1.SecretList](corev1.SchemeGroupVersion, "Secret")},
	{version[corev1.ConfigMap, corev1.ConfigMapList](corev1.SchemeGroupVersion, "ConfigMap")},
	{version[corev1.Event, corev1.EventList](corev1.SchemeGroupVersion, "Event")},
	{version[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](discoveryv1.SchemeGroupVersion, "EndpointSlice")},
}

func version[T, L any](gv schema.GroupVersion, kind string) Version {
	return Version{
		GroupVersionKind: gv.WithKind(kind),
		New:              func() runtime.Object { return any(new(T)).(runtime.Object) },
		NewList:          func() runtime.Object { return any(new(L)).(runtime.Object) },
	}
}
