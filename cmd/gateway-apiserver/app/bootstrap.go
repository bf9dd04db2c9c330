package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/netip"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"

	xdsserver "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

const (
	// xdsCluster is the cluster by which an Envoy reaches this server.
	xdsCluster = "xds"
	// httpProtocolOptions is the key of HttpProtocolOptions in Cluster.typed_extension_protocol_options.
	httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// bootstrapOptions are the flags of the bootstrap command.
type bootstrapOptions struct {
	gateway gatewayFlag
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
		Use:   "bootstrap --gateway NAMESPACE/NAME",
		Short: "Print an Envoy bootstrap that connects an Envoy to a Gateway",
		Long: `Print the bootstrap configuration with which an Envoy serves a Gateway: it names the Gateway in
its node metadata and takes all else from this server, over one aggregated delta xDS stream.

Any number of Envoys may serve a Gateway. Give each its own --node-id, or start it with Envoy's
--service-node, so that the server can tell them apart.`,
		Example: `  # Run an Envoy for the Gateway web in the namespace default
  gateway-apiserver bootstrap --gateway default/web > envoy.yaml
  envoy --config-path envoy.yaml

  # A second one on this host, with its own name and admin port
  gateway-apiserver bootstrap --gateway default/web --node-id web-2 --admin-address 127.0.0.1:19001 > envoy-2.yaml
  envoy --config-path envoy-2.yaml --base-id 2`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.gateway.Name == "" {
				return fmt.Errorf("--gateway is required: NAMESPACE/NAME, for example default/web")
			}
			bootstrap, err := newBootstrap(o)
			if err != nil {
				return err
			}
			return printMessage(cmd.OutOrStdout(), bootstrap, o.output.value)
		},
	}
	flags := cmd.Flags()
	flags.Var(&o.gateway, "gateway", "the Gateway that the Envoy serves")
	flags.Var(&o.server, "xds-server", "where the Envoy reaches this server's xDS")
	flags.StringVar(&o.nodeID, "node-id", "", "the Envoy's name, its own among the Envoys of the Gateway (default the Gateway's NAMESPACE/NAME)")
	flags.Var(&o.admin, "admin-address", "where the Envoy serves its administration interface; keep it on loopback, it can stop the Envoy")
	flags.VarP(&o.output, "output", "o", "the format")
	return cmd
}

// newBootstrap builds the bootstrap of an Envoy that serves o.gateway.
func newBootstrap(o bootstrapOptions) (*bootstrapv3.Bootstrap, error) {
	node, err := gatewayNode(o.gateway, cmp.Or(o.nodeID, o.gateway.String()))
	if err != nil {
		return nil, err
	}
	server, err := newXDSCluster(o.server)
	if err != nil {
		return nil, err
	}
	ads := &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
	// Envoy rejects regular expressions that compile to more than 100 instructions, and with one of them the whole
	// RouteConfiguration; the API allows much longer ones (RegexMatcher.GoogleRE2.max_program_size).
	runtime, err := structpb.NewStruct(map[string]any{"re2.max_program_size.error_level": math.MaxUint32})
	if err != nil {
		return nil, err
	}
	return &bootstrapv3.Bootstrap{
		Node: node,
		LayeredRuntime: &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
			Name:           "static",
			LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: runtime},
		}}},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			AdsConfig: &corev3.ApiConfigSource{
				ApiType:             corev3.ApiConfigSource_DELTA_GRPC,
				TransportApiVersion: corev3.ApiVersion_V3,
				GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: xdsCluster},
				}}},
				SetNodeOnFirstMessageOnly: true,
			},
			LdsConfig: ads,
			CdsConfig: ads,
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{server}},
		Admin:           &bootstrapv3.Admin{Address: socketAddress(o.admin)},
	}, nil
}

// gatewayNode is a node that asks for a Gateway.
func gatewayNode(gateway gatewayFlag, id string) (*corev3.Node, error) {
	metadata, err := structpb.NewStruct(map[string]any{xdsserver.GatewayKey: gateway.String()})
	if err != nil {
		return nil, err
	}
	return &corev3.Node{Id: id, Cluster: gateway.String(), Metadata: metadata}, nil
}

// newXDSCluster is the static cluster for the xDS server at an address: HTTP/2, with pings, by which an Envoy notices a
// server that went away without a word.
func newXDSCluster(server addressFlag) (*clusterv3.Cluster, error) {
	options, err := anypb.New(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
				ConnectionKeepalive: &corev3.KeepaliveSettings{
					Interval: durationpb.New(30 * time.Second),
					Timeout:  durationpb.New(5 * time.Second),
				},
			}},
		}},
	})
	if err != nil {
		return nil, err
	}
	discovery := clusterv3.Cluster_STRICT_DNS
	if _, err := netip.ParseAddr(server.host); err == nil {
		discovery = clusterv3.Cluster_STATIC
	}
	return &clusterv3.Cluster{
		Name:                 xdsCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: discovery},
		ConnectTimeout:       durationpb.New(5 * time.Second),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: xdsCluster,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socketAddress(server)}},
			}}}},
		},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpProtocolOptions: options},
	}, nil
}

func socketAddress(a addressFlag) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       a.host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.port)},
	}}}
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
