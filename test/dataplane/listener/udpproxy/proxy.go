package udpproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/accesslog"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// executed are the fields that are executed. There are no statistics, so stat_prefix is for nothing.
var executed = strict.Fields{
	"envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig": "stat_prefix matcher idle_timeout access_log",
	"envoy.extensions.filters.udp.udp_proxy.v3.Route":          "cluster",
	"xds.type.matcher.v3.Matcher":                              "on_no_match",
	"xds.type.matcher.v3.Matcher.OnMatch":                      "action",
	"xds.core.v3.TypedExtensionConfig":                         "name typed_config",
	"envoy.config.accesslog.v3.AccessLog":                      "name typed_config",
}

// MaxDatagram is how long a datagram may be. Longer ones are dropped (UdpSocketConfig.max_rx_datagram_size).
const MaxDatagram = 1500

// defaultIdleTimeout is that of UdpProxyConfig.idle_timeout.
const defaultIdleTimeout = time.Minute

// Clusters are the clusters of the data plane, as now known.
type Clusters interface {
	// Cluster returns nil if there is no such cluster.
	Cluster(name string) *upstream.Cluster
}

// Peers are the two ends of a session.
type Peers struct {
	// Local is the address that the client sends to, Remote the client's.
	Local, Remote netip.AddrPort
}

// Reply sends a datagram from Local to Remote.
type Reply func(Peers, []byte) error

// Proxy forwards datagrams. It is safe for concurrent use.
type Proxy struct {
	cluster     string
	idleTimeout time.Duration // 0 is none
	log         *accesslog.Logger
	clusters    Clusters
	logger      *slog.Logger

	mu       sync.Mutex
	sessions map[Peers]*session
	closed   bool
	running  sync.WaitGroup
}

// New returns the proxy of a configuration. Errors name the field that is invalid or isn't executed.
func New(config *udpproxyv3.UdpProxyConfig, clusters Clusters, logger *slog.Logger) (*Proxy, error) {
	if err := errors.Join(executed.Check(config), config.ValidateAll()); err != nil {
		return nil, err
	}
	cluster, err := route(config)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		cluster: cluster, idleTimeout: defaultIdleTimeout, clusters: clusters, logger: logger, sessions: map[Peers]*session{},
	}
	if config.GetIdleTimeout() != nil {
		p.idleTimeout = config.GetIdleTimeout().AsDuration()
	}
	if p.log, err = accesslog.New(config.GetAccessLog()); err != nil {
		return nil, fmt.Errorf("access_log: %w", err)
	}
	return p, nil
}

// route returns the cluster to which a configuration sends everything. Matchers that tell datagrams apart aren't executed.
func route(config *udpproxyv3.UdpProxyConfig) (string, error) {
	action := config.GetMatcher().GetOnNoMatch().GetAction()
	if action == nil {
		return "", errors.New("matcher: on_no_match has no action")
	}
	var to udpproxyv3.Route
	if err := action.GetTypedConfig().UnmarshalTo(&to); err != nil {
		return "", err
	}
	return to.GetCluster(), errors.Join(executed.Check(&to), to.ValidateAll())
}

// Receive forwards a datagram. reply is how the answers to the first datagram of a session, and to all that follow it, get to the
// client. Datagrams that can't be forwarded are dropped, as Envoy does.
func (p *Proxy) Receive(peers Peers, datagram []byte, reply Reply) {
	if s := p.session(peers, reply); s != nil {
		s.send(datagram)
	}
}

// session returns the session of two peers, a new one if need be. It returns nil if there is no host, or if the cluster may have no
// further connections.
func (p *Proxy) session(peers Peers, reply Reply) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	if s := p.sessions[peers]; s != nil {
		select {
		case <-s.host.Gone(): // just now
			p.end(s)
		default:
			return s
		}
	}
	cluster := p.clusters.Cluster(p.cluster)
	if cluster == nil {
		p.logger.Debug("Dropping a datagram for a cluster that is unknown", "cluster", p.cluster)
		return nil
	}
	host, err := cluster.Pick(upstream.Choice{})
	if err != nil {
		p.logger.Debug("Dropping a datagram", "cluster", p.cluster, "err", err)
		return nil
	}
	conn, err := cluster.DialUDP(context.Background(), host) // nothing is sent, so it takes no time
	if err != nil {
		p.logger.Debug("Dropping a datagram", "cluster", p.cluster, "host", host.Address(), "err", err)
		return nil
	}
	s := &session{proxy: p, peers: peers, reply: reply, host: host, conn: conn, ended: make(chan struct{}), start: time.Now()}
	if p.idleTimeout > 0 {
		s.idle = time.AfterFunc(p.idleTimeout, func() { p.lockAndEnd(s) })
	}
	p.sessions[peers] = s
	p.running.Go(s.run)
	p.running.Go(s.endWithHost)
	return s
}

// end ends a session, once. The caller holds the lock.
func (p *Proxy) end(s *session) {
	if p.sessions[s.peers] != s {
		return
	}
	delete(p.sessions, s.peers)
	close(s.ended)
	if s.idle != nil {
		s.idle.Stop()
	}
	s.conn.Close()
}

func (p *Proxy) lockAndEnd(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(s)
}

// Close ends all sessions, and closes the access log.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for _, s := range p.sessions {
		p.end(s)
	}
	p.mu.Unlock()
	p.running.Wait()
	return p.log.Close()
}
