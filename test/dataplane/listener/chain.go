package listener

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/listener/tcpproxy"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/secret"
)

// chain is a filter chain: what ends TLS, and what serves the connection then. Listeners that follow each other share the chains
// that are in both of them.
type chain struct {
	config           *listenerv3.FilterChain
	tls              *tls.Config // nil for raw_buffer
	handshakeTimeout time.Duration
	filter           networkFilter // nil closes connections
	bufferLimit      int
	routeNames       []string
	secretNames      []string

	// users are the listeners that have the chain, Set's lock guards it.
	users int
	conns *tracker
	// ctx ends when the chain's connections have to.
	ctx    context.Context
	cancel context.CancelFunc
}

// networkFilter is the one network filter of a chain.
type networkFilter interface {
	// serve serves a connection until it ends.
	serve(ctx context.Context, c tcpproxy.Conn, of *conn, state *tls.ConnectionState, bufferLimit int)
	// drain asks clients to go.
	drain()
	// close ends the filter, which serves nobody any more.
	close() error
}

func newChain(config *listenerv3.FilterChain, bufferLimit int, deps Deps) (*chain, error) {
	c := &chain{
		config:           config,
		handshakeTimeout: config.GetTransportSocketConnectTimeout().AsDuration(),
		bufferLimit:      bufferLimit,
		conns:            newTracker(),
	}
	if config.GetTransportSocket() != nil {
		if err := c.setTransportSocket(config.GetTransportSocket(), deps.Secrets); err != nil {
			return nil, err
		}
	}
	if len(config.GetFilters()) > 1 {
		return nil, fmt.Errorf("filter chain %q: not executed: more than one filter", config.GetName())
	}
	for _, filter := range config.GetFilters() {
		if err := c.setFilter(filter, deps); err != nil {
			return nil, fmt.Errorf("filter chain %q: %w", config.GetName(), err)
		}
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

func (c *chain) setTransportSocket(config *corev3.TransportSocket, secrets *secret.Store) error {
	var context tlsv3.DownstreamTlsContext
	if err := config.GetTypedConfig().UnmarshalTo(&context); err != nil {
		return err
	}
	var err error
	c.tls, c.secretNames, err = secret.DownstreamConfig(&context, secrets)
	return err
}

func (c *chain) setFilter(config *listenerv3.Filter, deps Deps) error {
	m, err := unpacked(config.GetTypedConfig())
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *hcmv3.HttpConnectionManager:
		http, err := deps.HTTP(m)
		if err != nil {
			return err
		}
		c.filter, c.routeNames = httpFilter{http}, http.RouteNames()
	case *tcpproxyv3.TcpProxy:
		proxy, err := tcpproxy.New(m, deps.Clusters, deps.Logger)
		if err != nil {
			return err
		}
		c.filter = tcpFilter{proxy}
	default:
		return fmt.Errorf("not executed: network filter %s", config.GetTypedConfig().GetTypeUrl())
	}
	return nil
}

// serve serves a connection, which the chain's tracker has, until it ends.
func (c *chain) serve(conn *conn) error {
	defer conn.Close()
	if c.filter == nil {
		return nil
	}
	if c.tls == nil {
		c.filter.serve(c.ctx, conn, conn, nil, c.bufferLimit)
		return nil
	}
	ctx, cancel := c.ctx, context.CancelFunc(func() {})
	if c.handshakeTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.handshakeTimeout)
	}
	defer cancel()
	secured := tls.Server(conn, c.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := secured.ConnectionState()
	c.filter.serve(c.ctx, secured, conn, &state, c.bufferLimit)
	return nil
}

// drain ends a chain that no listener has any more, once its connections have ended, or ctx has.
func (c *chain) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, c.cancel)
	defer stop()
	c.conns.drain(ctx)
	return c.close()
}

// close ends a chain without connections.
func (c *chain) close() error {
	c.cancel()
	if c.filter == nil {
		return nil
	}
	return c.filter.close()
}

// httpFilter is the network filter envoy.filters.network.http_connection_manager.
type httpFilter struct{ HTTP }

func (f httpFilter) serve(_ context.Context, c tcpproxy.Conn, of *conn, state *tls.ConnectionState, bufferLimit int) {
	f.Serve(c, hcm.Downstream{TLS: state, Local: of.local, Remote: of.remote, BufferLimit: bufferLimit})
}

func (f httpFilter) drain() { f.Drain() }

func (f httpFilter) close() error {
	f.Close()
	return nil
}

// tcpFilter is the network filter envoy.filters.network.tcp_proxy. Nothing tells its clients to go.
type tcpFilter struct{ *tcpproxy.Proxy }

func (f tcpFilter) serve(ctx context.Context, c tcpproxy.Conn, of *conn, _ *tls.ConnectionState, bufferLimit int) {
	d := tcpproxy.Downstream{Local: of.local, Remote: of.remote, ServerName: of.serverName, BufferLimit: bufferLimit}
	if of.restored {
		d.OriginalDst = of.local
	}
	f.Serve(ctx, c, d)
}

func (f tcpFilter) drain() {}

func (f tcpFilter) close() error { return f.Close() }
