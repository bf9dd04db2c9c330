package plane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/listener"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/secret"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// userAgent is how the data plane calls itself to its xDS server.
const userAgent = "testdataplane"

// Options are what isn't in a bootstrap. Envoy has them on its command line.
type Options struct {
	// DrainTime is how long the connections of a listener that was removed or replaced may go on (--drain-time-s).
	DrainTime time.Duration
	// GracePeriod is how long connections may go on when the data plane ends.
	GracePeriod time.Duration
	Log         *slog.Logger
}

// Plane is a data plane.
type Plane struct {
	config  *bootstrap.Config
	options Options
	log     *slog.Logger

	conn   *grpc.ClientConn
	client *ads.Client
	admin  net.Listener  // nil if there is no administration interface
	quit   chan struct{} // closed by the administration interface
	calls  chan func()   // to run in the goroutine that owns the configuration
	ended  chan struct{} // closed when that goroutine takes no more calls

	// The registries that connections read.
	tables    registry[*router.Table]
	upstreams registry[*upstream.Cluster]
	certs     *secret.Store

	fetchTimeout time.Duration // of endpoints, routes and secrets

	// The configuration, as its owner sees it.
	phase     phase
	clusters  clusters
	listeners listeners
	routes    watches
	secrets   watches
	endpoints map[string]proto.Message // by the name of EDS, as they came last
	rejected  map[string]string        // why the last response of a type was, by type
}

// New returns a data plane for a bootstrap, which needs Run. It binds the addresses of the administration interface and of static
// listeners, which nothing is served on yet.
func New(config *bootstrap.Config, options Options) (*Plane, error) {
	p := &Plane{
		config: config, options: options, log: options.Log,
		quit: make(chan struct{}), calls: make(chan func()), ended: make(chan struct{}),
		certs: secret.NewStore(), fetchTimeout: fetchTimeout,
		clusters:  clusters{active: map[string]*cluster{}, warming: map[string]*cluster{}},
		routes:    watches{},
		secrets:   watches{},
		endpoints: map[string]proto.Message{},
		rejected:  map[string]string{},
	}
	p.listeners = listeners{active: map[string]*served{}, warming: map[string]*served{}, set: listener.NewSet(listener.Deps{
		HTTP:      p.connectionManager,
		Clusters:  clusterRegistry{&p.upstreams},
		Secrets:   p.certs,
		DrainTime: options.DrainTime,
		Logger:    options.Log,
	})}
	if err := p.bind(); err != nil {
		p.listeners.set.Close()
		return nil, err
	}
	node := proto.CloneOf(config.Node)
	node.UserAgentName = userAgent
	p.client = ads.New(p.conn, node, options.Log)
	return p, nil
}

// bind takes what there is only one of, and prepares the connection to the xDS server.
func (p *Plane) bind() (err error) {
	for _, l := range p.config.Listeners {
		if err := p.addListener(l, ""); err != nil {
			return fmt.Errorf("static_resources.listeners: %w", err)
		}
		p.listeners.warming[l.GetName()].static = true
	}
	if p.conn, err = p.config.Server.Connect(); err != nil {
		return err
	}
	if p.config.Admin.IsValid() {
		if p.admin, err = net.Listen("tcp", p.config.Admin.String()); err != nil {
			return errors.Join(fmt.Errorf("admin: %w", err), p.conn.Close())
		}
	}
	return nil
}

// connectionManager makes what serves the connections of a filter chain in HTTP.
func (p *Plane) connectionManager(config *hcmv3.HttpConnectionManager) (listener.HTTP, error) {
	return hcm.New(config, hcm.Deps{
		Routes: tableRegistry{&p.tables}, Clusters: clusterRegistry{&p.upstreams}, Logger: p.log, Failing: p.draining,
	})
}

// AdminAddress is where the administration interface is served; the zero value if it isn't.
func (p *Plane) AdminAddress() netip.AddrPort {
	if p.admin == nil {
		return netip.AddrPort{}
	}
	return p.admin.Addr().(*net.TCPAddr).AddrPort()
}

// Run runs the data plane until ctx ends or somebody asks its administration interface to quit. Then it drains: it accepts
// nothing more, lets what is under way end within the grace period, and closes the rest. It may be called once.
func (p *Plane) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var background sync.WaitGroup
	if p.admin != nil {
		background.Go(p.serveAdmin)
	}
	p.client.SubscribeAll(ads.ClusterType)
	p.expectClusters()
	background.Go(func() { p.client.Run(ctx, p) })
	p.own(ctx, cancel)
	p.drain()
	p.listeners.set.Close()
	p.closeClusters()
	if err := errors.Join(p.closeAdmin(), p.conn.Close()); err != nil {
		p.log.Warn("Closing", "error", err)
	}
	background.Wait()
}

// own is the goroutine that owns the configuration. All that happens to it comes as a call: responses of the xDS server, timers,
// answers of DNS, and questions of the administration interface. When it ends, so does the stream to the server.
func (p *Plane) own(ctx context.Context, cancel func()) {
	defer close(p.ended)
	defer cancel() // first, so that no response is answered that nobody has taken in
	for {
		select {
		case f := <-p.calls:
			f()
		case <-p.quit:
			return
		case <-ctx.Done():
			return
		}
	}
}

// call runs f in the goroutine that owns the configuration, and returns when it has. It says whether there still is one.
func (p *Plane) call(f func()) bool {
	done := make(chan struct{})
	select {
	case p.calls <- func() { defer close(done); f() }:
		<-done
		return true
	case <-p.ended:
		return false
	}
}

// after has f called when a time has passed. A duration of 0 is never.
func (p *Plane) after(d time.Duration, f func()) *time.Timer {
	if d == 0 {
		return nil
	}
	return time.AfterFunc(d, func() { p.call(f) })
}

// drain lets the connections end.
func (p *Plane) drain() {
	p.log.Info("Draining", "grace", p.options.GracePeriod)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		p.listeners.set.Drain()
	}()
	select {
	case <-drained:
	case <-time.After(p.options.GracePeriod):
	}
}

// draining says whether the data plane is about to end.
func (p *Plane) draining() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}
