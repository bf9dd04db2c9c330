package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	resourcequotaapi "k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apiserver"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
)

// securePort is where the API is served in a cluster, by default. It is not privileged.
const securePort = 6443

// provisioningXDS is where xDS is served by default for Envoys of the cluster.
var provisioningXDS = fmt.Sprintf(":%d", install.XDSPort)

// serveOptions are the flags of the serve command: those of k8s.io/apiserver, and ours.
type serveOptions struct {
	run         *genericoptions.ServerRunOptions
	recommended *genericoptions.RecommendedOptions
	logging     *logsapi.LoggingConfiguration
	selfSigned  *selfSignedOptions
	embedded    *embeddedOptions

	channel      choiceFlag
	xds          xdsServing
	xdsService   string
	xdsCA        string
	lintXDS      bool
	provisioning bool
}

func newServeOptions() *serveOptions {
	o := &serveOptions{
		run:         genericoptions.NewServerRunOptions(),
		recommended: genericoptions.NewRecommendedOptions(storagePrefix, apis.Codecs.LegacyCodec(apis.StorageVersions...)),
		logging:     logsapi.NewLoggingConfiguration(),
		selfSigned:  newSelfSignedOptions(),
		embedded:    newEmbeddedOptions(),
		channel:     newChannelFlag(),
		xds:         newXDSServing(),
		xdsService:  install.XDSService,
	}
	o.run.ShutdownWatchTerminationGracePeriod = apiserver.WatchGrace
	o.recommended.SecureServing.BindPort = securePort
	// A certificate that nobody can verify would only seem to work.
	o.recommended.SecureServing.ServerCert.CertDirectory = ""
	// /debug/pprof tells much of a process, and redirects, which no aggregated server may.
	o.recommended.Features.EnableProfiling = false
	admission := o.recommended.Admission
	resourcequotaapi.Register(admission.Plugins)
	admission.RecommendedPluginOrder = append(admission.RecommendedPluginOrder, resourcequotaapi.PluginName)
	return o
}

