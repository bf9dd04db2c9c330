package lint

import (
	"fmt"
	"math"
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

func (w *walk) cluster(path string, c *clusterv3.Cluster) {
	if c.GetClusterType() != nil {
		return // an extension has rules of its own
	}
	switch c.GetType() {
	case clusterv3.Cluster_EDS:
		if c.GetEdsClusterConfig().GetEdsConfig() == nil {
			w.add(Invalid, path+".eds_cluster_config", "a cluster of type EDS needs an eds_config")
		}
	case clusterv3.Cluster_STATIC:
		w.addressesOf(path+".load_assignment", c.GetLoadAssignment())
	case clusterv3.Cluster_ORIGINAL_DST:
		if c.GetLoadAssignment() != nil {
			w.add(Invalid, path+".load_assignment", "a cluster of type ORIGINAL_DST has none")
		}
	}
	provides, provided := c.GetType() == clusterv3.Cluster_ORIGINAL_DST, c.GetLbPolicy() == clusterv3.Cluster_CLUSTER_PROVIDED
	if provides != provided && c.GetLoadBalancingPolicy() == nil {
		w.add(Invalid, path+".lb_policy", "%s isn't for clusters of type %s", c.GetLbPolicy(), c.GetType())
	}
	for i, t := range c.GetCircuitBreakers().GetThresholds() {
		if t.GetRetryBudget() != nil && t.GetMaxRetries() != nil {
			w.add(Ignored, fmt.Sprintf("%s.circuit_breakers.thresholds[%d].max_retries", path, i), "the retry_budget overrides it")
		}
	}
}

// addressesOf finds the endpoints of an assignment that aren't IP addresses: "malformed IP address ... Consider setting
// resolver_name or setting cluster type to 'STRICT_DNS' or 'LOGICAL_DNS'".
func (w *walk) addressesOf(path string, a *endpointv3.ClusterLoadAssignment) {
	eachEndpoint(path, a, func(at string, e *endpointv3.LbEndpoint) {
		socket := e.GetEndpoint().GetAddress().GetSocketAddress()
		if _, err := netip.ParseAddr(socket.GetAddress()); socket != nil && socket.GetResolverName() == "" && err != nil {
			w.add(Invalid, at, "malformed IP address: %q", socket.GetAddress())
		}
	})
}

// assignment: "When the configuration contains duplicate hosts, only the first one will be retained", and "the sum of the weights
// ... must not exceed uint32_t maximal value", of the endpoints of a locality and of the localities of a priority.
func (w *walk) assignment(path string, a *endpointv3.ClusterLoadAssignment) {
	if path == "" {
		w.addressesOf(path, a) // EDS
	}
	seen := map[string]bool{}
	eachEndpoint(path, a, func(at string, e *endpointv3.LbEndpoint) {
		socket := e.GetEndpoint().GetAddress().GetSocketAddress()
		if socket == nil {
			return
		}
		address := fmt.Sprintf("%s:%d", socket.GetAddress(), socket.GetPortValue())
		if seen[address] {
			w.add(Ignored, at, "an earlier endpoint has its address %s", address)
		}
		seen[address] = true
	})
	localities := map[uint32]uint64{} // weights by priority
	for i, l := range a.GetEndpoints() {
		localities[l.GetPriority()] += uint64(l.GetLoadBalancingWeight().GetValue())
		var endpoints uint64
		for _, e := range l.GetLbEndpoints() {
			endpoints += uint64(max(e.GetLoadBalancingWeight().GetValue(), 1))
		}
		if max(endpoints, localities[l.GetPriority()]) > math.MaxUint32 {
			w.add(Invalid, fmt.Sprintf("%s.endpoints[%d]", path, i), "the sum of the weights exceeds %d", uint32(math.MaxUint32))
		}
	}
}

func eachEndpoint(path string, a *endpointv3.ClusterLoadAssignment, do func(at string, e *endpointv3.LbEndpoint)) {
	for i, l := range a.GetEndpoints() {
		for j, e := range l.GetLbEndpoints() {
			do(fmt.Sprintf("%s.endpoints[%d].lb_endpoints[%d]", path, i, j), e)
		}
	}
}
