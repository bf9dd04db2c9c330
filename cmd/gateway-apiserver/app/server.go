package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	authenticationunion "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	"k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apiserver"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/garbage"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/manifests"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	xdsserver "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

const (
	kubeconfigFile = "admin.kubeconfig"
	// defaultClass is the GatewayClass that a standalone server makes.
	defaultClass = "gateway-apiserver"
	// stopTimeout bounds how long xDS streams may take to end.
	stopTimeout = 5 * time.Second
)

// standaloneConfig is what a standalone server is made of.
type standaloneConfig struct {
	dir       *dataDir
	apiListen net.Listener
	xdsListen net.Listener
	manifests []string // directories
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
	server.Kinds = append(registry.GatewayKinds(), registry.CoreKinds()...)
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

// secure sets up TLS on the listener, with a certificate of our CA, and lets in those who have one for the group
// system:masters. Health can be asked by anyone.
func (s *standalone) secure(config *genericapiserver.RecommendedConfig) error {
	ca, err := pki.LoadOrMake(s.dir.in("pki"), "gateway-apiserver")
	if err != nil {
		return err
	}
	certPEM, keyPEM, err := issueServing(ca, s.apiListen.Addr().(*net.TCPAddr))
	if err != nil {
		return err
	}
	options := genericoptions.NewSecureServingOptions().WithLoopback()
	options.Listener = s.apiListen
	if options.ServerCert.GeneratedCert, err = dynamiccertificates.NewStaticCertKeyContent("serving", certPEM, keyPEM); err != nil {
		return err
	}
	if err := options.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig); err != nil {
		return err
	}
	clientCA, err := dynamiccertificates.NewStaticCAContent("client-ca", ca.PEM())
	if err != nil {
		return err
	}
	if err := config.Authentication.ApplyClientCert(clientCA, config.SecureServing); err != nil {
		return err
	}
	config.Authentication.Authenticator = authenticationunion.New(
		x509.NewDynamic(clientCA.VerifyOptions, x509.CommonNameUserConversion),
		anonymous.NewAuthenticator(nil),
	)
	health, err := path.NewAuthorizer([]string{"/healthz", "/livez", "/readyz"})
	if err != nil {
		return err
	}
	if config.Authorization.Authorizer, err = union.New(
		union.NamedAuthorizer{AuthorizerName: "AlwaysAllowPaths", Authorizer: health},
		union.NamedAuthorizer{AuthorizerName: "PrivilegedGroups", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
	); err != nil {
		return err
	}
	return s.writeKubeconfig(ca, s.apiListen.Addr().String())
}

// silent feeds the engine and says nothing in statuses.
type silent struct{ *engine.Engine }

func (silent) Render(runtime.Object)            {}
func (silent) Warnings(runtime.Object) []string { return nil }

// issueServing makes a certificate for the addresses at which a listener can be reached.
func issueServing(ca *pki.CA, address *net.TCPAddr) (certPEM, keyPEM []byte, err error) {
	names := []string{"localhost"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if !address.IP.IsUnspecified() {
		ips = append(ips, address.IP)
	} else if all, err := net.InterfaceAddrs(); err == nil {
		for _, a := range all {
			if n, ok := a.(*net.IPNet); ok {
				ips = append(ips, n.IP)
			}
		}
	}
	return ca.IssueServer("gateway-apiserver", names, ips)
}

func (s *standalone) writeKubeconfig(ca *pki.CA, address string) error {
	certPEM, keyPEM, err := ca.IssueClient("admin", user.SystemPrivilegedGroup)
	if err != nil {
		return err
	}
	const name = "gateway-apiserver"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: "https://" + reachable(address), CertificateAuthorityData: ca.PEM()}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: certPEM, ClientKeyData: keyPEM}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: "admin"}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, s.dir.in(kubeconfigFile)); err != nil { // mode 0600
		return fmt.Errorf("writing the kubeconfig of the administrator: %w", err)
	}
	return nil
}

// reachable turns the address of a listener into one that can be dialled.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// store keeps objects as JSON in the embedded etcd.
func (s *standalone) store(config *genericapiserver.RecommendedConfig) error {
	codec := apis.Codecs.LegacyCodec(schema.GroupVersion(gwv1.GroupVersion), corev1.SchemeGroupVersion, schema.GroupVersion{Group: "discovery.k8s.io", Version: "v1"})
	options := genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig("/gateway-apiserver.dev", codec))
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
		if store.Kind.Modelled && store.Kind.Status && !s.withoutStatus {
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
		go s.welcome(hook, out)
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

// welcome makes what every standalone server has, tells the user the next step, and follows the manifests.
func (s *standalone) welcome(ctx context.Context, out io.Writer) {
	logger := klog.FromContext(ctx)
	client, err := dynamic.NewForConfig(s.loopback)
	if err != nil {
		logger.Error(err, "Making a client of this server")
		return
	}
	if err := makeDefaults(ctx, client); err != nil {
		logger.Error(err, "Making the default Namespace and GatewayClass")
	}
	if len(s.manifests) > 0 {
		follower, err := manifests.New(s.manifests, s.loopback)
		if err != nil {
			logger.Error(err, "Following the manifests")
			return
		}
		go follower.Run(ctx)
		select {
		case <-follower.Synced():
		case <-ctx.Done():
			return
		}
	}
	s.sayReady(out)
}

// sayReady tells the user the addresses and the next steps.
func (s *standalone) sayReady(out io.Writer) {
	xds := s.xdsListen.Addr().String()
	server, xdsServer := "", ""
	if xds != defaultXDS.String() {
		server, xdsServer = " --server "+xds, " --xds-server "+xds
	}
	fmt.Fprintf(out, `gateway-apiserver is ready: API on https://%[1]s, xDS on %[2]s.

Next, in another terminal:
  export KUBECONFIG=%[3]s
  kubectl get gateways,httproutes,grpcroutes --all-namespaces
What the Envoys of a Gateway receive, and the file to start one with:
  %[4]s xds --gateway NAMESPACE/NAME%[5]s
  %[4]s bootstrap --gateway NAMESPACE/NAME%[6]s
`, reachable(s.apiListen.Addr().String()), xds, s.dir.in(kubeconfigFile), os.Args[0], server, xdsServer)
}

// makeDefaults makes the Namespace default and our GatewayClass, unless they exist.
func makeDefaults(ctx context.Context, client dynamic.Interface) error {
	for resource, obj := range map[schema.GroupVersionResource]map[string]any{
		{Version: "v1", Resource: "namespaces"}: {
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": metav1.NamespaceDefault},
		},
		{Group: gwv1.GroupName, Version: "v1", Resource: "gatewayclasses"}: {
			"apiVersion": schema.GroupVersion(gwv1.GroupVersion).String(), "kind": "GatewayClass", "metadata": map[string]any{"name": defaultClass},
			"spec": map[string]any{"controllerName": string(graph.ControllerName)},
		},
	} {
		_, err := client.Resource(resource).Create(ctx, &unstructured.Unstructured{Object: obj}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making %s: %w", resource.Resource, err)
		}
	}
	return nil
}