func newServeCommand() *cobra.Command {
	o := newServeOptions()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server in a Kubernetes cluster, behind its kube-apiserver",
		Long: `Run the API server and the xDS server in a Kubernetes cluster that registers it with APIServices.

Requests come from kube-apiserver, which has authenticated them, or from clients directly, whose tokens and certificates
kube-apiserver is asked about; it is also asked what they may do. Namespaces, Services and EndpointSlices are those of the
cluster, and so are the Secrets and ConfigMaps that Gateways and policies refer to, which are read one by one. Any number
of replicas can share an etcd.

xDS clients that reach the server from elsewhere show the token of a ServiceAccount, for the audience gateway-apiserver.dev/xds. One
that may get gateways/xds (gateway.networking.k8s.io) of a name reads the configuration of that Gateway, one that may get
envoyfleets/xds (gateway-apiserver.dev) that of that EnvoyFleet, and each the mesh as its own namespace sees it.

"gateway-apiserver install" makes all that this takes.`,
		Example: `  # In a Pod of the cluster
  gateway-apiserver serve --etcd-servers=https://etcd:2379 --etcd-cafile=ca.crt --etcd-certfile=tls.crt --etcd-keyfile=tls.key --self-signed

  # Outside of it
  gateway-apiserver serve --kubeconfig=cluster.kubeconfig --etcd-servers=http://127.0.0.1:2379 --tls-cert-file=tls.crt --tls-private-key-file=tls.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.provisioning && !cmd.Flags().Changed("xds-listen") {
				o.xds.listen = provisioningXDS
			}
			if err := o.complete(); err != nil {
				return err
			}
			return o.serve(cmd.Context())
		},
	}
	sets := o.flags()
	for _, set := range sets.FlagSets {
		cmd.Flags().AddFlagSet(set)
	}
	cliflag.SetUsageAndHelpFunc(cmd, *sets, 0) // no wrapping
	return cmd
}

// flags returns the flags, in groups.
func (o *serveOptions) flags() *cliflag.NamedFlagSets {
	sets := &cliflag.NamedFlagSets{}
	ours := sets.FlagSet("gateway")
	ours.Var(&o.channel, "channel", channelUsage)
	ours.BoolVar(&o.lintXDS, "lint-xds", false, lintXDSUsage)
	ours.BoolVar(&o.provisioning, "provisioning", false, "run Envoys in the cluster for the Gateways whose EnvoyFleet has spec.provisioning")

	xds := sets.FlagSet("xds")
	o.xds.addFlags(xds, "address of the xDS server, HOST:PORT; plaintext on a loopback address, TLS on others. Empty: none. With --provisioning, "+
		provisioningXDS+" by default", "by default that of the API")
	xds.StringVar(&o.xdsService, "xds-service", o.xdsService, "Service by which Envoys find the server, in the namespace of --service; certificates of --self-signed are for both")
	xds.StringVar(&o.xdsCA, "xds-ca-file", "", "CAs, in PEM, read again when they change, by which Envoys of --provisioning verify the server; by default those of --self-signed")

	r := o.recommended
	r.CoreAPI.AddFlags(sets.FlagSet("cluster"))
	sets.FlagSet("cluster").Lookup("kubeconfig").Usage = "kubeconfig of the cluster's kube-apiserver; by default, that of the Pod that this runs in"
	r.Etcd.AddFlags(sets.FlagSet("etcd"))
	o.embedded.addFlags(sets.FlagSet("embedded etcd"))
	r.SecureServing.AddFlags(sets.FlagSet("secure serving"))
	o.selfSigned.addFlags(sets.FlagSet("secure serving"))
	r.Authentication.AddFlags(sets.FlagSet("authentication"))
	r.Authorization.AddFlags(sets.FlagSet("authorization"))
	r.Admission.AddFlags(sets.FlagSet("admission"))
	r.Audit.AddFlags(sets.FlagSet("auditing"))
	r.Features.AddFlags(sets.FlagSet("features"))
	r.EgressSelector.AddFlags(sets.FlagSet("egress selector"))
	r.Traces.AddFlags(sets.FlagSet("traces"))
	o.run.AddUniversalFlags(sets.FlagSet("generic"))
	logsapi.AddFlags(o.logging, sets.FlagSet("logs"))
	return sets
}

// complete fills in what follows from other flags, and checks all of them.
func (o *serveOptions) complete() error {
	if err := o.run.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	if err := logsapi.ValidateAndApply(o.logging, utilfeature.DefaultFeatureGate); err != nil {
		return err
	}
	r := o.recommended
	if len(r.Etcd.StorageConfig.Transport.ServerList) == 0 && !o.embedded.enabled() {
		return errors.New("objects have to be stored somewhere: give --etcd-servers, the URLs of an etcd cluster, or --embedded-etcd, a directory for an etcd in this process")
	}
	if kubeconfig := r.CoreAPI.CoreAPIKubeconfigPath; kubeconfig != "" {
		for _, other := range []*string{&r.Authentication.RemoteKubeConfigFile, &r.Authorization.RemoteKubeConfigFile} {
			if *other == "" {
				*other = kubeconfig
			}
		}
	}
	errs := slices.Concat(o.completeEtcd(), o.run.Validate(), r.Validate(), o.selfSigned.complete())
	switch cert := r.SecureServing.ServerCert.CertKey; {
	case o.selfSigned.enabled && (cert.CertFile != "" || cert.KeyFile != ""):
		errs = append(errs, errors.New("--self-signed and --tls-cert-file exclude each other: there is one serving certificate"))
	case !o.selfSigned.enabled && (cert.CertFile == "" || cert.KeyFile == ""):
		errs = append(errs, errors.New("a serving certificate is needed: give --self-signed, or --tls-cert-file and --tls-private-key-file"))
	}
	errs = append(errs, o.xds.validate()...)
	if o.provisioning {
		errs = append(errs, o.checkProvisioning()...)
	}
	return utilerrors.NewAggregate(errs)
}

// checkProvisioning checks that Envoys could find the server, and know it.
func (o *serveOptions) checkProvisioning() []error {
	var errs []error
	if o.selfSigned.namespace == "" {
		errs = append(errs, errors.New("--provisioning needs --namespace: that of the server's Service, by which Envoys find it"))
	}
	switch {
	case o.xds.listen == "":
		errs = append(errs, errors.New("--provisioning needs --xds-listen: Envoys have no other way to get their configuration"))
	case !o.xds.secured():
		errs = append(errs, fmt.Errorf("--provisioning with --xds-listen %s: Envoys don't reach a loopback address; leave it out, or give %s", o.xds.listen, provisioningXDS))
	}
	if o.xdsCA == "" && (!o.selfSigned.enabled || o.xds.certFile != "") {
		errs = append(errs, errors.New("--provisioning needs --xds-ca-file, or --self-signed without --xds-cert-file: Envoys have to know by which CA to verify the server"))
	}
	return errs
}

// envoyServer is where Envoys in the cluster find the xDS server.
func (o *serveOptions) envoyServer() bootstrap.Address {
	return bootstrap.Address{Host: fmt.Sprintf("%s.%s.svc", o.xdsService, o.selfSigned.namespace), Port: install.XDSPort}
}

// completeEtcd checks which etcd is used.
func (o *serveOptions) completeEtcd() []error {
	etcd := o.recommended.Etcd
	errs := o.embedded.validate()
	if len(etcd.EtcdServersOverrides) > 0 {
		errs = append(errs, errors.New("--etcd-servers-overrides: all kinds are stored in one etcd, so that one revision says what a replica has seen; use --etcd-servers"))
	}
	if !o.embedded.enabled() {
		return errs
	}
	if len(etcd.StorageConfig.Transport.ServerList) > 0 {
		errs = append(errs, errors.New("--etcd-servers and --embedded-etcd exclude each other: objects are stored in one etcd"))
	}
	if o.embedded.peerHost() != "" && !o.embedded.ownPeerTLS() && !o.selfSigned.enabled {
		errs = append(errs, errors.New("--embedded-etcd-peers: members need certificates: give --self-signed, or --embedded-etcd-cert-file, --embedded-etcd-key-file and --embedded-etcd-trusted-ca-file"))
	}
	// The address is known when it runs, and missing until then.
	etcd.StorageConfig.Transport.ServerList = []string{o.embedded.dir}
	return errs
}

// serve runs the server until ctx ends.
func (o *serveOptions) serve(ctx context.Context) error {
	var xds net.Listener
	if o.xds.listen != "" {
		l, err := listen("--xds-listen", o.xds.listen)
		if err != nil {
			return err
		}
		defer l.Close()
		xds = newRefusing(l.(*net.TCPListener))
	}
	s, err := newClusterServer(ctx, clusterConfig{
		options: o, channel: crd.Channel(o.channel.value), xdsListen: xds,
	})
	if err == nil {
		err = s.run(ctx)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // told to stop while it was starting
	}
	return err
}
