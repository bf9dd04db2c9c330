package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apiserver"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/garbage"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	xdsserver "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

// stopTimeout bounds how long xDS streams may take to end.
const stopTimeout = 5 * time.Second

// storagePrefix is below what objects are in etcd.
const storagePrefix = "/gateway-apiserver.dev"

// standaloneConfig is what a standalone server is made of.
type standaloneConfig struct {
	dir       *dataDir
	apiListen net.Listener
	xdsListen net.Listener
	manifests []string // directories
	channel   crd.Channel
	// withoutStatus leaves statuses empty. Only benchmarks set it, to measure what statuses cost.
	withoutStatus bool
}

// standalone is a server with all its parts, put together and not yet serving.
type standalone struct {
	standaloneConfig

	etcd      *etcd.Server
	api       *apiserver.Server
	engine    *engine.Engine
	cache     *cache.Cache
	loopback  *rest.Config
	informers informers.SharedInformerFactory
}

func newStandalone(ctx context.Context, config standaloneConfig) (_ *standalone, err error) {
	s := &standalone{standaloneConfig: config, cache: cache.New()}
	if s.etcd, err = etcd.Start(ctx, s.dir.in("etcd")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.etcd.Stop()
		}
	}()
	go crd.Load()
	s.engine = engine.New(s.cache, klog.FromContext(ctx))

	server := apiserver.NewConfig(version.Get())
	server.Kinds = append(registry.GatewayKinds(s.channel), registry.CoreKinds()...)
	server.Model = s.engine
	if s.withoutStatus {
		server.Model = silent{s.engine}
	}
	if err := s.secure(server.Generic); err != nil {
		return nil, err
	}
	if err := s.store(server.Generic); err != nil {
		return nil, err
	}
	if err := s.admit(server.Generic); err != nil {
		return nil, err
	}
	s.loopback = server.Generic.LoopbackClientConfig
	s.informers = server.Generic.SharedInformerFactory
	s.api, err = server.Complete().New()
	return s, err
}

// silent feeds the engine and says nothing in statuses.
type silent struct{ *engine.Engine }

func (silent) Render(runtime.Object)            {}
func (silent) Warnings(runtime.Object) []string { return nil }

// store keeps objects as JSON in the embedded etcd.
func (s *standalone) store(config *genericapiserver.RecommendedConfig) error {
	codec := apis.Codecs.LegacyCodec(apis.StorageVersions...)
	options := genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig(storagePrefix, codec))
	options.StorageConfig.Transport.ServerList = []string{s.etcd.Endpoint()}
	// Deletions in foreground and with orphans wait for pkg/garbage.
	options.EnableGarbageCollection = true
	return options.ApplyTo(&config.Config)
}

// admit puts NamespaceLifecycle, the only admission plugin whose inputs a standalone server has, in the way of writes.
func (s *standalone) admit(config *genericapiserver.RecommendedConfig) error {
	client, err := kubernetes.NewForConfig(config.LoopbackClientConfig)
	if err != nil {
		return err
	}
	dynamicClient, err := dynamic.NewForConfig(config.LoopbackClientConfig)
	if err != nil {
		return err
	}
	config.ClientConfig = config.LoopbackClientConfig
	config.SharedInformerFactory = informers.NewSharedInformerFactory(client, 0)
	options := genericoptions.NewAdmissionOptions()
	options.RecommendedPluginOrder = []string{lifecycle.PluginName}
	return options.ApplyTo(&config.Config, config.SharedInformerFactory, client, dynamicClient, config.FeatureGate, config.EffectiveVersion)
}

// run serves until ctx ends: first what is stored is loaded, then xDS and the API are served.
func (s *standalone) run(ctx context.Context, out io.Writer) error {
	defer s.etcd.Stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-s.etcd.Failed():
			cancel(fmt.Errorf("etcd ended: %w", err))
		case <-ctx.Done():
		}
	}()

	sources, writers := map[graph.Kind]engine.Source{}, map[graph.Kind]engine.StatusWriter{}
	for kind, store := range s.api.Stores {
		if store.Kind.Modelled {
			sources[graph.Kind(kind.Kind)] = store
		}
		if store.Kind.Modelled && store.Version.Status && !s.withoutStatus {
			writers[graph.Kind(kind.Kind)] = store
		}
	}
	engineDone := make(chan struct{})
	// The engine ends last: stopping requests still ask it.
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(engineDone)
		s.engine.Run(engineCtx, sources, writers)
	}()
	defer func() {
		stopEngine()
		<-engineDone
	}()
	if err := s.engine.Sync(ctx); err != nil {
		s.api.Destroy() // which Run would do: etcd doesn't stop while the stores are connected
		return err
	}

	xds := xdsserver.New(s.cache, klog.FromContext(ctx))
	go func() {
		if err := xds.Serve(s.xdsListen); err != nil {
			cancel(fmt.Errorf("serving xDS: %w", err))
		}
	}()
	defer func() {
		stopping, done := context.WithTimeout(context.Background(), stopTimeout)
		defer done()
		xds.Shutdown(stopping)
	}()

	if err := s.api.AddPostStartHook("standalone-defaults", func(hook genericapiserver.PostStartHookContext) error {
		s.informers.Start(hook.Done())
		go garbage.Run(hook, s.api.Stores)
		go s.migrate(hook)
		go func() {
			if err := s.welcome(hook, out); err != nil && hook.Err() == nil {
				cancel(err)
			}
		}()
		return nil
	}); err != nil {
		return err
	}
	if err := s.api.Run(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
