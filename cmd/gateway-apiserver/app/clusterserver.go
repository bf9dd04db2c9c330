package app

import (
	"context"
	"fmt"
	"net"
	"os"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/version"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apiserver"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/election"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// clusterConfig is what a server in a cluster is made of.
type clusterConfig struct {
	options   *serveOptions
	channel   crd.Channel
	xdsListen net.Listener
}

// clusterServer is a replica of a server in a cluster, put together and not yet serving.
type clusterServer struct {
	clusterConfig
	server

	core *cluster.Sources
}

func newClusterServer(ctx context.Context, config clusterConfig) (*clusterServer, error) {
	s := &clusterServer{clusterConfig: config, server: newServer(ctx, false)}
	go crd.Load()

	api := apiserver.NewConfig(version.Get())
	api.Kinds = registry.GatewayKinds(s.channel)
	if err := s.options.run.ApplyTo(&api.Generic.Config); err != nil {
		return nil, err
	}
	recommended := s.options.recommended
	recommended.FeatureGate = api.Generic.FeatureGate
	recommended.ExtraAdmissionInitializers = func(*genericapiserver.RecommendedConfig) ([]admission.PluginInitializer, error) {
		return []admission.PluginInitializer{quotas{}}, nil
	}
	if err := recommended.ApplyTo(api.Generic); err != nil {
		return nil, err
	}
	var err error
	if s.core, err = cluster.NewSources(api.Generic.ClientConfig); err != nil {
		return nil, err
	}
	return s, s.build(api, recommended.Etcd.StorageConfig)
}

// quotas tells the ResourceQuota plugin that of our kinds only the number of objects counts, which is what it assumes of
// kinds that it isn't told about.
type quotas struct{}

func (quotas) Initialize(plugin admission.Interface) {
	if p, ok := plugin.(initializer.WantsQuotaConfiguration); ok {
		p.SetQuotaConfiguration(generic.NewConfiguration(nil, nil))
	}
}

// run serves until ctx ends.
func (s *clusterServer) run(ctx context.Context) error {
	defer s.etcd.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	inputs := engine.Inputs{
		Sources: map[graph.Kind]engine.Source{
			graph.KindNamespace:     s.core.Namespaces,
			graph.KindService:       s.core.Services,
			graph.KindEndpointSlice: s.core.EndpointSlices,
		},
		Referenced: map[graph.Kind]engine.NamedSource{
			graph.KindSecret:    s.core.Secrets,
			graph.KindConfigMap: s.core.ConfigMaps,
		},
	}
	replica, err := replicaName()
	if err != nil {
		return err
	}
	if err := s.serve(ctx, cancel, s.xdsListen, inputs, func(ctx context.Context) {
		election.Run(ctx, s.etcd, election.Prefix(s.prefix), replica, func(ctx context.Context) {
			s.engine.SetLeader(true)
			defer s.engine.SetLeader(false)
			s.migrate(ctx)
			<-ctx.Done()
		})
	}); err != nil {
		return err
	}
	return causeOf(ctx)
}

// replicaName tells the replicas on one host apart, too.
func replicaName() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("naming this replica: %w", err)
	}
	return fmt.Sprintf("%s_%d", host, os.Getpid()), nil
}
