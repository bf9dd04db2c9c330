package graph

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// addresses are where a Gateway is reached.
type addresses struct {
	held []string // in their canonical form, each once
	// unprogrammed: AddressNotUsable, AddressNotAssigned.
	unprogrammed *Problem
}

// addressesOf finds where a Gateway is reached that isn't provisioned. pooled are the addresses from the pool of its fleet, if
// it has one.
func (g *Graph) addressesOf(f *GatewayFacts, pooled map[types.NamespacedName]addresses) addresses {
	gw := f.Object
	switch {
	case f.Fleet == nil && refersToFleet(gw, g.classes[string(gw.Spec.GatewayClassName)]):
		return addresses{held: keptAddresses(gw)}
	case f.Fleet != nil && f.Fleet.Object.Spec.Addresses != nil:
		if shared := f.Fleet.Object.Spec.Addresses.Shared; len(shared) > 0 {
			return sharedAddresses(f, shared)
		}
		return pooled[namespacedName(gw)]
	}
	own := addresses{boundAddresses(gw), firstProblem(addressNotAssigned(gw), addressNotUsable(gw))}
	if f.Fleet != nil && f.Fleet.Object.Spec.MergeGateways {
		own = addresses{unprogrammed: firstProblem(own.unprogrammed, notOfMerged(f, own.held))}
	}
	return own
}

// unsupportedAddress: "the Gateway could not be accepted because an address that was provided is a type which is not
// supported by the implementation" (GatewayReasonUnsupportedAddress).
func unsupportedAddress(gw *gwv1.Gateway) *Problem {
	for i, a := range gw.Spec.Addresses {
		if !isIPAddress(a) {
			return newProblem(gwv1.GatewayReasonUnsupportedAddress,
				"spec.addresses[%d].type: %s is not supported; use %s", i, *a.Type, gwv1.IPAddressType)
		}
	}
	return nil
}

// addressNotAssigned: "If an implementation does not support an empty value, they MUST set the Programmed condition in
// status to False with a reason of AddressNotAssigned." There is nothing to assign without an EnvoyFleet that has addresses.
func addressNotAssigned(gw *gwv1.Gateway) *Problem {
	for i, a := range gw.Spec.Addresses {
		if isIPAddress(a) && a.Value == "" {
			return newProblem(gwv1.GatewayReasonAddressNotAssigned,
				"spec.addresses[%d].value: there are no addresses to assign; name one, have spec.infrastructure.parametersRef refer to an EnvoyFleet "+
					"with spec.addresses, or leave spec.addresses empty to bind every address", i)
		}
	}
	return nil
}

// addressNotUsable: "the underlying implementation (and possibly, network) are unable to use an address that was
// provided in the Gateway specification" (GatewayReasonAddressNotUsable).
func addressNotUsable(gw *gwv1.Gateway) *Problem {
	for i, a := range gw.Spec.Addresses {
		if _, ok := bindable(a.Value); isIPAddress(a) && a.Value != "" && !ok {
			return newProblem(gwv1.GatewayReasonAddressNotUsable,
				"spec.addresses[%d].value: %s is not an address that a listener can be reached at; use a unicast address without a zone, "+
					"or leave spec.addresses empty to bind every address", i, a.Value)
		}
	}
	return nil
}

// notOfMerged: as addressNotUsable. The listeners of merged Gateways are reached at the same addresses.
func notOfMerged(f *GatewayFacts, own []string) *Problem {
	if len(own) == 0 {
		return nil
	}
	fleet := namespacedName(f.Fleet.Object)
	return newProblem(gwv1.GatewayReasonAddressNotUsable,
		"spec.addresses: must not be set: %s merges its Gateways, which are reached at the same addresses; set them in its spec.addresses", fleetKey(fleet))
}

// sharedAddresses are those of the fleet that a Gateway asks for, or all.
func sharedAddresses(f *GatewayFacts, shared []string) addresses {
	all := distinct(shared)
	var a addresses
	for i, request := range f.Object.Spec.Addresses {
		if !isIPAddress(request) || request.Value == "" {
			continue
		}
		ip, ok := bindable(request.Value)
		switch {
		case ok && slices.Contains(all, ip):
			a.hold(ip)
		case a.unprogrammed == nil:
			a.unprogrammed = newProblem(gwv1.GatewayReasonAddressNotUsable,
				"spec.addresses[%d].value: %s is not an address of %s; ask for some of its spec.addresses.shared, or leave spec.addresses empty",
				i, request.Value, fleetKey(namespacedName(f.Fleet.Object)))
		}
	}
	if wantsAny(f.Object) > 0 {
		for _, ip := range all {
			a.hold(ip)
		}
	}
	return a
}

func (a *addresses) hold(ip string) {
	if !slices.Contains(a.held, ip) {
		a.held = append(a.held, ip)
	}
}

// wantsAny returns how many addresses a Gateway wants to be assigned: one for each empty value, "if no Addresses are specified"
// one.
func wantsAny(gw *gwv1.Gateway) int {
	if len(gw.Spec.Addresses) == 0 {
		return 1
	}
	n := 0
	for _, a := range gw.Spec.Addresses {
		if isIPAddress(a) && a.Value == "" {
			n++
		}
	}
	return n
}

// keptAddresses are those that a Gateway has been given, which it keeps while nothing can be said about its fleet: it may be
// wrong, or gone, for a moment.
func keptAddresses(gw *gwv1.Gateway) []string {
	var values []string
	for _, a := range gw.Status.Addresses {
		if a.Type == nil || *a.Type == gwv1.IPAddressType {
			values = append(values, a.Value)
		}
	}
	return distinct(values)
}

// boundAddresses are the usable addresses of the spec in their canonical form, each once.
func boundAddresses(gw *gwv1.Gateway) []string {
	var values []string
	for _, a := range gw.Spec.Addresses {
		if isIPAddress(a) {
			values = append(values, a.Value)
		}
	}
	return distinct(values)
}

// distinct returns the bindable ones of addresses in their canonical form, each once.
func distinct(values []string) []string {
	var ips []string
	for _, value := range values {
		if ip, ok := bindable(value); ok && !slices.Contains(ips, ip) {
			ips = append(ips, ip)
		}
	}
	return ips
}

func isIPAddress(a gwv1.GatewaySpecAddress) bool {
	return a.Type == nil || *a.Type == gwv1.IPAddressType
}

// bindable returns the canonical form of a unicast IP address. The unspecified address is left out: it would be shown
// in status as an address to send traffic to, and an empty spec.addresses means the same.
func bindable(value string) (string, bool) {
	ip, err := netip.ParseAddr(value)
	if err != nil || ip.Zone() != "" {
		return "", false
	}
	ip = ip.Unmap()
	if slices.ContainsFunc(unusable, func(r addressRange) bool { return r.contains(ip) }) {
		return "", false
	}
	return ip.String(), true
}
