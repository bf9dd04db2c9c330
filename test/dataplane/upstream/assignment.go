package upstream

import (
	"errors"
	"fmt"
	"net/netip"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// readAssignment returns the endpoints of an assignment that has to be of that name and whose addresses are IPs.
func readAssignment(a *endpointv3.ClusterLoadAssignment, name string) ([]endpoint, error) {
	named, err := readNamed(a)
	if err != nil {
		return nil, err
	}
	if a.GetClusterName() != name {
		return nil, fmt.Errorf("cluster_name: %s is wanted, not %s", name, a.GetClusterName())
	}
	var out []endpoint
	for _, n := range named {
		address, err := netip.ParseAddr(n.host)
		if err != nil {
			return nil, fmt.Errorf("endpoint.address: malformed IP address: %s", n.host)
		}
		out = append(out, endpoint{netip.AddrPortFrom(address, n.port), n.weight})
	}
	return out, nil
}

// namedEndpoint is an endpoint whose host may be a name.
type namedEndpoint struct {
	host   string
	port   uint16
	weight uint32
}

// readNamed returns the endpoints of an assignment. Their health is unknown, which counts as healthy.
func readNamed(a *endpointv3.ClusterLoadAssignment) ([]namedEndpoint, error) {
	if a == nil {
		return nil, errors.New("load_assignment: required")
	}
	if err := errors.Join(a.ValidateAll(), executed.Check(a)); err != nil {
		return nil, err
	}
	var out []namedEndpoint
	for _, locality := range a.GetEndpoints() {
		for _, e := range locality.GetLbEndpoints() {
			address := e.GetEndpoint().GetAddress().GetSocketAddress()
			if address == nil {
				return nil, errors.New("endpoint.address.socket_address: required")
			}
			n := namedEndpoint{host: address.GetAddress(), port: uint16(address.GetPortValue()), weight: 1}
			if w := e.GetLoadBalancingWeight(); w != nil {
				n.weight = w.GetValue()
			}
			out = append(out, n)
		}
	}
	return out, nil
}
