package graph

import (
	"k8s.io/apimachinery/pkg/types"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// EnvoyFleetFacts is what is true of an EnvoyFleet.
type EnvoyFleetFacts struct {
	// Object is the EnvoyFleet; as GatewayFacts.Fleet, with its name and spec alone.
	Object *fleetv1alpha1.EnvoyFleet
	// Unaccepted: Invalid; or RefNotFound or InvalidBackendTLSPolicy, which is about the collector of traces: then Gateways are
	// served, untraced.
	Unaccepted *Problem
	// Gateways is how many Gateways of ours refer to it, themselves or by their class.
	Gateways int32
	// Collector is the port of a Service that spans are sent to; nil if none are, or if they can't be.
	Collector *BackendFacts
	// Warnings name fields that have no effect or another one, and why.
	Warnings []string
}

// FleetNodesFacts is which Envoy nodes are those of an EnvoyFleet, accepted or not, and what they serve.
type FleetNodesFacts struct {
	// Selectors are spec.nodes, which is not to be written to.
	Selectors []fleetv1alpha1.NodeSelector
	// Merged says that the Gateways are served in the scope of the EnvoyFleet, and not each in its own.
	Merged bool
	// Gateways are those of ours that refer to it, themselves or by their class, sorted.
	Gateways []types.NamespacedName
}
