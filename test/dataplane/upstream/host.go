package upstream

import (
	"math/rand/v2"
	"net/netip"
)

// Choice is what a caller has to say about which host is picked.
type Choice struct {
	// Override is the address of the host to prefer, as "ip:port", from a session; empty for none. If the cluster has no
	// such host, another one is picked.
	Override string
	// OriginalDst is where a redirected connection was to go, for clusters of the type ORIGINAL_DST.
	OriginalDst netip.AddrPort
}

// Host is one endpoint of a cluster.
type Host struct {
	address netip.AddrPort
	pool    *pool
	gone    chan struct{}
	used    bool // by Pick, since forgetUnused looked last
}

// Address is where the host is reached. Its String is what a session remembers it by, and UPSTREAM_HOST in access logs.
func (h *Host) Address() netip.AddrPort { return h.address }

// Gone returns a channel that is closed when the cluster has the host no more: UDP sessions with it end then.
func (h *Host) Gone() <-chan struct{} { return h.gone }

func (c *Cluster) newHost(address netip.AddrPort) *Host {
	return &Host{address: address, pool: &pool{cluster: c, address: address}, gone: make(chan struct{})}
}

func (h *Host) remove() {
	close(h.gone)
	h.pool.drain()
}

// Pick chooses a host, or returns ErrNoHealthyUpstream.
func (c *Cluster) Pick(choice Choice) (*Host, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.originalDst {
		return c.pickOriginal(choice.OriginalDst)
	}
	if address, err := netip.ParseAddrPort(choice.Override); err == nil {
		if h := c.hosts.byAddress[address]; h != nil {
			return h, nil
		}
	}
	if h := c.hosts.next(); h != nil {
		return h, nil
	}
	return nil, ErrNoHealthyUpstream
}

// endpoint is what a host is made of.
type endpoint struct {
	address netip.AddrPort
	weight  uint32
}

// hostSet is the hosts of a cluster, and the order in which they are picked: ROUND_ROBIN. Hosts of equal weights take turns.
// Others are picked by the earliest deadline, which is one over its weight after the host was picked last.
//
// As in Envoy, which host is the first is chance, so that the hosts of many clusters, and of many Envoys, share the load.
// Localities don't count: Envoy reads their weights only with a locality_weighted_lb_config.
type hostSet struct {
	byAddress map[netip.AddrPort]*Host
	turns     []*Host // by turn, if weights are equal
	deadlines schedule
	turn      uint64
}

func newHostSet() hostSet {
	return hostSet{byAddress: map[netip.AddrPort]*Host{}, turn: uint64(rand.Uint32())}
}

// set makes the hosts be those of the endpoints, of which the first of an address counts, and removes the others.
func (s *hostSet) set(endpoints []endpoint, newHost func(netip.AddrPort) *Host) {
	before := s.byAddress
	s.byAddress, s.turns, s.deadlines = map[netip.AddrPort]*Host{}, nil, schedule{}
	equal := true
	for _, e := range endpoints {
		if s.byAddress[e.address] != nil {
			continue
		}
		h := before[e.address]
		if h == nil {
			h = newHost(e.address)
		}
		delete(before, e.address)
		s.byAddress[e.address] = h
		s.turns = append(s.turns, h)
		s.deadlines.add(h, e.weight)
		equal = equal && e.weight == endpoints[0].weight
	}
	for _, h := range before {
		h.remove()
	}
	if equal {
		s.deadlines = schedule{}
		return
	}
	for range rand.IntN(len(s.turns)) {
		s.deadlines.next()
	}
	s.turns = nil
}

// next returns the host whose turn it is; nil if there are none.
func (s *hostSet) next() *Host {
	if len(s.turns) == 0 {
		return s.deadlines.next()
	}
	s.turn++
	return s.turns[s.turn%uint64(len(s.turns))]
}
