package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apiserver"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd/maintenance"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/migration"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	xdsserver "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

// storagePrefix is below what objects are in etcd, unless --etcd-prefix says something else.
const storagePrefix = "/gateway-apiserver.dev"

// lintXDSUsage is the help of --lint-xds.
const lintXDSUsage = "log what is wrong in published Envoy configuration, such as routes that are never reached; each change then takes time in proportion to all that its Gateway has"

// stopPatience is how long a server that stops waits for etcd: longer than that takes to elect another leader.
const stopPatience = 5 * time.Second

// server is what a standalone server and one in a cluster have in common: an API over an etcd, an engine and xDS. They
// differ in where etcd and the core objects are, and in who is let in.
type server struct {
	engine *engine.Engine
	cache  *cache.Cache
	api    *apiserver.Server
	etcd   *clientv3.Client // for what the stores don't do
	prefix string           // below which objects are in etcd
	// replica is the name of this server among those that share an etcd.
	replica  string
	feedback *feedback
	// giveUp ends the requests that wait for etcd.
	giveUp context.CancelFunc
	// withoutStatus leaves statuses empty. Only benchmarks set it, to measure what statuses cost.
	withoutStatus bool
}

func newServer(ctx context.Context, replica string, withoutStatus bool) server {
	xds := cache.New(nodes.Bases()...)
	return server{engine: engine.New(xds, klog.FromContext(ctx)), cache: xds, replica: replica, withoutStatus: withoutStatus}
}

// build makes the API, and the client for the etcd that it stores in. Whoever gets no error closes the client. key is that of
// newFeedback.
func (s *server) build(config *apiserver.Config, storage storagebackend.Config, key []byte) error {
	config.Model = s.engine
	if s.withoutStatus {
		config.Model = silent{s.engine}
	}
	client, err := etcd.NewClient(storage.Transport)
	if err != nil {
		return err
	}
	stopping, giveUp := context.WithCancel(context.Background())
	s.giveUp = giveUp
	reportEtcd(stopping, &config.Generic.Config, client, storage.Prefix)
	if s.api, err = config.Complete().New(); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: is there an etcd at %s, and are --etcd-cafile, --etcd-certfile and --etcd-keyfile right?",
				err, strings.Join(storage.Transport.ServerList, ", "))
		}
		return errors.Join(err, client.Close())
	}
	s.etcd, s.prefix = client, storage.Prefix
	if s.feedback, err = s.newFeedback(key); err != nil {
		s.api.Destroy()
		return errors.Join(err, client.Close())
	}
	return nil
}

// silent feeds the engine and says nothing in statuses.
type silent struct{ *engine.Engine }

func (silent) Render(runtime.Object)            {}
func (silent) Warnings(runtime.Object) []string { return nil }

// serve serves until ctx ends: the API at once, so that its health says what it waits for, and xDS when everything that is
// stored has been loaded, and what clients have rejected is parked. From then on beside runs, which must return when its context
// ends. When ctx ends, the health says so first; then xDS clients are sent away, and what they say until then is still heard.
// inputs are those of the engine but for the stores. fail ends ctx. Without xds there is none.
func (s *server) serve(ctx context.Context, fail context.CancelCauseFunc, xds *xdsEndpoint, inputs engine.Inputs, beside func(context.Context)) error {
	inputs.Writers = map[graph.Kind]engine.StatusWriter{}
	for kind, store := range s.api.Stores {
		if store.Kind.Modelled {
			inputs.Sources[graph.Kind(kind.Kind)] = store
		}
		if store.Kind.Modelled && store.Version.Status && !s.withoutStatus {
			inputs.Writers[graph.Kind(kind.Kind)] = store
		}
	}
	defer s.giveUp()
	engineDone := make(chan struct{})
	// The engine ends last: stopping requests still ask it.
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(engineDone)
		s.engine.Run(engineCtx, inputs)
	}()
	defer func() {
		stopEngine()
		<-engineDone
	}()
	defer s.feedback.run(ctx)()
	var running sync.WaitGroup
	defer running.Wait()
	if err := s.api.AddPostStartHook("beside", func(hook genericapiserver.PostStartHookContext) error {
		// From now on there are no new requests.
		context.AfterFunc(hook, func() { time.AfterFunc(stopPatience, s.giveUp) })
		running.Go(func() {
			if s.engine.WaitForSync(hook) != nil || s.feedback.verdicts.WaitForSync(hook) != nil {
				return // told to stop
			}
			if xds != nil {
				defer s.serveXDS(hook, fail, xds)()
			} else {
				defer s.feedback.report(hook, nil)()
			}
			running.Go(func() { saveMemory(hook) })
			beside(hook)
			<-hook.Done()
		})
		return nil
	}); err != nil {
		return err
	}
	return s.api.Run(ctx)
}

// serveXDS serves xDS until stop is called.
func (s *server) serveXDS(ctx context.Context, fail context.CancelCauseFunc, endpoint *xdsEndpoint) (stop func()) {
	xds := xdsserver.New(xdsserver.Config{
		Cache: s.cache, Nodes: s.engine.Nodes(), Logger: klog.FromContext(ctx),
		TLS: endpoint.tls, Authenticator: endpoint.clients, Limits: endpoint.flags.bounded(),
	})
	go func() {
		if err := xds.Serve(endpoint.listener); err != nil {
			fail(fmt.Errorf("serving xDS: %w", err))
		}
	}()
	withdraw := s.feedback.report(ctx, xds)
	return func() {
		stopping, done := context.WithTimeout(context.Background(), endpoint.flags.stopTimeout())
		defer done()
		xds.Shutdown(stopping)
		withdraw()
	}
}

// migrate brings what an older release has stored to the form of this one.
func (s *server) migrate(ctx context.Context) {
	migration.Run(ctx, s.etcd, s.prefix, s.api.Stores)
}

// maintain looks after the space in etcd until ctx ends; embedded says that it runs in this process.
func (s *server) maintain(ctx context.Context, embedded bool) {
	maintenance.Run(ctx, s.etcd, maintenance.Options{Embedded: embedded, Lock: s.prefix + ".maintenance"})
}

// causeOf is why a server that ran without an error has ended: nil if it was told to.
func causeOf(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
