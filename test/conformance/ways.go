//go:build linux

package conformance

import (
	"slices"

	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// way is a way to run gateway-apiserver that the suite is run in.
type way string

const (
	inCluster   way = "cluster"     // Gateways in a cluster, with data planes that somebody else runs
	standalone  way = "standalone"  // the same without a cluster
	provisioned way = "provisioned" // in a cluster, with Envoys that gateway-apiserver runs
	mesh        way = "mesh"        // Services in a cluster, with a sidecar in each Pod
	proxyless   way = "proxyless"   // the same, with gRPC clients that are their own data plane
)

var ways = []way{inCluster, standalone, provisioned, mesh, proxyless}

// profiles are those that are claimed in a way.
func (w way) profiles() []suite.ConformanceProfile {
	switch w {
	case mesh:
		return []suite.ConformanceProfile{suite.MeshHTTPConformanceProfile, suite.MeshGRPCConformanceProfile}
	case proxyless:
		return []suite.ConformanceProfile{suite.MeshGRPCConformanceProfile}
	default:
		return []suite.ConformanceProfile{
			suite.GatewayHTTPConformanceProfile,
			suite.GatewayGRPCConformanceProfile,
			suite.GatewayTLSConformanceProfile,
			suite.GatewayTCPConformanceProfile,
			suite.GatewayUDPConformanceProfile,
		}
	}
}

// concerns says whether a test is about what runs in a way at all: Gateways or a mesh, of which proxyless clients know the
// routes of gRPC.
func (w way) concerns(test suite.ConformanceTest) bool {
	has := func(feature features.FeatureName) bool { return slices.Contains(test.Features, feature) }
	switch w {
	case mesh:
		return has(features.SupportMesh)
	case proxyless:
		return suite.MeshGRPCConformanceProfile.CoreFeatures.HasAll(test.Features...)
	default:
		return has(features.SupportGateway)
	}
}

// leftOut says why a test that concerns a way isn't run in it; it is empty if it is run.
func (w way) leftOut(test suite.ConformanceTest) string {
	return elsewhere[w][test.ShortName]
}

// all are the tests that are run in a way.
func (w way) all() []suite.ConformanceTest {
	var run []suite.ConformanceTest
	for _, test := range tests.ConformanceTests {
		if w.concerns(test) && w.leftOut(test) == "" {
			run = append(run, test)
		}
	}
	return run
}

// elsewhere are tests that pass in another way, with why they can't in this one.
var elsewhere = map[way]map[string]string{
	inCluster: {
		"GatewayInfrastructureMetadata": "nothing is made for a Gateway but by provisioning",
		"GatewayInvalidParametersRef":   "it is of the feature GatewayInfrastructure, which a class claims with provisioning",
	},
	standalone: {
		"GatewayInfrastructureMetadata": "there is no cluster in which to make anything for a Gateway",
		"GatewayInvalidParametersRef":   "it is of the feature GatewayInfrastructure, which a class claims with provisioning",
	},
	provisioned: {"GatewayStaticAddresses": "addresses are those that the Service gets"},
}

// statusOnly are the tests of Gateways that only look at what the API says. All others send traffic.
var statusOnly = set(
	"BackendTLSPolicyObservedGenerationBump",
	"GatewayClassObservedGenerationBump",
	"GatewayInfrastructureMetadata",
	"GatewayInvalidFrontendClientCertificateValidation",
	"GatewayInvalidParametersRef",
	"GatewayInvalidRouteKind",
	"GatewayInvalidTLSBackendConfiguration",
	"GatewayInvalidTLSConfiguration",
	"GatewayListenerUnsupportedProtocol",
	"GatewayModifyListeners",
	"GatewayObservedGenerationBump",
	"GatewayOptionalAddressValue",
	"GatewaySecretInvalidReferenceGrant",
	"GatewaySecretMissingReferenceGrant",
	"GatewaySecretReferenceGrantAllInNamespace",
	"GatewaySecretReferenceGrantSpecific",
	"GatewayStaticAddresses",
	"GatewayWithAttachedRoutes",
	"GatewayWithAttachedRoutesWithPort8080",
	"HTTPRouteDisallowedKind",
	"HTTPRouteInvalidCrossNamespaceParentRef",
	"HTTPRouteInvalidParentRefNotMatchingListenerPort",
	"HTTPRouteInvalidParentRefNotMatchingSectionName",
	"HTTPRouteInvalidParentRefSectionNameNotMatchingPort",
	"HTTPRouteObservedGenerationBump",
	"ListenerSetAllowedNamespaceNone",
	"ListenerSetAllowedNamespaceSame",
	"ListenerSetAllowedNamespaceSelector",
	"ListenerSetAllowedRoutesSupportedKinds",
	"ListenerSetDefaultNotAllowed",
	"ListenerSetHostnameConflict",
	"ListenerSetProtocolConflict",
	"ListenerSetReferenceGrant",
	"ListenerSetRouteStatusScopedToParentRef",
	"TCPRouteInvalidBackendRefNonexistent",
	"TCPRouteInvalidCrossNamespaceBackendRef",
	"TCPRouteInvalidNonTCPListener",
	"TLSRouteInvalidNoMatchingListener",
	"TLSRouteInvalidNoMatchingListenerHostname",
	"TLSRouteInvalidReferenceGrant",
	"TLSRouteListenerMixedTerminationNotSupported",
	"TLSRouteListenerPassthroughSupportedKinds",
	"TLSRouteListenerTerminateNotSupported",
	"TLSRouteListenerTerminateSupportedKinds",
	"UDPRouteInvalidBackendRefNonexistent",
	"UDPRouteInvalidCrossNamespaceBackendRef",
	"UDPRouteNotAllowedByListeners",
)

func set(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}
