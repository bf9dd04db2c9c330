package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// standaloneOptions are the flags of the standalone command.
type standaloneOptions struct {
	dataDir   string
	listen    string
	xdsListen string
	lintXDS   bool
	manifests []string
	channel   choiceFlag
	logging   *logsapi.LoggingConfiguration
}

func newStandaloneCommand() *cobra.Command {
	o := &standaloneOptions{
		dataDir:   ".gateway-apiserver",
		listen:    "127.0.0.1:6443",
		xdsListen: defaultXDS.String(),
		channel:   newChannelFlag(),
		logging:   logsapi.NewLoggingConfiguration(),
	}
	cmd := &cobra.Command{
		Use:   "standalone",
		Short: "Run the server with etcd embedded and no cluster",
		Long: `Run the API server, the xDS server and an embedded etcd in one process, without any cluster.

Everything is kept in the data directory: the objects, a certificate authority that is made once, and a kubeconfig for
the administrator (admin.kubeconfig). xDS is plaintext, and so only listens on loopback addresses.`,
		Example: `  # Start, and apply what is in ./manifests now and whenever it changes
  gateway-apiserver standalone --manifests ./manifests

  # In another terminal
  export KUBECONFIG=.gateway-apiserver/admin.kubeconfig
  kubectl get gatewayclasses`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := logsapi.ValidateAndApply(o.logging, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dataDir, "data-dir", o.dataDir, "directory that keeps everything; made if it is missing")
	flags.StringVar(&o.listen, "listen", o.listen, "address of the Kubernetes API, HOST:PORT; TLS with client certificates")
	flags.StringVar(&o.xdsListen, "xds-listen", o.xdsListen, "address of the xDS server, HOST:PORT; loopback only")
	flags.BoolVar(&o.lintXDS, "lint-xds", false, lintXDSUsage)
	flags.StringArrayVar(&o.manifests, "manifests", nil, "directory of YAML files to apply at the start and whenever they change; may be repeated")
	flags.Var(&o.channel, "channel", channelUsage)
	logsapi.AddFlags(o.logging, flags)
	return cmd
}

func (o *standaloneOptions) run(ctx context.Context, out io.Writer) error {
	api, err := listen("--listen", o.listen)
	if err != nil {
		return err
	}
	defer api.Close()
	if err := checkLoopback(o.xdsListen); err != nil {
		return err
	}
	xds, err := listen("--xds-listen", o.xdsListen)
	if err != nil {
		return err
	}
	defer xds.Close()
	dir, err := openDataDir(o.dataDir)
	if err != nil {
		return err
	}
	defer dir.close()
	s, err := newStandalone(ctx, standaloneConfig{dir: dir, apiListen: api, xdsListen: xds, lintXDS: o.lintXDS, manifests: o.manifests, channel: crd.Channel(o.channel.value)})
	if err == nil {
		err = s.run(ctx, out)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // told to stop while it was starting
	}
	return err
}

func listen(flag, address string) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("%s %s: want HOST:PORT: %w", flag, address, err)
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s %s: %w (is another server running there? choose another address)", flag, address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, address, err)
	}
	return l, nil
}

// checkLoopback refuses to serve plaintext to other machines.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--xds-listen %s: want HOST:PORT: %w", address, err)
	}
	ips := []net.IP{net.ParseIP(host)} // nil for another name than localhost, and for no host, which is every address
	if host == "localhost" {
		if ips, err = net.LookupIP(host); err != nil {
			return fmt.Errorf("--xds-listen %s: %w", address, err)
		}
	}
	if slices.ContainsFunc(ips, func(ip net.IP) bool { return !ip.IsLoopback() }) {
		return fmt.Errorf("--xds-listen %s: xDS is plaintext and carries private keys, so it only listens on a loopback address: use 127.0.0.1 or [::1]", address)
	}
	return nil
}
