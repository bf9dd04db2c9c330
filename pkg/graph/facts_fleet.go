package graph

import fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"

// EnvoyFleetFacts is what is true of an EnvoyFleet.
type EnvoyFleetFacts struct {
	Object *fleetv1alpha1.EnvoyFleet
	// Unaccepted: Invalid, RefNotFound.
	Unaccepted *Problem
	// Gateways is how many Gateways of ours refer to it, themselves or by their class.
	Gateways int32
	// Warnings name fields that have no effect, and why.
	Warnings []string
}
