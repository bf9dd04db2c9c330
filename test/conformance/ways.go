package conformance

import "slices"

// way is a way to run gateway-apiserver that the suite is run in.
type way string

const (
	inCluster   way = "cluster"     // with Envoys that somebody else runs
	provisioned way = "provisioned" // in a cluster, with Envoys that gateway-apiserver runs
	standalone  way = "standalone"
)

var ways = []way{inCluster, provisioned, standalone}

// leftOut are the tests that are not run.
func (w way) leftOut() []string {
	var tests []string
	for _, group := range dataPlane {
		tests = append(tests, group.tests...)
	}
	for test := range elsewhere[w] {
		tests = append(tests, test)
	}
	return tests
}

// elsewhere are tests that pass in another way, with why they can't in this one.
var elsewhere = map[way]map[string]string{
	inCluster: {
		"GatewayInfrastructureMetadata": "nothing is made for a Gateway but by provisioning",
		"GatewayInvalidParametersRef":   "it is of the feature GatewayInfrastructure, which a class claims with provisioning",
	},
	provisioned: {"GatewayStaticAddresses": "addresses are those that the Service gets"},
	standalone: {
		"GatewayInfrastructureMetadata": "there is no cluster in which to make anything for a Gateway",
		"GatewayInvalidParametersRef":   "it is of the feature GatewayInfrastructure, which a class claims with provisioning",
	},
}

// dataPlane are the tests that need a data plane, by why. All others only look at what the API says.
var dataPlane = []struct {
	why   string
	tests []string
}{
	{"they send HTTP requests", []string{
		"BackendTLSPolicy",
		"BackendTLSPolicyConflictResolution",
		"BackendTLSPolicyInvalidCACertificateRef",
		"BackendTLSPolicyInvalidKind",
		"BackendTLSPolicySANValidation",
		"GatewayFrontendClientCertificateValidation",
		"GatewayFrontendClientCertificateValidationInsecureFallback",
		"GatewayFrontendInvalidDefaultClientCertificateValidation",
		"GatewayHTTPListenerIsolation",
		"GatewayTLSBackendClientCertificate",
		"HTTPRoute303Redirect",
		"HTTPRoute307Redirect",
		"HTTPRoute308Redirect",
		"HTTPRouteBackendProtocolH2C",
		"HTTPRouteBackendProtocolWebSocket",
		"HTTPRouteBackendRequestHeaderModifier",
		"HTTPRouteCORS",
		"HTTPRouteCrossNamespace",
		"HTTPRouteExactPathMatching",
		"HTTPRouteHTTPSListener",
		"HTTPRouteHTTPSListenerDetectMisdirectedRequests",
		"HTTPRouteHeaderMatching",
		"HTTPRouteHostnameIntersection",
		"HTTPRouteInvalidBackendRefUnknownKind",
		"HTTPRouteInvalidCrossNamespaceBackendRef",
		"HTTPRouteInvalidNonExistentBackendRef",
		"HTTPRouteInvalidReferenceGrant",
		"HTTPRouteListenerHostnameMatching",
		"HTTPRouteListenerPortMatching",
		"HTTPRouteMatching",
		"HTTPRouteMatchingAcrossRoutes",
		"HTTPRouteMethodMatching",
		"HTTPRouteMultipleGateways",
		"HTTPRouteNamedRule",
		"HTTPRouteNoBackendRefs",
		"HTTPRoutePartiallyInvalidViaInvalidReferenceGrant",
		"HTTPRoutePathMatchOrder",
		"HTTPRouteQueryParamMatching",
		"HTTPRouteRedirectHostAndStatus",
		"HTTPRouteRedirectPath",
		"HTTPRouteRedirectPort",
		"HTTPRouteRedirectPortAndScheme",
		"HTTPRouteRedirectScheme",
		"HTTPRouteReferenceGrant",
		"HTTPRouteRequestHeaderModifier",
		"HTTPRouteRequestHeaderModifierBackendWeights",
		"HTTPRouteRequestMirror",
		"HTTPRouteRequestMultipleMirrors",
		"HTTPRouteRequestPercentageMirror",
		"HTTPRouteResponseHeaderModifier",
		"HTTPRouteRetry",
		"HTTPRouteRewriteHost",
		"HTTPRouteRewritePath",
		"HTTPRouteServiceTypes",
		"HTTPRouteSimpleSameNamespace",
		"HTTPRouteTimeoutBackendRequest",
		"HTTPRouteTimeoutRequest",
		"HTTPRouteWeight",
		"ListenerSetAllowedRoutesNamespaces",
		"ListenerSetDualParentRefIndependence",
		"ListenerSetGatewayParentSectionNameNotFound",
		"ListenerSetHTTPRouting",
	}},
	{"they send gRPC requests", []string{
		"GRPCExactMethodMatching",
		"GRPCRouteHeaderMatching",
		"GRPCRouteListenerHostnameMatching",
		"GRPCRouteNamedRule",
		"GRPCRouteWeight",
	}},
	{"they open TLS connections", []string{
		"TLSRouteHostnameIntersection",
		"TLSRouteInvalidBackendRefNonexistent",
		"TLSRouteInvalidBackendRefUnknownKind",
		"TLSRouteMixedTerminationSameNamespace",
		"TLSRouteSimpleSameNamespace",
		"TLSRouteTerminateSimpleSameNamespace",
	}},
	{"they open TCP connections", []string{
		"TCPRouteMultipleRoutesAttachment",
		"TCPRouteParentRefAttachAll",
		"TCPRouteParentRefPortAndSectionName",
		"TCPRouteReferenceGrant",
		"TCPRouteWeightedRouting",
	}},
	{"they send UDP datagrams", []string{
		"UDPRoute",
		"UDPRouteMultipleRoutesAttachment",
		"UDPRouteParentRefAttachAllListeners",
		"UDPRouteParentRefPortAndSectionName",
		"UDPRouteReferenceGrant",
		"UDPRouteWeightedRouting",
	}},
	{"they send requests from inside pods of a mesh", []string{
		"MeshBasic",
		"MeshConsumerRoute",
		"MeshFrontend",
		"MeshFrontendHostname",
		"MeshGRPCRouteWeight",
		"MeshHTTPRoute303Redirect",
		"MeshHTTPRoute307Redirect",
		"MeshHTTPRoute308Redirect",
		"MeshHTTPRouteBackendRequestHeaderModifier",
		"MeshHTTPRouteMatching",
		"MeshHTTPRouteNamedRule",
		"MeshHTTPRouteQueryParamMatching",
		"MeshHTTPRouteRedirectHostAndStatus",
		"MeshHTTPRouteRedirectPath",
		"MeshHTTPRouteRedirectPort",
		"MeshHTTPRouteRequestHeaderModifier",
		"MeshHTTPRouteRewritePath",
		"MeshHTTPRouteSchemeRedirect",
		"MeshHTTPRouteSimpleSameNamespace",
		"MeshHTTPRouteWeight",
		"MeshPorts",
		"MeshTrafficSplit",
	}},
}

func needsDataPlane(test string) bool {
	for _, group := range dataPlane {
		if slices.Contains(group.tests, test) {
			return true
		}
	}
	return false
}
