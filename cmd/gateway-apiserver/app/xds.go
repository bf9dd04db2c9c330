package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/client"
)

// xdsOptions are the flags of the xds command.
type xdsOptions struct {
	gateway   gatewayFlag
	fleet     gatewayFlag
	sidecar   namespaceFlag
	mesh      []string
	proxyless namespaceFlag
	node      nodeFlags
	server    addressFlag
	tls       nodeTLS
	timeout   time.Duration
	output    choiceFlag
}

func newXDSCommand() *cobra.Command {
	o := xdsOptions{
		server: defaultXDS,
		output: choiceFlag{value: "table", choices: []string{"table", "yaml", "json"}},
	}
	cmd := &cobra.Command{
		Use:   "xds (--gateway NAMESPACE/NAME | --fleet NAMESPACE/NAME | --sidecar NAMESPACE | --mesh SERVICE.NAMESPACE:PORT)",
		Short: "Show the Envoy configuration of a Gateway, as an Envoy receives it",
		Long: `Connect to the xDS server as an Envoy of a Gateway does, over one aggregated delta stream, wait until
everything has been answered, and show it: listeners, routes, clusters and endpoints. The formats yaml and
json show every field of every resource; private keys are always redacted.

With --fleet, connect as an Envoy of an EnvoyFleet does that merges its Gateways.

Where an EnvoyFleet selects its nodes (spec.nodes), say with --node-id, --node-cluster and --node-metadata
what the Envoy says of itself; an Envoy that is selected so need name no Gateway.

With --sidecar, connect as the sidecars in a namespace do.

With --mesh, connect as a proxyless gRPC client of a Service does, and show what that receives. Say with
--proxyless in which namespace the client is: the consumer routes of that namespace hold for it.`,
		Example: `  # The listeners, routes, clusters and endpoints of the Gateway web in the namespace default
  gateway-apiserver xds --gateway default/web

  # Every field of its routes
  gateway-apiserver xds --gateway default/web -o json | jq .routes

  # All Gateways of the EnvoyFleet edge in the namespace infra, which merges them
  gateway-apiserver xds --fleet infra/edge

  # What the Envoy gets that is started with --service-node edge-1
  gateway-apiserver xds --node-id edge-1

  # What the sidecars in the namespace shop get
  gateway-apiserver xds --sidecar shop

  # What a gRPC client in the namespace shop that dials xds:///color.faces:80 gets
  gateway-apiserver xds --mesh color.faces:80 --proxyless shop

  # From a server with TLS, with what "xds-cert" has written
  gateway-apiserver xds --gateway default/web --server xds.example.com:18000 --cert-dir /etc/envoy/pki`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.tls.check(); err != nil {
				return err
			}
			query, subject, err := o.query()
			if err != nil {
				return err
			}
			snapshot, err := fetch(cmd.Context(), o, query, subject)
			if err != nil {
				return err
			}
			if o.output.value == "table" {
				return printTables(cmd.OutOrStdout(), snapshot)
			}
			return printSnapshot(cmd.OutOrStdout(), snapshot, o.output.value)
		},
	}
	flags := cmd.Flags()
	flags.Var(&o.gateway, "gateway", "the Gateway to show")
	flags.Var(&o.fleet, "fleet", "the EnvoyFleet, with mergeGateways, whose Gateways to show")
	flags.Var(&o.sidecar, "sidecar", "show what the sidecars in this namespace get")
	o.node.add(flags)
	flags.StringSliceVar(&o.mesh, "mesh", nil, "show what a proxyless gRPC client of this `SERVICE.NAMESPACE:PORT` gets; may be repeated")
	flags.Var(&o.proxyless, "proxyless", "the namespace of the client for --mesh")
	flags.Var(&o.server, "server", "the xDS server")
	o.tls.add(flags)
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long to wait for the server's answers")
	flags.VarP(&o.output, "output", "o", "the format")
	return cmd
}

