package upstream

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// refreshRate is Envoy's default of dns_refresh_rate, which is also how soon it asks again after a failure.
const refreshRate = 5 * time.Second

// dnsSettings say how the hosts of a cluster are found in DNS.
type dnsSettings struct {
	names []namedEndpoint
	// networks are the families of addresses, "ip4" and "ip6", in the order in which they are tried until one has addresses.
	networks   []string
	respectTTL bool
}

func readDNS(a *endpointv3.ClusterLoadAssignment, networks []string, respectTTL bool) (*dnsSettings, error) {
	names, err := readNamed(a)
	if err != nil {
		return nil, err
	}
	return &dnsSettings{names, networks, respectTTL}, nil
}

// resolve starts to follow the names of the cluster in DNS, until ctx ends. All addresses of all names are endpoints. The
// cluster is ready after the first answer, as in Envoy. Names that have no addresses have no endpoints; names that can't be
// resolved keep those they had.
func (c *Cluster) resolve(ctx context.Context) {
	if len(c.dns.names) == 0 {
		c.setEndpoints(nil)
	}
	var mu sync.Mutex
	found := make([][]endpoint, len(c.dns.names))
	for i, n := range c.dns.names {
		c.running.Go(func() {
			for failing := false; ; {
				addresses, ttl, err := c.lookup(ctx, n.host)
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					if !failing {
						c.deps.Log.Warn("A name can't be resolved", "cluster", c.name, "name", n.host, "error", err)
					}
					c.setKnown()
				} else {
					mu.Lock()
					found[i] = nil
					for _, a := range addresses {
						found[i] = append(found[i], endpoint{netip.AddrPortFrom(a, n.port), n.weight})
					}
					c.setEndpoints(slices.Concat(found...))
					mu.Unlock()
				}
				failing = err != nil
				next := time.NewTimer(c.refreshAfter(ttl))
				select {
				case <-ctx.Done():
					next.Stop()
					return
				case <-next.C:
				}
			}
		})
	}
}

// refreshAfter returns when a name is asked for again. A TTL of 0, or none, counts as not said.
func (c *Cluster) refreshAfter(ttl time.Duration) time.Duration {
	if c.dns.respectTTL && ttl > 0 {
		return ttl
	}
	return refreshRate
}

// lookup returns the addresses of a name in the first of the networks in which it has some.
func (c *Cluster) lookup(ctx context.Context, name string) (addresses []netip.Addr, ttl time.Duration, err error) {
	for _, network := range c.dns.networks {
		if addresses, ttl, err = c.deps.Resolver.Lookup(ctx, network, name); len(addresses) > 0 {
			return addresses, ttl, nil
		}
	}
	return nil, 0, err
}
