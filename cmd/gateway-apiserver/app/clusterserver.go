package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/version"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apiserver"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/election"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd/snapshot"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/progress"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/provision"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/selfsigned"
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

	core         *cluster.Sources
	embedded     *etcd.Server             // nil if etcd is elsewhere
	certificates *selfsigned.Certificates // nil if they are in files
	xds          *xdsEndpoint             // nil if there is no xDS
	provisioner  *provision.Provisioner   // nil if Gateways get no Envoys
}

func newClusterServer(ctx context.Context, config clusterConfig) (_ *clusterServer, err error) {
	replica, err := replicaName()
	if err != nil {
		return nil, err
	}
	s := &clusterServer{clusterConfig: config, server: newServer(ctx, replica, false)}
	go crd.Load()

	api := apiserver.NewConfig(version.Get())
	api.Kinds = append(registry.GatewayKinds(s.channel), registry.OwnKinds()...)
	if err := s.options.run.ApplyTo(&api.Generic.Config); err != nil {
		return nil, err
	}
	recommended := s.options.recommended
	recommended.FeatureGate = api.Generic.FeatureGate
	recommended.ExtraAdmissionInitializers = func(*genericapiserver.RecommendedConfig) ([]admission.PluginInitializer, error) {
		return []admission.PluginInitializer{quotas{}}, nil
	}
	kube, err := kubeConfig(recommended.CoreAPI.CoreAPIKubeconfigPath)
	if err != nil {
		return nil, err
	}
	if s.options.selfSigned.enabled {
		if s.certificates, err = s.options.selfSigned.serving(ctx, kube, recommended.SecureServing.BindAddress, s.options.xdsService); err != nil {
			return nil, err
		}
		recommended.SecureServing.ServerCert.GeneratedCert = s.certificates
	}
	if s.options.embedded.enabled() {
		if err := s.startEtcd(ctx, kube); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				s.embedded.Stop()
			}
		}()
		recommended.Etcd.StorageConfig.Transport.ServerList = []string{s.embedded.Endpoint()}
	}
	if err := publishedClientCA(ctx, recommended.Authentication); err != nil {
		return nil, err
	}
	if err := recommended.ApplyTo(api.Generic); err != nil {
		return nil, err
	}
	if s.core, err = cluster.NewSources(api.Generic.ClientConfig); err != nil {
		return nil, err
	}
	if s.xdsListen != nil {
		if s.xds, err = s.xdsEndpoint(ctx, api.Generic); err != nil {
			return nil, err
		}
	}
	if s.options.provisioning {
		if s.provisioner, err = s.newProvisioner(ctx, api.Generic.ClientConfig); err != nil {
			return nil, err
		}
	}
	var key []byte // nil if the replicas have no secret in common
	if s.certificates != nil {
		if key, err = s.certificates.Derive(rejectionsKey); err != nil {
			return nil, err
		}
	}
	return s, s.build(api, recommended.Etcd.StorageConfig, key)
}

// kubeConfig says how to reach kube-apiserver: as a kubeconfig says, or as every Pod is told.
func kubeConfig(path string) (*rest.Config, error) {
	load := rest.InClusterConfig
	if path != "" {
		load = func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", path) }
	}
	config, err := load()
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, errors.New("outside of a Pod, --kubeconfig is needed to reach kube-apiserver")
	}
	if err != nil {
		return nil, fmt.Errorf("reading how to reach kube-apiserver: %w", err)
	}
	return rest.AddUserAgent(config, "serve"), nil
}

// startEtcd runs a member of etcd in this process, with certificates for the others.
func (s *clusterServer) startEtcd(ctx context.Context, kube *rest.Config) (err error) {
	var tls etcd.PeerTLS
	if host := s.options.embedded.peerHost(); host != "" && !s.options.embedded.ownPeerTLS() {
		if tls, err = s.options.selfSigned.peer(ctx, kube, s.options.embedded.dir, host); err != nil {
			return err
		}
	}
	s.embedded, err = s.options.embedded.start(ctx, tls)
	return err
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
	if s.embedded != nil {
		defer s.embedded.Stop()
	}
	defer s.etcd.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if s.embedded != nil {
		go failWith(ctx, cancel, s.embedded)
	}
	if err := snapshot.CheckComplete(ctx, s.etcd, s.prefix); err != nil {
		s.api.Destroy()
		return err
	}
	revisions := progress.New(s.etcd, s.prefix, s.prefixes())
	go revisions.Run(ctx)
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
		Progress: revisions,
		LintXDS:  s.options.lintXDS,
	}
	if s.provisioner != nil {
		inputs.Infrastructure = s.provisioner
	}
	if s.certificates != nil {
		go s.certificates.Run(ctx)
	}
	if err := s.serve(ctx, cancel, s.xds, inputs, func(ctx context.Context) {
		var maintaining sync.WaitGroup
		defer maintaining.Wait()
		maintaining.Go(func() { s.maintain(ctx, s.embedded != nil) })
		election.Run(ctx, s.etcd, election.Prefix(s.prefix), s.replica, func(ctx context.Context) {
			s.engine.SetLeader(true)
			defer s.engine.SetLeader(false)
			var leading sync.WaitGroup
			defer leading.Wait()
			leading.Go(func() { s.feedback.verdicts.Lead(ctx) })
			s.migrate(ctx)
			<-ctx.Done()
		})
	}); err != nil {
		return err
	}
	return causeOf(ctx)
}

// prefixes returns what the keys in etcd begin with, by kind.
func (s *clusterServer) prefixes() map[graph.Kind]string {
	prefixes := map[graph.Kind]string{}
	for kind, store := range s.api.Stores {
		if store.Kind.Modelled {
			prefixes[graph.Kind(kind.Kind)] = s.prefix + store.Root()
		}
	}
	return prefixes
}

// replicaName tells the replicas on one host apart, too.
func replicaName() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("naming this replica: %w", err)
	}
	return fmt.Sprintf("%s_%d", host, os.Getpid()), nil
}
