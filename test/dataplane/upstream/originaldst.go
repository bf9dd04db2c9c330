package upstream

import (
	"context"
	"net/netip"
	"time"
)

// cleanupInterval is Envoy's default of Cluster.cleanup_interval.
const cleanupInterval = 5 * time.Second

// pickOriginal returns the host that a redirected connection was to go to, which becomes one by that. c.mu is held.
func (c *Cluster) pickOriginal(address netip.AddrPort) (*Host, error) {
	if !address.IsValid() || c.closed {
		return nil, ErrNoHealthyUpstream
	}
	h := c.hosts.byAddress[address]
	if h == nil {
		h = c.newHost(address)
		c.hosts.byAddress[address] = h
	}
	h.used = true
	return h, nil
}

// forgetUnused removes the hosts that haven't been picked for an interval, until ctx ends.
func (c *Cluster) forgetUnused(ctx context.Context) {
	tick := time.NewTicker(cleanupInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.expire()
	}
}

// expire removes the hosts that haven't been picked since it was called last.
func (c *Cluster) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for address, h := range c.hosts.byAddress {
		if !h.used {
			delete(c.hosts.byAddress, address)
			h.remove()
		}
		h.used = false
	}
}
