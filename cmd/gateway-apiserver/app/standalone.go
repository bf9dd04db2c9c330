package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// standaloneOptions are the flags of the standalone command.
type standaloneOptions struct {
	dataDir   string
	listen    string
	xds       xdsServing
	lintXDS   bool
	manifests []string
	channel   choiceFlag
	logging   *logsapi.LoggingConfiguration
}

func newStandaloneCommand() *cobra.Command {
	o := &standaloneOptions{
		dataDir: defaultDataDir,
		listen:  "127.0.0.1:6443",
		xds:     newXDSServing(),
		channel: newChannelFlag(),
		logging: logsapi.NewLoggingConfiguration(),
	}
	cmd := &cobra.Command{
		Use:   "standalone",
		Short: "Run the server with etcd embedded and no cluster",
		Long: `Run the API server, the xDS server and an embedded etcd in one process, without any cluster.

Everything is kept in the data directory: the objects, a certificate authority that is made once, and a kubeconfig for
the administrator (admin.kubeconfig).

On a loopback address, xDS is plaintext, and whoever can connect may read everything. On any other it speaks TLS, with a
certificate of that authority, and each client has to show one for what it reads: "gateway-apiserver xds-cert" issues them.`,
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
	o.xds.addFlags(flags, "address of the xDS server, HOST:PORT; plaintext on a loopback address, TLS on others", "by default one of the authority in the data directory")
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
	if o.xds.listen == "" {
		return errors.New("--xds-listen: want HOST:PORT, for example 127.0.0.1:18000")
	}
	if err := utilerrors.NewAggregate(o.xds.validate()); err != nil {
		return err
	}
	xds, err := listen("--xds-listen", o.xds.listen)
	if err != nil {
		return err
	}
	defer xds.Close()
	dir, err := openDataDir(o.dataDir)
	if err != nil {
		return err
	}
	defer dir.close()
	s, err := newStandalone(ctx, standaloneConfig{dir: dir, apiListen: api, xdsListen: xds, xds: o.xds, lintXDS: o.lintXDS, manifests: o.manifests, channel: crd.Channel(o.channel.value)})
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
