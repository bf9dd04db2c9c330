package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	tls       nodeTLS
	out       string
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
mesh itself, as the file that GRPC_XDS_BOOTSTRAP names.

An xDS server that others reach than those on its own machine speaks TLS and asks who is there. With --cert-dir, the
node shows a certificate, and takes a new one without a restart: Envoy needs two more files for that,
which are written beside the bootstrap (--out). With --token-file, it shows a token, as ServiceAccounts of
a cluster have; an Envoy reads it for each stream, by Google's gRPC client, which all builds of Envoy have
but those made without it. The paths are those that the node sees.`,
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
  GRPC_XDS_BOOTSTRAP=grpc.json client xds:///color.faces:80

  # An Envoy with a certificate that "xds-cert" has put into /etc/envoy/pki
  gateway-apiserver bootstrap --gateway default/web --xds-server xds.example.com:18000 --cert-dir /etc/envoy/pki --out /etc/envoy
  envoy --config-path /etc/envoy/envoy.yaml

  # An Envoy in a Pod, with a projected token for the audience gateway-apiserver.dev/xds
  gateway-apiserver bootstrap --gateway default/web --xds-server gateway-apiserver-xds.gateway-apiserver.svc:18000 \
    --ca-file /etc/xds/ca.crt --token-file /var/run/secrets/xds/token > envoy.yaml`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := o.serves()
			if err != nil {
				return err
			}
			o.nodeID = cmp.Or(o.nodeID, name)
			if err := errors.Join(o.tls.check(), o.tls.checkAbsolute()); err != nil {
				return err
			}
			if o.proxyless != "" {
				if cmd.Flags().Changed("admin-address") {
					return errors.New("--admin-address: gRPC clients have no administration interface")
				}
				return printGRPCBootstrap(cmd.OutOrStdout(), o, cmd.Flags().Changed("output"))
			}
			return o.envoy(cmd.OutOrStdout())
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
	o.tls.add(flags)
	flags.StringVar(&o.out, "out", "", "`DIR`ECTORY to write the bootstrap of an Envoy to, as envoy.yaml or envoy.json, with what else --cert-dir takes; by default the bootstrap is printed")
	flags.VarP(&o.output, "output", "o", "the format; gRPC clients read json")
	return cmd
}

// printGRPCBootstrap prints the bootstrap of a gRPC client.
func printGRPCBootstrap(w io.Writer, o bootstrapOptions, chosen bool) error {
	if chosen && o.output.value != "json" {
		return errors.New("--output: gRPC clients read json only")
	}
	if o.out != "" {
		return errors.New("--out: the bootstrap of a gRPC client is one file, which is printed")
	}
	data, err := bootstrap.GRPC(bootstrap.GRPCOptions{
		Namespace: o.proxyless.String(),
		NodeID:    o.nodeID,
		Server:    bootstrap.Address{Host: o.server.host, Port: o.server.port},
		TLS:       o.tls.files(),
	})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// envoy prints the bootstrap of an Envoy, or writes it with what else it takes.
func (o *bootstrapOptions) envoy(w io.Writer) error {
	options := bootstrap.Options{
		Gateway: o.gateway.String(),
		Fleet:   o.fleet.String(),
		Sidecar: o.sidecar.String(),
		NodeID:  o.nodeID,
		Server:  bootstrap.Address{Host: o.server.host, Port: o.server.port},
		Admin:   bootstrap.Address{Host: o.admin.host, Port: o.admin.port},
		TLS:     o.tls.files(),
	}
	if o.out == "" {
		if o.tls.certDir != "" {
			return errors.New("--cert-dir: an Envoy needs two more files to take new certificates without a restart: say with --out where to write all of them")
		}
		b, err := bootstrap.New(options)
		if err != nil {
			return err
		}
		return printMessage(w, b, o.output.value)
	}
	return o.write(w, options)
}

// write writes the bootstrap of an Envoy into a directory, and says how to start the Envoy.
func (o *bootstrapOptions) write(w io.Writer, options bootstrap.Options) error {
	dir, err := filepath.Abs(o.out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	files := map[string][]byte{}
	if o.tls.certDir != "" {
		options.TLS.SDS = dir
		if files, err = bootstrap.SDSFiles(*options.TLS); err != nil {
			return err
		}
	}
	b, err := bootstrap.New(options)
	if err != nil {
		return err
	}
	var printed bytes.Buffer
	if err := printMessage(&printed, b, o.output.value); err != nil {
		return err
	}
	name := "envoy." + o.output.value
	files[name] = printed.Bytes()
	for _, file := range slices.Sorted(maps.Keys(files)) {
		// None of them is a secret, and an Envoy may run as another user.
		if err := os.WriteFile(filepath.Join(dir, file), files[file], 0o644); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	fmt.Fprintf(w, "Wrote %s into %s. Next:\n  envoy --config-path %s\n", strings.Join(slices.Sorted(maps.Keys(files)), ", "), dir, filepath.Join(dir, name))
	return nil
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
