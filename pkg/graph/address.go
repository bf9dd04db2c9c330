package graph

import (
	"net/netip"
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

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
// status to False with a reason of AddressNotAssigned."
func addressNotAssigned(gw *gwv1.Gateway) *Problem {
	for i, a := range gw.Spec.Addresses {
		if isIPAddress(a) && a.Value == "" {
			return newProblem(gwv1.GatewayReasonAddressNotAssigned,
				"spec.addresses[%d].value: addresses are not assigned automatically; name one, or leave spec.addresses empty to bind every address", i)
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

// boundAddresses are the usable addresses of the spec in their canonical form, each once.
func boundAddresses(gw *gwv1.Gateway) []string {
	var addresses []string
	for _, a := range gw.Spec.Addresses {
		ip, ok := bindable(a.Value)
		if isIPAddress(a) && ok && !slices.Contains(addresses, ip) {
			addresses = append(addresses, ip)
		}
	}
	return addresses
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
	if ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return "", false
	}
	return ip.String(), true
}