// fetch reads what the server has for a query, about the subject.
func fetch(ctx context.Context, o xdsOptions, query client.Query, subject string) (*client.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	var files client.Credentials
	if tls := o.tls.files(); tls != nil {
		files = client.Credentials{CA: tls.CA, Cert: tls.Cert, Key: tls.Key, Token: tls.Token}
	}
	conn, err := dial(ctx, o.server.String(), files)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	snapshot, err := client.Fetch(ctx, conn, query)
	late := errors.Is(err, context.DeadlineExceeded)
	// A server may let a node wait whose Gateway it doesn't know, so that an Envoy keeps what it has.
	waits := late && snapshot.Empty() && conn.GetState() == connectivity.Ready
	switch {
	case waits || err == nil && snapshot.Empty():
		return nil, fmt.Errorf("server %s has no configuration for %s", o.server.String(), subject)
	case late:
		return nil, fmt.Errorf("server %s did not answer everything within --timeout %s; does --server name an xDS address? %w", o.server.String(), o.timeout, err)
	case status.Code(err) == codes.InvalidArgument:
		return nil, fmt.Errorf("server %s refuses this node: %s", o.server.String(), status.Convert(err).Message())
	case status.Code(err) == codes.Unauthenticated || status.Code(err) == codes.PermissionDenied:
		return nil, fmt.Errorf("server %s refuses this client: %s", o.server.String(), status.Convert(err).Message())
	case status.Code(err) == codes.Unavailable && o.tls.files() == nil:
		return nil, fmt.Errorf("the connection to %s broke; does --server name an xDS address? If it speaks TLS, give --cert-dir or --token-file: %s", o.server.String(), status.Convert(err).Message())
	case status.Code(err) == codes.Unavailable:
		return nil, fmt.Errorf("the connection to %s broke; does --server name an xDS address? %s", o.server.String(), status.Convert(err).Message())
	case err != nil:
		return nil, fmt.Errorf("reading from the xDS server at %s: %w", o.server.String(), err)
	}
	return snapshot, nil
}

// dial connects to an xDS server once: with grpc's own dialing, a server that isn't there would be retried and logged.
func dial(ctx context.Context, address string, files client.Credentials) (*grpc.ClientConn, error) {
	options, err := files.DialOptions()
	if err != nil {
		return nil, err
	}
	transport, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("no xDS server answers at %s: start one with \"gateway-apiserver standalone\", or name its address with --server: %w", address, err)
	}
	once := func(context.Context, string) (net.Conn, error) { return transport, nil }
	// gRPC warns of what is returned as an error, too: by klog, in which k8s.io/apiserver has it log.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	conn, err := grpc.NewClient("passthrough:///"+address, append(options, grpc.WithContextDialer(once))...)
	if err != nil {
		transport.Close()
		return nil, fmt.Errorf("--server %s: %w", address, err)
	}
	return conn, nil
}

// printSnapshot prints every resource, grouped by type, as yaml or json, without private keys.
func printSnapshot(w io.Writer, s *client.Snapshot, format string) error {
	var document struct {
		Listeners []json.RawMessage `json:"listeners"`
		Routes    []json.RawMessage `json:"routes"`
		Clusters  []json.RawMessage `json:"clusters"`
		Endpoints []json.RawMessage `json:"endpoints"`
		Secrets   []json.RawMessage `json:"secrets"`
		Missing   []client.Resource `json:"missing,omitempty"`
	}
	document.Missing = s.Missing
	err := errors.Join(
		appendJSON(&document.Listeners, s.Listeners),
		appendJSON(&document.Routes, s.Routes),
		appendJSON(&document.Clusters, s.Clusters),
		appendJSON(&document.Endpoints, s.Endpoints),
		appendJSON(&document.Secrets, s.Secrets),
	)
	if err != nil {
		return err
	}
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return printJSON(w, data, format)
}

// appendJSON appends each message, redacted, to out, which is never nil after that.
func appendJSON[M proto.Message](out *[]json.RawMessage, messages []M) error {
	*out = []json.RawMessage{}
	for _, m := range messages {
		safe, err := redact(m)
		if err != nil {
			return err
		}
		data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(safe)
		if err != nil {
			return err
		}
		*out = append(*out, data)
	}
	return nil
}
