package status

import (
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// supported are the features of the Gateway API that hold here as package features and the conformance tests define
// them, whatever the class. A feature that is served in part is not claimed. Mesh and its kin are claimed in the status of an XMesh.
var supported = append([]features.FeatureName{
	features.SupportGateway,
	features.SupportGatewayBackendClientCertificate,
	features.SupportGatewayFrontendClientCertificateValidation,
	features.SupportGatewayFrontendClientCertificateValidationInsecureFallback,
	features.SupportGatewayHTTPListenerIsolation,
	features.SupportGatewayHTTPSListenerDetectMisdirectedRequests,
	features.SupportGatewayPort8080,

	features.SupportListenerSet,

	features.SupportReferenceGrant,

	features.SupportBackendTLSPolicy,
	features.SupportBackendTLSPolicySANValidation,

	features.SupportTLSRoute,
	features.SupportTLSRouteModeTerminate,
	features.SupportTLSRouteModeMixed,

	features.SupportTCPRoute,

	features.SupportUDPRoute,
}, supportedOfRequests...)

// supportedOfRequests are those of routes of requests. They hold for Gateways and for sidecars alike.
var supportedOfRequests = []features.FeatureName{
	features.SupportHTTPRoute,
	features.SupportHTTPRoute303RedirectStatusCode,
	features.SupportHTTPRoute307RedirectStatusCode,
	features.SupportHTTPRoute308RedirectStatusCode,
	features.SupportHTTPRouteBackendProtocolH2C,
	features.SupportHTTPRouteBackendProtocolWebSocket,
	features.SupportHTTPRouteBackendRequestHeaderModification,
	features.SupportHTTPRouteBackendTimeout,
	features.SupportHTTPRouteCORS,
	features.SupportHTTPRouteDestinationPortMatching, // parentRefs[].port, the older name (GEP-957)
	features.SupportHTTPRouteHostRewrite,
	features.SupportHTTPRouteMethodMatching,
	features.SupportHTTPRouteNamedRouteRule,
	features.SupportHTTPRouteParentRefPort,
	features.SupportHTTPRoutePathRedirect,
	features.SupportHTTPRoutePathRewrite,
	features.SupportHTTPRoutePortRedirect,
	features.SupportHTTPRouteQueryParamMatching,
	features.SupportHTTPRouteRequestMirror,
	features.SupportHTTPRouteRequestMultipleMirrors,
	features.SupportHTTPRouteRequestPercentageMirror,
	features.SupportHTTPRouteRequestTimeout,
	features.SupportHTTPRouteResponseHeaderModification,
	features.SupportHTTPRouteRetry,
	features.SupportHTTPRouteRetryBackendTimeout,
	features.SupportHTTPRouteRetryConnectionError,
	features.SupportHTTPRouteSchemeRedirect,

	features.SupportGRPCRoute,
	features.SupportGRPCRouteNamedRouteRule,
}

// meshFeatures are those that hold for clients with a sidecar; proxyless gRPC clients do less. ReferenceGrant isn't among them: in
// a mesh, references to Services need none (GEP-1294).
var meshFeatures = append([]features.FeatureName{
	features.SupportMesh,
	features.SupportMeshClusterIPMatching,
	features.SupportMeshConsumerRoute,
	features.SupportMeshHTTPRouteBackendRequestHeaderModification,
	features.SupportMeshHTTPRouteNamedRouteRule,
	features.SupportMeshHTTPRouteQueryParamMatching,
	features.SupportMeshHTTPRouteRedirectPath,
	features.SupportMeshHTTPRouteRedirectPort,
	features.SupportMeshHTTPRouteRewritePath,
	features.SupportMeshHTTPRouteSchemeRedirect,
}, supportedOfRequests...)

// pooled and provisioned are the features that depend on the EnvoyFleet of the class. Only with a pool of addresses is it known
// which address can be used; there has to be a pool, or a Service for each Gateway, for one to be assigned; and there have to be
// objects for a Gateway's labels and annotations to be carried.
var (
	pooled      = []features.FeatureName{features.SupportGatewayAddressEmpty, features.SupportGatewayStaticAddresses}
	provisioned = []features.FeatureName{features.SupportGatewayAddressEmpty, features.SupportGatewayInfrastructure}
)

// SupportedFeatures returns status.supportedFeatures of a GatewayClass, "sorted in ascending alphabetical order by the
// Name key". The slice is the caller's.
func SupportedFeatures(f *graph.GatewayClassFacts) []gwv1.SupportedFeature {
	names := supported
	switch {
	case f.Provisions:
		names = slices.Concat(supported, provisioned)
	case f.Fleet != nil && f.Fleet.Object.Spec.Addresses != nil && len(f.Fleet.Object.Spec.Addresses.Pool) > 0:
		names = slices.Concat(supported, pooled)
	}
	return featureList(names)
}

func featureList(names []features.FeatureName) []gwv1.SupportedFeature {
	list := make([]gwv1.SupportedFeature, 0, len(names))
	for _, name := range slices.Sorted(slices.Values(names)) {
		list = append(list, gwv1.SupportedFeature{Name: gwv1.FeatureName(name)})
	}
	return list
}
