package graph

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// InfrastructureFacts is what is true of the objects in the cluster that a Gateway of a fleet with provisioning is to have.
type InfrastructureFacts struct {
	// Wanted is what there is to be; nil if it can't be said, and whatever is there stays: the Gateway isn't accepted, has no
	// port that could be served, or the server makes no objects.
	Wanted *Infrastructure
	// Addresses are those of the Service, which are the Gateway's: IP addresses and hostnames.
	Addresses []gwv1.GatewayStatusAddress
	// Failed is what kube-apiserver, or an object that is somebody else's, had against it when it was last tried: Forbidden,
	// Conflict or Invalid. It comes from the status of the Gateway, where whoever makes the objects has left it.
	Failed *Problem
	// Unprogrammed is why the Gateway can't be reached, although Envoys would get configuration: NoResources,
	// AddressNotAssigned, AddressNotUsable.
	Unprogrammed *Problem
}

// Infrastructure is what there is to be in the cluster for a Gateway: Envoys, and a Service by which they are reached.
type Infrastructure struct {
	// Gateway owns the objects, which are in its namespace. UID tells it from others that had its name.
	Gateway types.NamespacedName
	UID     types.UID
	// Class is the name of its GatewayClass.
	Class string
	// Name is that of all objects.
	Name string
	// Labels and Annotations are for all objects.
	Labels, Annotations map[string]string
	// Ports are those of the listeners, each once, sorted; there is one at least.
	Ports []InfrastructurePort
	// Addresses are the IP addresses that the Service is asked to have; empty if any will do.
	Addresses []string
	// BindAddress is the address that listeners bind; empty if they bind every address.
	BindAddress string
	// Provisioning is how the EnvoyFleet wants them run.
	Provisioning fleetv1alpha1.Provisioning
}

// InfrastructurePort is a port by which a Gateway is reached: TCP or UDP.
type InfrastructurePort struct {
	Port     int32
	Protocol corev1.Protocol
}
