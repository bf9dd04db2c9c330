package hcm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/trace"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// Routes are the route tables that came by RDS.
type Routes interface {
	// Table returns the table of a name as it is now; nil if there is none, which requests are answered 404 for.
	Table(name string) *router.Table
}

// Clusters are the clusters that came by CDS, or are static.
type Clusters interface {
	// Cluster returns the cluster of a name as it is now; nil if there is none.
	Cluster(name string) *upstream.Cluster
}

// Deps is what a Manager takes from the data plane around it.
type Deps struct {
	Routes   Routes
	Clusters Clusters
	Logger   *slog.Logger
	// Failing says that the process is to be seen as unhealthy: the health_check filter then answers 503. nil is never.
	Failing func() bool
}

// Downstream is what is known of a connection before its first byte.
type Downstream struct {
	// TLS is what the handshake settled; nil on plaintext.
	TLS *tls.ConnectionState
	// Local is the address that the client connected to (the original one, if the connection was redirected), Remote the
	// client's.
	Local, Remote netip.AddrPort
	// BufferLimit is the listener's per_connection_buffer_limit_bytes; 0 is Envoy's default, 1 MiB. It bounds what is kept of
	// a request's body for the case of a retry.
	BufferLimit int
}

// Manager serves the connections of a filter chain.
type Manager struct {
	*settings
	deps   Deps
	server *http.Server
	accept *handOver

	tracer   *trace.Tracer // nil if nothing is traced
	draining atomic.Bool
	streams  atomic.Uint64 // of which each has a number

	mu     sync.Mutex
	conns  map[*conn]struct{} // nil when the manager is closed
	active sync.WaitGroup     // connections, streams, mirrors and the server

	life context.Context // ends when the manager is closed
	stop context.CancelFunc
}

// New returns the manager of a configuration, which needs Close. Errors name the field that is invalid or isn't executed.
func New(config *hcmv3.HttpConnectionManager, deps Deps) (*Manager, error) {
	s, err := newSettings(config)
	if err != nil {
		return nil, fmt.Errorf("http_connection_manager: %w", err)
	}
	tracer, err := trace.New(config.GetTracing(), deps.Clusters, deps.Logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("http_connection_manager: tracing.%w", err), s.log.Close())
	}
	m := &Manager{settings: s, deps: deps, tracer: tracer, accept: &handOver{conns: make(chan net.Conn), closed: make(chan struct{})}, conns: map[*conn]struct{}{}}
	m.life, m.stop = context.WithCancel(context.Background())
	m.server = m.newServer()
	if tracer != nil {
		m.active.Go(func() { tracer.Run(m.life) })
	}
	m.active.Go(func() {
		if err := m.server.Serve(m.accept); !errors.Is(err, http.ErrServerClosed) {
			deps.Logger.Error("HTTP server", "err", err)
		}
	})
	return m, nil
}

// RouteNames returns the RouteConfigurations that the manager needs by RDS: one, or none if its routes are inline.
func (m *Manager) RouteNames() []string {
	if m.table != nil {
		return nil
	}
	return []string{m.routes}
}

// Serve serves a connection until it ends, and closes it. A TLS connection is given as what is inside of it (a *tls.Conn that
// has shaken hands), with its state in d.
func (m *Manager) Serve(inner net.Conn, d Downstream) {
	c := newConn(inner, d, m.settings)
	if !m.admit(c) {
		_ = c.Close() // the manager is closed, and nobody waits for an answer
		return
	}
	defer m.forget(c)
	m.accept.take(c)
	<-c.closed
}

func (m *Manager) admit(c *conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conns == nil {
		return false
	}
	m.conns[c] = struct{}{}
	m.active.Add(1)
	return true
}

func (m *Manager) forget(c *conn) {
	m.mu.Lock()
	delete(m.conns, c)
	m.mu.Unlock()
	m.active.Done()
}

// begin counts something that Close is to wait for, which calls m.active.Done in the end; false if the manager is closed.
func (m *Manager) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conns == nil {
		return false
	}
	m.active.Add(1)
	return true
}

// Drain makes the manager end its connections without breaking a request: as in Envoy, HTTP/1.1 clients are told "Connection:
// close" in the next response, HTTP/2 clients by GOAWAY after it. It returns at once. Connections without a request stay until
// their idle_timeout, or Close.
func (m *Manager) Drain() { m.draining.Store(true) }

// Close closes all connections, whatever they are doing, and waits until nothing runs any more.
func (m *Manager) Close() {
	m.mu.Lock()
	conns := m.conns
	m.conns = nil
	m.mu.Unlock()
	for c := range conns {
		_ = c.abort() // what was on it is lost, as asked for
	}
	_ = m.server.Close() // nor has this anything to say
	m.stop()
	m.active.Wait()
	if err := m.log.Close(); err != nil {
		m.deps.Logger.Error("Closing the access log", "err", err)
	}
}

// handOver is a listener whose connections come from elsewhere.
type handOver struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// take gives a connection to who accepts, or closes it.
func (h *handOver) take(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close() // the manager is closed, and nobody waits for an answer
	}
}

// Accept implements net.Listener.
func (h *handOver) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handOver) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handOver) Addr() net.Addr { return &net.TCPAddr{} }
