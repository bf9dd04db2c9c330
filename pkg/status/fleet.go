package status

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// EnvoyFleet returns the status of an EnvoyFleet of the given metadata.generation: the condition Accepted, merged into old, and
// how many Gateways it serves.
func EnvoyFleet(f *graph.EnvoyFleetFacts, old fleetv1alpha1.EnvoyFleetStatus, generation int64, now metav1.Time) fleetv1alpha1.EnvoyFleetStatus {
	status := *old.DeepCopy()
	merge(&status.Conditions, generation, now, fleetVerdicts(f)...)
	status.Gateways = f.Gateways
	return status
}

func fleetVerdicts(f *graph.EnvoyFleetFacts) []verdict {
	return []verdict{positive(fleetv1alpha1.ConditionAccepted, f.Unaccepted, fleetv1alpha1.ReasonAccepted, "The spec can be used")}
}

// RestoreEnvoyFleet is RestoreGatewayClass for an EnvoyFleet.
func RestoreEnvoyFleet(_ *graph.EnvoyFleetFacts, written, stored fleetv1alpha1.EnvoyFleetStatus) fleetv1alpha1.EnvoyFleetStatus {
	written.Conditions = restore(written.Conditions, stored.Conditions, fleetConditionTypes)
	return written
}

// EnvoyFleetWarnings returns what the writer of an EnvoyFleet should know.
func EnvoyFleetWarnings(f *graph.EnvoyFleetFacts) []string {
	var w warnings
	w.problem("the EnvoyFleet is not accepted", f.Unaccepted)
	w.add(f.Warnings...)
	return w
}
