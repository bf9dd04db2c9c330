package status

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// ProvisioningFailed returns the status of a Gateway with what is in the way of the objects that it is to have in the
// cluster, or if that is nil, without it. It is the one condition that isn't rendered from facts, but read into them.
func ProvisioningFailed(p *graph.Problem, old gwv1.GatewayStatus, generation int64, now metav1.Time) gwv1.GatewayStatus {
	status := *old.DeepCopy()
	merge(&status.Conditions, generation, now, negative(graph.ConditionProvisioningFailed, p))
	return status
}

// provisioningFailed keeps the condition as it is, for another generation of the Gateway, for as long as it has a meaning.
func provisioningFailed(f *graph.InfrastructureFacts) verdict {
	var failed *graph.Problem
	if f != nil {
		failed = f.Failed
	}
	return negative(graph.ConditionProvisioningFailed, failed)
}

// infrastructureAddresses returns the status.addresses of a Gateway that is reached by a Service.
func infrastructureAddresses(f *graph.InfrastructureFacts) []gwv1.GatewayStatusAddress {
	var list []gwv1.GatewayStatusAddress
	for i := range f.Addresses {
		list = append(list, *f.Addresses[i].DeepCopy())
	}
	return list
}
