package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/secret"
)

// Errors of Pick, Dial and RoundTrip, for errors.Is. What else they return is the cause of a context's end.
var (
	// ErrNoHealthyUpstream says that there is no host to choose ("no healthy upstream", 503, flag UH).
	ErrNoHealthyUpstream = errors.New("no healthy upstream")
	// ErrOverflow says that a circuit breaker is open (503, flag UO, x-envoy-overloaded).
	ErrOverflow = errors.New("upstream overflow")
	// ErrConnect says that no connection came about: it was refused, took longer than connect_timeout, or TLS failed. What
	// was to be sent was not (retry_on connect-failure; flag UF).
	ErrConnect = errors.New("upstream connection failure")
	// ErrProtocol says that the answer isn't HTTP (retry_on reset; 502, flag UPE).
	ErrProtocol = errors.New("upstream protocol error")
	// ErrReset says that a connection or stream ended before the response was complete (retry_on reset; flag UC or UR). The
	// body of a response fails with it, too.
	ErrReset = errors.New("upstream reset")
)

// Deps are what a cluster asks of others.
type Deps struct {
	// Secrets has the certificates that TLS contexts name.
	Secrets *secret.Store
	// Resolver resolves the names of hosts; nil for that of the system.
	Resolver Resolver
	// Log is told what no user of the cluster hears of, that a name can't be resolved; nil for the default one.
	Log *slog.Logger
}

// Cluster is a cluster in use. It is safe for concurrent use.
type Cluster struct {
	settings
	deps      Deps
	limits    *limits
	transport *http.Transport
	ready     chan struct{} // closed once the hosts are known
	stop      context.CancelFunc
	running   sync.WaitGroup // what goes on until stop

	mu     sync.Mutex
	hosts  hostSet
	known  bool // ready is closed
	closed bool
}

// New returns a cluster, which needs Close. Fields that aren't executed are errors that name them.
func New(config *clusterv3.Cluster, deps Deps) (*Cluster, error) {
	s, err := newSettings(config, deps.Secrets)
	if err != nil {
		return nil, err
	}
	if deps.Resolver == nil {
		deps.Resolver = systemResolver{}
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Cluster{settings: s, deps: deps, limits: newLimits(s.thresholds), ready: make(chan struct{}), stop: stop, hosts: newHostSet()}
	c.transport = c.newTransport()
	switch {
	case s.dns != nil:
		c.resolve(ctx)
	case s.originalDst:
		c.running.Go(func() { c.forgetUnused(ctx) })
		c.setKnown()
	case s.edsName == "":
		c.setEndpoints(s.endpoints)
	}
	return c, nil
}

// Name is the cluster's name.
func (c *Cluster) Name() string { return c.name }

// EDSName is the name of the ClusterLoadAssignment that the cluster needs; empty if it isn't of the type EDS.
func (c *Cluster) EDSName() string { return c.edsName }

// SecretNames are the names of the SDS secrets that the cluster needs.
func (c *Cluster) SecretNames() []string { return c.secretNames }

// Update sets the endpoints of a cluster of the type EDS. Hosts that stay keep their connections; the connections of hosts
// that go away are closed once nothing is under way on them. After an error, everything is as before.
func (c *Cluster) Update(a *endpointv3.ClusterLoadAssignment) error {
	endpoints, err := readAssignment(a, c.edsName)
	if err != nil {
		return err
	}
	c.setEndpoints(endpoints)
	return nil
}

// Ready returns a channel that is closed once the hosts are known: after the first Update, or the first answer of DNS, good or
// bad; at once for other clusters. It doesn't wait for secrets, and has no time limit: both are the caller's affair.
func (c *Cluster) Ready() <-chan struct{} { return c.ready }

// setEndpoints makes the hosts be those of the endpoints.
func (c *Cluster) setEndpoints(endpoints []endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.hosts.set(endpoints, c.newHost)
		c.setKnownLocked()
	}
}

func (c *Cluster) setKnown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setKnownLocked()
}

func (c *Cluster) setKnownLocked() {
	if !c.known {
		c.known = true
		close(c.ready)
	}
}

// Close ends what the cluster does by itself, and removes all hosts: idle connections are closed, requests that are under way go
// on, and so do connections that were dialled, which are the callers'.
func (c *Cluster) Close() {
	c.stop()
	c.running.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.hosts.set(nil, c.newHost)
}
