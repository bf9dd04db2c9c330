package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
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
	gateway gatewayFlag
	fleet   gatewayFlag
	server  addressFlag
	nodeID  string
	admin   addressFlag
	output  choiceFlag
}

func newBootstrapCommand() *cobra.Command {
	o := bootstrapOptions{
		server: defaultXDS,
		admin:  addressFlag{host: "127.0.0.1", port: 19000},
		output: choiceFlag{value: "yaml", choices: []string{"yaml", "json"}},
	}
	cmd := &cobra.Command{
		Use:   "bootstrap (--gateway NAMESPACE/NAME | --fleet NAMESPACE/NAME)",
		Short: "Print an Envoy bootstrap that connects an Envoy to a Gateway",
		Long: `Print the bootstrap configuration with which an Envoy serves a Gateway: it names the Gateway in
its node metadata and takes all else from this server, over one aggregated delta xDS stream.
With --fleet, the Envoy serves all Gateways of an EnvoyFleet that merges them (spec.mergeGateways).

Any number of Envoys may serve a Gateway. Give each its own --node-id, or start it with Envoy's
--service-node, so that the server can tell them apart. Where an EnvoyFleet selects its nodes
(spec.nodes), an Envoy has to match: by --node-id, by Envoy's --service-cluster, or by what is added
to node.metadata.`,
		Example: `  # Run an Envoy for the Gateway web in the namespace default
  gateway-apiserver bootstrap --gateway default/web > envoy.yaml
  envoy --config-path envoy.yaml

  # A second one on this host, with its own name and admin port
  gateway-apiserver bootstrap --gateway default/web --node-id web-2 --admin-address 127.0.0.1:19001 > envoy-2.yaml
  envoy --config-path envoy-2.yaml --base-id 2

  # One for all Gateways of the EnvoyFleet edge in the namespace infra, which merges them
  gateway-apiserver bootstrap --fleet infra/edge --node-id edge-1 > edge.yaml`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (o.gateway.Name == "") == (o.fleet.Name == "") {
				return fmt.Errorf("one of --gateway NAMESPACE/NAME, for example default/web, and --fleet NAMESPACE/NAME is required")
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
	flags.Var(&o.server, "xds-server", "where the Envoy reaches this server's xDS")
	flags.StringVar(&o.nodeID, "node-id", "", "the Envoy's name, its own among the Envoys of the Gateway (default the NAMESPACE/NAME that it serves)")
	flags.Var(&o.admin, "admin-address", "where the Envoy serves its administration interface; keep it on loopback, it can stop the Envoy")
	flags.VarP(&o.output, "output", "o", "the format")
	return cmd
}

// newBootstrap builds the bootstrap of an Envoy that serves o.gateway, or o.fleet.
func newBootstrap(o bootstrapOptions) (*bootstrapv3.Bootstrap, error) {
	return bootstrap.New(bootstrap.Options{
		Gateway: o.gateway.String(),
		Fleet:   o.fleet.String(),
		NodeID:  cmp.Or(o.nodeID, o.gateway.String(), o.fleet.String()),
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
