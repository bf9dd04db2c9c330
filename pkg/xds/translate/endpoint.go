package translate

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// ClusterLoadAssignment returns the endpoints behind a port of a Service, by zone; nil for an XBackend, of which Envoy finds them
// itself. All clusters of the port share it.
//
// Endpoints are those that are ready; if none is, those that still serve while they terminate, as kube-proxy does it
// (KEP-1669). A zone weighs as much as it has endpoints, so that every endpoint gets the same share.
func ClusterLoadAssignment(sp *graph.BackendPortFacts) *endpointv3.ClusterLoadAssignment {
	if sp.Hostname != "" {
		return nil
	}
	if sp.Shares != nil {
		return &endpointv3.ClusterLoadAssignment{ClusterName: sp.Key.String(), Endpoints: sharedEndpoints(sp.Shares)}
	}
	byZone := map[string][]netip.AddrPort{}
	for addr, zone := range endpoints(sp) {
		byZone[zone] = append(byZone[zone], addr)
	}
	out := &endpointv3.ClusterLoadAssignment{ClusterName: sp.Key.String()}
	for _, zone := range slices.Sorted(maps.Keys(byZone)) {
		addrs := byZone[zone]
		slices.SortFunc(addrs, netip.AddrPort.Compare)
		locality := &endpointv3.LocalityLbEndpoints{
			Locality:            &corev3.Locality{Zone: zone},
			LoadBalancingWeight: wrapperspb.UInt32(uint32(len(addrs))),
		}
		for _, addr := range addrs {
			locality.LbEndpoints = append(locality.LbEndpoints, lbEndpoint(addr))
		}
		out.Endpoints = append(out.Endpoints, locality)
	}
	return out
}

func lbEndpoint(addr netip.AddrPort) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
		Address: socketAddress(addr.Addr().String(), int32(addr.Port())),
	}}}
}

// endpoints returns the zone of each address that traffic may go to. An address that several slices name, as happens
// while endpoints move between slices, counts once, in the zone that the first slice gives it.
func endpoints(sp *graph.BackendPortFacts) map[netip.AddrPort]string {
	ready, terminating := map[netip.AddrPort]string{}, map[netip.AddrPort]string{}
	for _, slice := range sp.Slices {
		if slice.AddressType != discoveryv1.AddressTypeIPv4 && slice.AddressType != discoveryv1.AddressTypeIPv6 {
			continue
		}
		for _, port := range slicePorts(slice, sp.Port) {
			for i := range slice.Endpoints {
				addr, ok := endpointAddress(&slice.Endpoints[i])
				if !ok {
					continue
				}
				into := ready
				switch c := slice.Endpoints[i].Conditions; {
				case deref(c.Ready, true):
				case deref(c.Serving, true) && deref(c.Terminating, false):
					into = terminating
				default:
					continue
				}
				key := netip.AddrPortFrom(addr, port)
				if _, known := into[key]; !known {
					into[key] = deref(slice.Endpoints[i].Zone, "")
				}
			}
		}
	}
	if len(ready) == 0 {
		return terminating
	}
	return ready
}

// slicePorts returns the numbers that a slice has for a port of the Service. "The name of this port. All ports in an
// EndpointSlice must have a unique name": it is how the two are matched, since pods may differ in the number.
func slicePorts(slice *discoveryv1.EndpointSlice, port *corev1.ServicePort) []uint16 {
	var out []uint16
	for _, p := range slice.Ports {
		sameProtocol := deref(p.Protocol, corev1.ProtocolTCP) == cmp.Or(port.Protocol, corev1.ProtocolTCP)
		if deref(p.Name, "") == port.Name && sameProtocol && p.Port != nil {
			out = append(out, uint16(*p.Port))
		}
	}
	return out
}

// endpointAddress returns the address of an endpoint: the first, for "no semantics are defined for additional addresses".
// Envoy would refuse the whole resource for one address that isn't an IP's.
func endpointAddress(e *discoveryv1.Endpoint) (netip.Addr, bool) {
	if len(e.Addresses) == 0 {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(e.Addresses[0])
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

// deref returns what p points to, or the API's default.
func deref[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
