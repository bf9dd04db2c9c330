package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
)

// bootstrapOptions are the flags of the bootstrap command.
type bootstrapOptions struct {
	gateway   gatewayFlag
	fleet     gatewayFlag
	sidecar   namespaceFlag
	proxyless namespaceFlag
	server    addressFlag
	nodeID    string
	admin     addressFlag
	output    choiceFlag
}

// serves is what the bootstrap is for, as its flag says it; one of them is to be set.
func (o *bootstrapOptions) serves() (name string, err error) {
	for _, said := range []string{o.gateway.String(), o.fleet.String(), o.sidecar.String(), o.proxyless.String()} {
		if said != "" && name != "" {
			return "", errServes
		}
		name = cmp.Or(name, said)
	}
	if name == "" {
		return "", errServes
	}
	return name, nil
}

var errServes = errors.New("one of --gateway NAMESPACE/NAME, for example default/web, --fleet NAMESPACE/NAME, " +
	"--sidecar NAMESPACE and --proxyless NAMESPACE is required")

func newBootstrapCommand() *cobra.Command {
	o := bootstrapOptions{
		server: defaultXDS,
		admin:  addressFlag{host: "127.0.0.1", port: 19000},
		output: choiceFlag{value: "yaml", choices: []string{"yaml", "json"}},
	}
	cmd := &cobra.Command{
		Use:   "bootstrap (--gateway NAMESPACE/NAME | --fleet NAMESPACE/NAME | --sidecar NAMESPACE | --proxyless NAMESPACE)",
		Short: "Print the bootstrap of an Envoy, or of a client of the mesh",
		Long: `Print the bootstrap configuration with which an Envoy serves a Gateway: it names the Gateway in
its node metadata and takes all else from this server, over one aggregated delta xDS stream.
With --fleet, the Envoy serves all Gateways of an EnvoyFleet that merges them (spec.mergeGateways).

Any number of Envoys may serve a Gateway. Give each its own --node-id, or start it with Envoy's
--service-node, so that the server can tell them apart. Where an EnvoyFleet selects its nodes
(spec.nodes), an Envoy has to match: by --node-id, by Envoy's --service-cluster, or by what is added
to node.metadata.

With --sidecar, the Envoy is the sidecar of a workload in that namespace: it listens at 127.0.0.1:15001
(and [::1]:15001, where Services have IPv6 addresses) for the workload's outbound connections, which
have to be redirected there, but for those of the Envoy itself.

With --proxyless, print the bootstrap of a gRPC client in that namespace which executes the routes of the
mesh itself, as the file that GRPC_XDS_BOOTSTRAP names.`,
		Example: `  # Run an Envoy for the Gateway web in the namespace default
  gateway-apiserver bootstrap --gateway default/web > envoy.yaml
  envoy --config-path envoy.yaml

  # A second one on this host, with its own name and admin port
  gateway-apiserver bootstrap --gateway default/web --node-id web-2 --admin-address 127.0.0.1:19001 > envoy-2.yaml
  envoy --config-path envoy-2.yaml --base-id 2

  # One for all Gateways of the EnvoyFleet edge in the namespace infra, which merges them
  gateway-apiserver bootstrap --fleet infra/edge --node-id edge-1 > edge.yaml

  # The sidecar of the Pod web-7 in the namespace shop
  gateway-apiserver bootstrap --sidecar shop --node-id web-7 > sidecar.yaml

  # A gRPC client in the namespace shop
  gateway-apiserver bootstrap --proxyless shop --node-id client-1 > grpc.json
  GRPC_XDS_BOOTSTRAP=grpc.json client xds:///color.faces:80`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := o.serves()
			if err != nil {
				return err
			}
			o.nodeID = cmp.Or(o.nodeID, name)
			if o.proxyless != "" {
				if cmd.Flags().Changed("admin-address") {
					return errors.New("--admin-address: gRPC clients have no administration interface")
				}
				return printGRPCBootstrap(cmd.OutOrStdout(), o, cmd.Flags().Changed("output"))
			}
			b, err := newBootstrap(o)
			if err != nil {
				return err
			}
			return printMessage(cmd.OutOrStdout(), b, o.output.value)
		},
	}
	flags := cmd.Flags()
	flags.Var(&o.gateway, "gateway", "the Gateway that the Envoy serves")
	flags.Var(&o.fleet, "fleet", "the EnvoyFleet, with mergeGateways, whose Gateways the Envoy serves")
	flags.Var(&o.sidecar, "sidecar", "the namespace of the workload whose outbound connections go through the Envoy")
	flags.Var(&o.proxyless, "proxyless", "the namespace of a gRPC client without a proxy")
	flags.Var(&o.server, "xds-server", "where the Envoy, or the client, reaches this server's xDS")
	flags.StringVar(&o.nodeID, "node-id", "", "the Envoy's name, its own among the Envoys of the Gateway (default what it serves)")
	flags.Var(&o.admin, "admin-address", "where the Envoy serves its administration interface; keep it on loopback, it can stop the Envoy")
	flags.VarP(&o.output, "output", "o", "the format; gRPC clients read json")
	return cmd
}

// printGRPCBootstrap prints the bootstrap of a gRPC client.
func printGRPCBootstrap(w io.Writer, o bootstrapOptions, chosen bool) error {
	if chosen && o.output.value != "json" {
		return errors.New("--output: gRPC clients read json only")
	}
	data, err := bootstrap.GRPC(bootstrap.GRPCOptions{
		Namespace: o.proxyless.String(),
		NodeID:    o.nodeID,
		Server:    bootstrap.Address{Host: o.server.host, Port: o.server.port},
	})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// newBootstrap builds the bootstrap of an Envoy that serves o.gateway or o.fleet, or is o.sidecar.
func newBootstrap(o bootstrapOptions) (*bootstrapv3.Bootstrap, error) {
	return bootstrap.New(bootstrap.Options{
		Gateway: o.gateway.String(),
		Fleet:   o.fleet.String(),
		Sidecar: o.sidecar.String(),
		NodeID:  o.nodeID,
		Server:  bootstrap.Address{Host: o.server.host, Port: o.server.port},
		Admin:   bootstrap.Address{Host: o.admin.host, Port: o.admin.port},
	})
}

// printMessage prints m as yaml or json, with the field names of the Envoy documentation.
func printMessage(w io.Writer, m proto.Message, format string) error {
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return err
	}
	return printJSON(w, data, format)
}

// printJSON prints data, which is JSON, as yaml or as indented json.
func printJSON(w io.Writer, data []byte, format string) error {
	var out bytes.Buffer
	if format == "json" {
		if err := json.Indent(&out, data, "", "  "); err != nil {
			return err
		}
		out.WriteByte('\n')
	} else {
		text, err := yaml.JSONToYAML(data)
		if err != nil {
			return err
		}
		out.Write(text)
	}
	_, err := out.WriteTo(w)
	return err
}
