package listener

import (
	"log/slog"
	"net"
	"net/netip"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/secret"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// Deps is what listeners need of the rest of the data plane.
type Deps struct {
	// HTTP returns what serves the connections of a filter chain with an HTTP connection manager.
	HTTP func(*hcmv3.HttpConnectionManager) (HTTP, error)
	// Clusters are those that TCP and UDP proxies forward to.
	Clusters Clusters
	// Secrets has the certificates and CAs of transport sockets.
	Secrets *secret.Store
	// OriginalDst returns where a connection was going before it was redirected, if it was; the zero value if nothing tracks
	// connections. Nil asks the kernel (SO_ORIGINAL_DST).
	OriginalDst func(net.Conn) (netip.AddrPort, error)
	// DrainTime is how long the connections of a listener, or of a filter chain, that is gone may go on (Envoy's
	// --drain-time-s).
	DrainTime time.Duration
	Logger    *slog.Logger
}

// Clusters are the clusters of the data plane, as now known.
type Clusters interface {
	// Cluster returns nil if there is no such cluster. It waits for nothing that a method of Set does.
	Cluster(name string) *upstream.Cluster
}

// HTTP serves the connections of a filter chain, as *hcm.Manager does.
type HTTP interface {
	// RouteNames are the route configurations that have to be there before connections are accepted.
	RouteNames() []string
	// Serve serves a connection until it ends, and closes it.
	Serve(net.Conn, hcm.Downstream)
	// Drain tells clients to open other connections, and closes the present ones when they are idle.
	Drain()
	// Close closes all connections.
	Close()
}
