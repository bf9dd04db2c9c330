package status

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// XMesh returns the status of an XMesh of the given metadata.generation: the condition Accepted, merged into old, and
// supportedFeatures. The status of an XMesh of another controller is returned as it is.
func XMesh(f *graph.XMeshFacts, old gwxv1alpha1.MeshStatus, generation int64, now metav1.Time) gwxv1alpha1.MeshStatus {
	if !f.Managed {
		return old
	}
	status := *old.DeepCopy()
	merge(&status.Conditions, generation, now, meshVerdicts(f)...)
	status.SupportedFeatures = featureList(meshFeatures)
	return status
}

func meshVerdicts(f *graph.XMeshFacts) []verdict {
	message := "Sidecars and proxyless gRPC clients get it as the name of the mesh"
	if f.Overruled {
		message = "Routes whose parents are Services are served to sidecars and proxyless gRPC clients"
	}
	return []verdict{positive(gwxv1alpha1.MeshConditionAccepted, f.Unaccepted, gwxv1alpha1.MeshReasonAccepted,
		strings.Join(append([]string{message}, f.Warnings...), ". "))}
}

// RestoreXMesh is RestoreGatewayClass for an XMesh.
func RestoreXMesh(f *graph.XMeshFacts, written, stored gwxv1alpha1.MeshStatus) gwxv1alpha1.MeshStatus {
	if f.Managed {
		written.Conditions = restore(written.Conditions, stored.Conditions, meshConditionTypes)
		written.SupportedFeatures = stored.SupportedFeatures
	}
	return written
}

// XMeshWarnings returns what the writer of an XMesh should know.
func XMeshWarnings(f *graph.XMeshFacts) []string {
	var w warnings
	w.problem("the XMesh is not accepted", f.Unaccepted)
	w.add(f.Warnings...)
	return w
}
