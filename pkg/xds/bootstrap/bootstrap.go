package bootstrap

import (
	"fmt"
	"math"
	"net/netip"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// Address is a host, by name or IP, and a port.
type Address struct {
	Host string
	Port uint16
}

// Options say what an Envoy is to know when it starts.
type Options struct {
	// Gateway is the Gateway that the Envoy serves, as "namespace/name".
	Gateway string
	// Fleet is the EnvoyFleet whose Gateways, which it merges, the Envoy serves, as "namespace/name". It takes the place of
	// Gateway.
	Fleet string
	// Sidecar is the namespace of the workload whose outbound connections go through the Envoy. It takes the place of Gateway.
	Sidecar string
	// NodeID tells the Envoys of a Gateway apart, or the sidecars of a namespace. Envoy's --service-node takes its place.
	NodeID string
	// Server is where the Envoy reaches xDS.
	Server Address
	// TLS is how connections to Server are secured; nil if they are plaintext.
	TLS *TLS
	// Admin is where the Envoy serves its administration interface.
	Admin Address
	// Readiness is where the Envoy answers whether it is ready; nil if nowhere. See [ReadinessPath].
	Readiness *Address
}

// New returns the bootstrap of an Envoy.
//
// An Envoy that is to say whether it is ready waits for its first configuration for as long as it takes, and isn't ready
// until then. Others wait for 15 seconds, Envoy's default, before they go on without.
func New(o Options) (*bootstrapv3.Bootstrap, error) {
	node, err := Node(o.Gateway, o.NodeID)
	switch {
	case o.Fleet != "":
		node, err = FleetNode(o.Fleet, o.NodeID)
	case o.Sidecar != "":
		node, err = SidecarNode(o.Sidecar, o.NodeID)
	}
	if err != nil {
		return nil, err
	}
	static := &bootstrapv3.Bootstrap_StaticResources{}
	service, cluster, err := newService(o.Server, o.TLS)
	if err != nil {
		return nil, err
	}
	if cluster != nil {
		static.Clusters = []*clusterv3.Cluster{cluster}
	}
	// Envoy rejects regular expressions that compile to more than 100 instructions, and with one of them the whole
	// RouteConfiguration; the API allows much longer ones (RegexMatcher.GoogleRE2.max_program_size).
	runtime, err := structpb.NewStruct(map[string]any{"re2.max_program_size.error_level": math.MaxUint32})
	if err != nil {
		return nil, err
	}
	ads := &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
	if o.Readiness != nil {
		listener, err := readinessListener(*o.Readiness)
		if err != nil {
			return nil, err
		}
		static.Listeners = []*listenerv3.Listener{listener}
		ads.InitialFetchTimeout = durationpb.New(0) // none
	}
	return &bootstrapv3.Bootstrap{
		Node: node,
		LayeredRuntime: &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
			Name:           "static",
			LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: runtime},
		}}},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			AdsConfig: &corev3.ApiConfigSource{
				ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
				TransportApiVersion:       corev3.ApiVersion_V3,
				GrpcServices:              []*corev3.GrpcService{service},
				SetNodeOnFirstMessageOnly: true,
			},
			LdsConfig: ads,
			CdsConfig: ads,
		},
		StaticResources: static,
		Admin:           &bootstrapv3.Admin{Address: socketAddress(o.Admin)},
	}, nil
}

// Node is a node that asks for a Gateway, which is given as "namespace/name".
func Node(gateway, id string) (*corev3.Node, error) { return newNode(nodes.GatewayKey, gateway, id) }

// FleetNode is a node that asks for the Gateways of an EnvoyFleet that merges them, which is given as "namespace/name".
func FleetNode(fleet, id string) (*corev3.Node, error) { return newNode(nodes.FleetKey, fleet, id) }

// SidecarNode is a node that asks for what the sidecars of a namespace get.
func SidecarNode(namespace, id string) (*corev3.Node, error) {
	return newNode(nodes.SidecarKey, namespace, id)
}

// ProxylessNode is a node that asks for what the proxyless clients of a namespace get.
func ProxylessNode(namespace, id string) (*corev3.Node, error) {
	return newNode(nodes.NamespaceKey, namespace, id)
}

func newNode(key, name, id string) (*corev3.Node, error) {
	metadata, err := structpb.NewStruct(map[string]any{key: name})
	if err != nil {
		return nil, err
	}
	return &corev3.Node{Id: id, Cluster: name, Metadata: metadata}, nil
}

func socketAddress(a Address) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       a.Host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port)},
	}}}
}

// YAML returns a bootstrap as a file for Envoy's --config-path, with the field names of the Envoy documentation. The same
// bootstrap is always the same bytes.
func YAML(b *bootstrapv3.Bootstrap) ([]byte, error) { return encoded(b) }

func encoded(m proto.Message) ([]byte, error) {
	// The space in what protojson writes is random; of YAML, there is one form.
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding a bootstrap: %w", err)
	}
	return yaml.JSONToYAML(data)
}

// isIP says whether a host is an IP address and not a name.
func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func packed(m proto.Message) (*anypb.Any, error) {
	packed, err := anypb.New(m)
	if err != nil {
		return nil, fmt.Errorf("encoding a bootstrap: %w", err)
	}
	return packed, nil
}
