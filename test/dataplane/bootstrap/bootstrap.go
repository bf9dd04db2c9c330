package bootstrap

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// fetchTimeout is how long a source of configuration is waited for if it doesn't say so itself
// (ConfigSource.initial_fetch_timeout).
const fetchTimeout = 15 * time.Second

// Config is what a bootstrap says.
type Config struct {
	Node *corev3.Node
	// Server is where clusters, listeners and all that they need come from, over one aggregated delta stream.
	Server Server
	// ClustersTimeout and ListenersTimeout are how long the first clusters and listeners are waited for before the data plane
	// goes on without; 0: without end.
	ClustersTimeout, ListenersTimeout time.Duration
	// Admin is where the administration interface is served, on loopback; the zero value is nowhere.
	Admin netip.AddrPort
	// DNS is the server that names are resolved by; the zero value is those of the system.
	DNS netip.AddrPort
	// Listeners are the static ones. They have been read, and not judged.
	Listeners []*listenerv3.Listener
}

// Identity replaces what a bootstrap says of the node, where it isn't empty (Envoy's --service-node and --service-cluster).
type Identity struct{ Node, Cluster string }

// Read reads the bootstrap in a file, which is YAML or JSON by its name, as for Envoy: .yaml and .yml are YAML, others JSON.
func Read(path string, identity Identity) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	switch extension := strings.ToLower(filepath.Ext(path)); extension {
	case ".yaml", ".yml":
		if data, err = yaml.YAMLToJSONStrict(data); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	case ".pb", ".pb_text", ".pb_length_delimited":
		return nil, fmt.Errorf("%s: bootstraps are read as YAML or JSON, not as %s", path, extension)
	}
	b := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(data, b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	config, err := New(b, identity)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

// New returns what a bootstrap says. It reads the files that the bootstrap names. Errors name the field that is invalid or
// isn't executed.
func New(b *bootstrapv3.Bootstrap, identity Identity) (*Config, error) {
	if err := b.ValidateAll(); err != nil {
		return nil, err
	}
	config := &Config{Node: newNode(b.GetNode(), identity), Listeners: b.GetStaticResources().GetListeners()}
	rest := proto.CloneOf(b)
	if rest.GetStaticResources() != nil {
		rest.StaticResources.Listeners = nil
	}
	if err := executed.Check(rest); err != nil {
		return nil, err
	}
	if config.Node.GetId() == "" || config.Node.GetCluster() == "" {
		return nil, errors.New("node: id and cluster are required")
	}
	if err := checkRuntime(b.GetLayeredRuntime()); err != nil {
		return nil, fmt.Errorf("layered_runtime: %w", err)
	}
	var err error
	if config.Admin, err = admin(b.GetAdmin()); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if config.DNS, err = dnsServer(b.GetTypedDnsResolverConfig()); err != nil {
		return nil, fmt.Errorf("typed_dns_resolver_config: %w", err)
	}
	dynamic := b.GetDynamicResources()
	if config.Server, err = adsServer(b); err != nil {
		return nil, err
	}
	if config.ClustersTimeout, err = timeout(dynamic.GetCdsConfig()); err != nil {
		return nil, fmt.Errorf("dynamic_resources.cds_config: %w", err)
	}
	if config.ListenersTimeout, err = timeout(dynamic.GetLdsConfig()); err != nil {
		return nil, fmt.Errorf("dynamic_resources.lds_config: %w", err)
	}
	return config, nil
}

func newNode(n *corev3.Node, identity Identity) *corev3.Node {
	out := &corev3.Node{}
	proto.Merge(out, n)
	out.Id = cmp.Or(identity.Node, n.GetId())
	out.Cluster = cmp.Or(identity.Cluster, n.GetCluster())
	return out
}

// adsServer returns how the xDS server is reached: by the one static cluster, or by Google's gRPC client and no cluster.
func adsServer(b *bootstrapv3.Bootstrap) (Server, error) {
	service, err := adsService(b.GetDynamicResources().GetAdsConfig())
	if err != nil {
		return Server{}, fmt.Errorf("dynamic_resources.ads_config: %w", err)
	}
	clusters := b.GetStaticResources().GetClusters()
	if google := service.GetGoogleGrpc(); google != nil {
		if len(clusters) > 0 {
			return Server{}, errors.New("static_resources.clusters: with google_grpc, none is supported")
		}
		s, err := newTokenServer(google)
		if err != nil {
			return Server{}, fmt.Errorf("dynamic_resources.ads_config: google_grpc: %w", err)
		}
		return s, nil
	}
	cluster := service.GetEnvoyGrpc().GetClusterName()
	if len(clusters) != 1 || clusters[0].GetName() != cluster {
		return Server{}, fmt.Errorf("static_resources.clusters: exactly one is supported, that of the xDS server, %q", cluster)
	}
	s, err := newServer(clusters[0])
	if err != nil {
		return Server{}, fmt.Errorf("static_resources.clusters: %s: %w", cluster, err)
	}
	return s, nil
}

// adsService returns the service by which the xDS server is asked.
func adsService(c *corev3.ApiConfigSource) (*corev3.GrpcService, error) {
	switch {
	case c == nil:
		return nil, errors.New("is required")
	case c.GetApiType() != corev3.ApiConfigSource_DELTA_GRPC:
		return nil, fmt.Errorf("api_type %s isn't supported, only DELTA_GRPC", c.GetApiType())
	case c.GetTransportApiVersion() != corev3.ApiVersion_V3:
		return nil, fmt.Errorf("transport_api_version %s isn't supported, only V3", c.GetTransportApiVersion())
	case !c.GetSetNodeOnFirstMessageOnly():
		return nil, errors.New("set_node_on_first_message_only has to be true")
	case len(c.GetGrpcServices()) != 1:
		return nil, errors.New("grpc_services: exactly one envoy_grpc or google_grpc is supported")
	}
	return c.GetGrpcServices()[0], nil
}

// timeout returns the initial_fetch_timeout of a source that has to be the aggregated stream.
func timeout(c *corev3.ConfigSource) (time.Duration, error) {
	switch {
	case c == nil:
		return 0, errors.New("is required")
	case c.GetAds() == nil:
		return 0, errors.New("only ads is supported")
	case c.GetResourceApiVersion() != corev3.ApiVersion_V3:
		return 0, fmt.Errorf("resource_api_version %s isn't supported, only V3", c.GetResourceApiVersion())
	case c.GetInitialFetchTimeout() == nil:
		return fetchTimeout, nil
	}
	return c.GetInitialFetchTimeout().AsDuration(), nil
}

// regexLimit is the runtime key of how large a regular expression may compile to; Envoy's default is 100 instructions.
const regexLimit = "re2.max_program_size.error_level"

// checkRuntime accepts a runtime that lifts the limit of regular expressions, and nothing else: the size of RE2's programs isn't
// known here, so there would be no telling which ones Envoy refuses.
func checkRuntime(r *bootstrapv3.LayeredRuntime) error {
	if len(r.GetLayers()) != 1 || r.GetLayers()[0].GetStaticLayer() == nil {
		return fmt.Errorf("exactly one static_layer is supported, with %s", regexLimit)
	}
	for key, value := range r.GetLayers()[0].GetStaticLayer().GetFields() {
		if key != regexLimit {
			return fmt.Errorf("key %q isn't supported", key)
		}
		if value.GetNumberValue() != math.MaxUint32 {
			return fmt.Errorf("%s: only %d is supported, no limit", key, uint32(math.MaxUint32))
		}
	}
	if len(r.GetLayers()[0].GetStaticLayer().GetFields()) == 0 {
		return fmt.Errorf("%s is required: the limit that Envoy has otherwise isn't executed", regexLimit)
	}
	return nil
}

// dnsServer returns the server that overrides those of the system (CaresDnsResolverConfig.resolvers).
func dnsServer(c *corev3.TypedExtensionConfig) (netip.AddrPort, error) {
	if c == nil {
		return netip.AddrPort{}, nil
	}
	cares := &caresv3.CaresDnsResolverConfig{}
	if err := c.GetTypedConfig().UnmarshalTo(cares); err != nil {
		return netip.AddrPort{}, fmt.Errorf("typed_config: %w", err)
	}
	if err := errors.Join(cares.ValidateAll(), executed.Check(cares)); err != nil {
		return netip.AddrPort{}, fmt.Errorf("typed_config: %w", err)
	}
	if len(cares.GetResolvers()) != 1 {
		return netip.AddrPort{}, errors.New("typed_config: resolvers: exactly one is supported")
	}
	at, err := socketAddress(cares.GetResolvers()[0])
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("typed_config: resolvers: %w", err)
	}
	ip, err := netip.ParseAddr(at.host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("typed_config: resolvers: %w", err)
	}
	return netip.AddrPortFrom(ip, at.port), nil
}

// admin returns the address of the administration interface. Whoever reaches it can stop the data plane.
func admin(a *bootstrapv3.Admin) (netip.AddrPort, error) {
	if a == nil {
		return netip.AddrPort{}, nil
	}
	at, err := socketAddress(a.GetAddress())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address: %w", err)
	}
	ip, err := netip.ParseAddr(at.host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address: %w", err)
	}
	if !ip.IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("address: %s isn't on loopback", ip)
	}
	return netip.AddrPortFrom(ip, at.port), nil
}

// hostPort is a host, by name or IP, and a port.
type hostPort struct {
	host string
	port uint16
}

func (a hostPort) String() string { return net.JoinHostPort(a.host, strconv.Itoa(int(a.port))) }

func socketAddress(a *corev3.Address) (hostPort, error) {
	s := a.GetSocketAddress()
	if _, ok := s.GetPortSpecifier().(*corev3.SocketAddress_PortValue); !ok || s.GetProtocol() != corev3.SocketAddress_TCP {
		return hostPort{}, errors.New("only a socket_address with a port_value, of TCP, is supported")
	}
	return hostPort{s.GetAddress(), uint16(s.GetPortValue())}, nil
}
