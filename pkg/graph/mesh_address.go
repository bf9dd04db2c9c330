package graph

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Sidecars know a Service by its cluster IPs: a connection says where it goes by nothing else that can be relied on. "The
// conformant implementation would use ... the ClusterIP ... matching" (GEP-1294).

// Sidecar returns what is true of all sidecars.
func (g *Graph) Sidecar() SidecarFacts {
	return SidecarFacts{IPv6: len(g.servicesByIPFamily[corev1.IPv6Protocol]) > 0}
}

// clusterIPs returns the addresses of a Service that connections can go to, in its order, each once. A headless Service has none.
// Addresses that aren't those of other hosts are none: a listener there would take connections that nobody makes to a Service.
func clusterIPs(service *corev1.Service) []netip.Addr {
	if service == nil || service.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	texts := service.Spec.ClusterIPs
	if len(texts) == 0 {
		texts = []string{service.Spec.ClusterIP}
	}
	var addresses []netip.Addr
	for _, text := range texts {
		address, err := netip.ParseAddr(text)
		if address = address.Unmap(); err != nil || !address.IsGlobalUnicast() || address.Zone() != "" || slices.Contains(addresses, address) {
			continue
		}
		addresses = append(addresses, address)
	}
	return addresses
}

func ipFamily(address netip.Addr) corev1.IPFamily {
	if address.Is6() {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

// meshAddresses returns the cluster IPs by which a Service is known. In a cluster, no two Services have one in common; without
// one, nobody sees to that, and the oldest has it: an Envoy refuses two listeners of one address.
func (g *Graph) meshAddresses(service *corev1.Service) []string {
	var addresses []string
	for _, address := range clusterIPs(service) {
		oldest := service
		for other := range g.servicesByAddress[address] {
			if compareAge(g.services[other], oldest) < 0 {
				oldest = g.services[other]
			}
		}
		if oldest == service {
			addresses = append(addresses, address.String())
		}
	}
	return addresses
}

// addressesChanged follows the cluster IPs of a Service, which has changed from one state to another. Those who had to leave an
// address to it, or have it back, are others too.
func (g *Graph) addressesChanged(name types.NamespacedName, before, after *corev1.Service, d *Dirty) {
	if slices.Equal(clusterIPs(before), clusterIPs(after)) && sameAge(before, after) {
		return
	}
	ipv6 := g.Sidecar().IPv6
	concerned := map[types.NamespacedName]struct{}{name: {}}
	edit := func(service *corev1.Service, present bool) {
		for _, address := range clusterIPs(service) {
			for other := range g.servicesByAddress[address] {
				concerned[other] = struct{}{}
			}
			g.servicesByAddress.edit(present, address, name)
			g.servicesByIPFamily.edit(present, ipFamily(address), name)
		}
	}
	edit(before, false)
	edit(after, true)
	d.Sidecars = d.Sidecars || ipv6 != g.Sidecar().IPv6
	for service := range concerned {
		for port := range servicePorts(g.services[service]) {
			g.meshHostChanged(ServiceBackend(service, port.Port), d)
		}
	}
}

// sameAge says that two states of a Service, each of which may be nil, are of the same object.
func sameAge(a, b *corev1.Service) bool {
	return a != nil && b != nil && a.CreationTimestamp.Equal(&b.CreationTimestamp)
}
