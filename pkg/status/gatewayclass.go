package status

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// GatewayClass returns the status of a GatewayClass of the given metadata.generation: the conditions Accepted and
// SupportedVersion, merged into old, and supportedFeatures. The status of a class of another controller is returned as
// it is.
func GatewayClass(f *graph.GatewayClassFacts, old gwv1.GatewayClassStatus, generation int64, now metav1.Time) gwv1.GatewayClassStatus {
	if !f.Managed {
		return old
	}
	status := *old.DeepCopy()
	merge(&status.Conditions, generation, now, classVerdicts(f)...)
	status.SupportedFeatures = SupportedFeatures(f)
	return status
}

// classVerdicts are the conditions of a GatewayClass.
func classVerdicts(f *graph.GatewayClassFacts) []verdict {
	return []verdict{
		positive(gwv1.GatewayClassConditionStatusAccepted, f.Unaccepted,
			gwv1.GatewayClassReasonAccepted, "Gateways of this class are served by "+string(graph.ControllerName)),
		// The specification defines this condition by the annotations of the CRDs that are installed. Here there are
		// none: the API is served from the types and schemas of the bundle that this binary is built from.
		positive(gwv1.GatewayClassConditionStatusSupportedVersion, nil,
			gwv1.GatewayClassReasonSupportedVersion, "The API is served from the compiled-in Gateway API bundle "+consts.BundleVersion),
	}
}
