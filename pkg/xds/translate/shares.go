package translate

import (
	"maps"
	"math"
	"net/netip"
	"slices"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// discard is where the packets for an invalid backend go, and for one without endpoints: "if an invalid backend is requested to
// have 80% of the packets, then 80% of packets must be dropped instead" (UDPRouteRule.BackendRefs). It is the port of the
// discard protocol (RFC 863) on the loopback interface of Envoy; where nobody listens there, the kernel drops them.
var discard = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 9)

// sharedEndpoints returns the endpoints of several backends, each with its part of the weight of its backends. Envoy chooses
// among them by weight for each address and port that packets come from.
func sharedEndpoints(shares []graph.ShareFacts) []*endpointv3.LocalityLbEndpoints {
	type share struct {
		weight    uint64
		endpoints []netip.AddrPort
	}
	var all []share
	var sum uint64
	scale := uint64(1)
	for _, s := range shares {
		addrs := []netip.AddrPort{discard}
		if s.Port != nil {
			if found := slices.Collect(maps.Keys(endpoints(s.Port))); len(found) > 0 {
				addrs = found
			}
		}
		all = append(all, share{uint64(s.Weight), addrs})
		sum += uint64(s.Weight)
		scale = min(leastCommonMultiple(scale, uint64(len(addrs))), math.MaxUint32)
	}
	// "The sum of the weights of all endpoints in the endpoint's locality must not exceed uint32_t maximal value": beyond that
	// the parts are rounded.
	scale = min(scale, math.MaxUint32/max(sum, 1))
	weights := map[netip.AddrPort]uint64{}
	for _, s := range all {
		for _, addr := range s.endpoints {
			weights[addr] += max(s.weight*scale/uint64(len(s.endpoints)), 1)
		}
	}
	if len(weights) == 0 {
		return nil
	}
	locality := &endpointv3.LocalityLbEndpoints{}
	for _, addr := range slices.SortedFunc(maps.Keys(weights), netip.AddrPort.Compare) {
		endpoint := lbEndpoint(addr)
		endpoint.LoadBalancingWeight = wrapperspb.UInt32(uint32(weights[addr]))
		locality.LbEndpoints = append(locality.LbEndpoints, endpoint)
	}
	return []*endpointv3.LocalityLbEndpoints{locality}
}

func leastCommonMultiple(a, b uint64) uint64 {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}
