package tcpproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/accesslog"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// executed are the fields that are executed. There are no statistics, so stat_prefix is for nothing.
var executed = strict.Fields{
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy": "stat_prefix cluster weighted_clusters idle_timeout access_log " +
		"max_connect_attempts",
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster":               "clusters",
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight": "name weight",
	"envoy.config.accesslog.v3.AccessLog":                                                  "name typed_config",
}

// defaultIdleTimeout is that of TcpProxy.idle_timeout.
const defaultIdleTimeout = time.Hour

// Clusters are the clusters of the data plane, as now known.
type Clusters interface {
	// Cluster returns nil if there is no such cluster.
	Cluster(name string) *upstream.Cluster
}

// Conn is a connection whose halves can be closed one by one, such as *net.TCPConn and *tls.Conn.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Downstream is what is known of a connection.
type Downstream struct {
	// Local is the address that the client connected to, Remote the client's.
	Local, Remote netip.AddrPort
	// OriginalDst is Local if the kernel was asked for it (original_dst); else it is the zero value.
	OriginalDst netip.AddrPort
	// ServerName is that of the client's TLS handshake (SNI), if it was looked at.
	ServerName string
	// BufferLimit is the listener's per_connection_buffer_limit_bytes.
	BufferLimit int
}

// Proxy forwards connections. It is safe for concurrent use.
type Proxy struct {
	targets     []target
	total       uint64 // the sum of the targets' weights
	idleTimeout time.Duration
	attempts    int
	log         *accesslog.Logger
	clusters    Clusters
	logger      *slog.Logger
}

// target is a cluster, and its share of the connections.
type target struct {
	cluster string
	weight  uint64
}

// New returns the proxy of a configuration. Errors name the field that is invalid or isn't executed.
func New(config *tcpproxyv3.TcpProxy, clusters Clusters, logger *slog.Logger) (*Proxy, error) {
	if err := errors.Join(executed.Check(config), config.ValidateAll()); err != nil {
		return nil, err
	}
	p := &Proxy{idleTimeout: defaultIdleTimeout, attempts: 1, clusters: clusters, logger: logger}
	switch specifier := config.GetClusterSpecifier().(type) {
	case *tcpproxyv3.TcpProxy_Cluster:
		p.targets = []target{{specifier.Cluster, 1}}
	case *tcpproxyv3.TcpProxy_WeightedClusters:
		for _, c := range specifier.WeightedClusters.GetClusters() {
			p.targets = append(p.targets, target{c.GetName(), uint64(c.GetWeight())})
		}
	}
	for _, t := range p.targets {
		p.total += t.weight
	}
	if p.total == 0 {
		return nil, errors.New("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy: no cluster has a weight")
	}
	if config.GetIdleTimeout() != nil {
		p.idleTimeout = config.GetIdleTimeout().AsDuration() // 0 is none
	}
	if config.GetMaxConnectAttempts() != nil {
		p.attempts = int(config.GetMaxConnectAttempts().GetValue())
	}
	var err error
	if p.log, err = accesslog.New(config.GetAccessLog()); err != nil {
		return nil, fmt.Errorf("access_log: %w", err)
	}
	return p, nil
}

// Close closes the access log. No connection may be served any more.
func (p *Proxy) Close() error { return p.log.Close() }

// Serve forwards a connection until it has ended, and closes it. When ctx ends, no connection is made to a cluster any more;
// whoever wants to end one that there is closes down.
func (p *Proxy) Serve(ctx context.Context, down Conn, d Downstream) {
	entry := accesslog.Entry{
		Start:      time.Now(),
		ServerName: d.ServerName,
		Downstream: accesslog.Peer{Local: d.Local, Remote: d.Remote},
	}
	defer func() {
		down.Close()
		entry.Duration = time.Since(entry.Start)
		p.log.Log(entry)
	}()
	up, err := p.connect(ctx, d, &entry)
	if err != nil {
		p.logger.Debug("Closing a connection that can't be forwarded", "remote", d.Remote, "local", d.Local, "err", err)
		return
	}
	defer up.Close()
	entry.Upstream.Local = addrPort(up.LocalAddr())
	s := newSplice(down, up, p.idleTimeout, d.BufferLimit)
	entry.BytesReceived, entry.BytesSent = s.run()
}

// connect connects to a host, and says in the log's entry which one, or why not. Each attempt chooses anew, as Envoy does.
func (p *Proxy) connect(ctx context.Context, d Downstream, entry *accesslog.Entry) (Conn, error) {
	var failure error
	for range p.attempts {
		entry.UpstreamCluster = p.pick(rand.Uint64N(p.total))
		cluster := p.clusters.Cluster(entry.UpstreamCluster)
		if cluster == nil {
			entry.ResponseFlags = "NC"
			return nil, fmt.Errorf("cluster %q is unknown", entry.UpstreamCluster)
		}
		host, err := cluster.Pick(upstream.Choice{OriginalDst: d.OriginalDst})
		if err != nil {
			entry.ResponseFlags = "UH"
			return nil, err
		}
		entry.Upstream.Remote = host.Address()
		conn, err := cluster.Dial(ctx, host)
		switch {
		case err == nil:
			up, ok := conn.(Conn)
			if !ok {
				conn.Close()
				return nil, fmt.Errorf("a connection of cluster %q can't be half closed", entry.UpstreamCluster)
			}
			return up, nil
		case errors.Is(err, upstream.ErrOverflow):
			entry.ResponseFlags = "UO"
			return nil, err
		case ctx.Err() != nil:
			return nil, err
		}
		failure = err
	}
	entry.ResponseFlags = "UF,URX"
	return nil, failure
}

// pick returns the cluster of a random number below the total.
func (p *Proxy) pick(random uint64) string {
	for _, t := range p.targets {
		if random < t.weight {
			return t.cluster
		}
		random -= t.weight
	}
	return "" // not reached
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
