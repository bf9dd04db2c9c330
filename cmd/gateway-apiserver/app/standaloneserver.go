package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/version"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apiserver"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/definitions"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/garbage"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// standaloneReplica is the name of the only replica that there is.
const standaloneReplica = "standalone"

// standaloneConfig is what a standalone server is made of.
type standaloneConfig struct {
	dir       *dataDir
	apiListen net.Listener
	xdsListen net.Listener
	xds       xdsServing
	lintXDS   bool
	manifests []string // directories
	channel   crd.Channel
	// withoutStatus is that of server.
	withoutStatus bool
}

// standalone is a server with etcd embedded and no cluster, put together and not yet serving.
type standalone struct {
	standaloneConfig
	server

	embedded *etcd.Server
	loopback *rest.Config
	ca       *pki.CA
}

func newStandalone(ctx context.Context, config standaloneConfig) (_ *standalone, err error) {
	s := &standalone{standaloneConfig: config, server: newServer(ctx, standaloneReplica, config.withoutStatus)}
	if s.embedded, err = etcd.Start(ctx, s.dir.in("etcd")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.embedded.Stop()
		}
	}()
	go crd.Load()

	api := apiserver.NewConfig(version.Get())
	api.Kinds = slices.Concat(registry.GatewayKinds(s.channel), registry.OwnKinds(), registry.CoreKinds())
	if err := s.secure(api.Generic); err != nil {
		return nil, err
	}
	storage, err := s.store(api.Generic)
	if err != nil {
		return nil, err
	}
	if err := s.admit(api.Generic); err != nil {
		return nil, err
	}
	s.loopback = api.Generic.LoopbackClientConfig
	definitions.Configure(&api.Generic.Config)
	made, err := s.dir.made()
	if err != nil {
		return nil, err
	}
	key, err := s.ca.Derive(rejectionsKey)
	if err != nil {
		return nil, err
	}
	if err := s.build(api, storage, key); err != nil {
		return nil, err
	}
	if err := definitions.Install(s.api.GenericAPIServer, s.channel, made); err != nil {
		s.api.Destroy()
		return nil, errors.Join(err, s.etcd.Close())
	}
	return s, nil
}

// store keeps objects as JSON in the embedded etcd.
func (s *standalone) store(config *genericapiserver.RecommendedConfig) (storagebackend.Config, error) {
	codec := apis.Codecs.LegacyCodec(apis.StorageVersions...)
	options := genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig(storagePrefix, codec))
	options.StorageConfig.Transport.ServerList = []string{s.embedded.Endpoint()}
	// Deletions in foreground and with orphans wait for pkg/garbage.
	options.EnableGarbageCollection = true
	return options.StorageConfig, options.ApplyTo(&config.Config)
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

// run serves until ctx ends.
func (s *standalone) run(ctx context.Context, out io.Writer) error {
	defer s.embedded.Stop()
	defer s.etcd.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go failWith(ctx, cancel, s.embedded)

	inputs := engine.Inputs{Sources: map[graph.Kind]engine.Source{}, LintXDS: s.lintXDS}
	xds, err := s.xdsEndpoint(ctx)
	if err != nil {
		s.api.Destroy()
		return err
	}
	if err := s.serve(ctx, cancel, xds, inputs, func(ctx context.Context) {
		s.engine.SetLeader(true) // there is no other; only now, as what nodes had rejected before is known
		go garbage.Run(ctx, s.api.Stores)
		go s.migrate(ctx)
		go s.maintain(ctx, true)
		go s.feedback.verdicts.Lead(ctx)
		if err := s.welcome(ctx, out); err != nil && ctx.Err() == nil {
			cancel(err)
		}
	}); err != nil {
		return err
	}
	return causeOf(ctx)
}

// failWith ends ctx when an embedded etcd ends by itself.
func failWith(ctx context.Context, cancel context.CancelCauseFunc, embedded *etcd.Server) {
	select {
	case err := <-embedded.Failed():
		cancel(fmt.Errorf("etcd ended: %w", err))
	case <-ctx.Done():
	}
}
