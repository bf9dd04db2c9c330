package bootstrap

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	rendered "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
)

func options() rendered.Options {
	return rendered.Options{
		Gateway: "default/web", NodeID: "web-2",
		Server: rendered.Address{Host: "xds.example.com", Port: 18000}, Admin: rendered.Address{Host: "127.0.0.1", Port: 19000},
	}
}

func render(t *testing.T, o rendered.Options) *bootstrapv3.Bootstrap {
	t.Helper()
	b, err := rendered.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read writes a bootstrap to a file of that name, and reads it.
func read(t *testing.T, b *bootstrapv3.Bootstrap, name string, identity Identity) (*Config, error) {
	t.Helper()
	data, err := rendered.YAML(b)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(path, identity)
}

func TestRead(t *testing.T) {
	t.Parallel()
	config, err := read(t, render(t, options()), "envoy.yaml", Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if config.Node.GetId() != "web-2" || config.Node.GetCluster() != "default/web" || len(config.Node.GetMetadata().GetFields()) == 0 {
		t.Errorf("the node is %v", config.Node)
	}
	want := Server{Target: "dns:///xds.example.com:18000", ConnectTimeout: 5 * time.Second, PingInterval: 30 * time.Second, PingTimeout: 5 * time.Second}
	if !reflect.DeepEqual(config.Server, want) {
		t.Errorf("the server is %+v, want %+v", config.Server, want)
	}
	if config.Admin.String() != "127.0.0.1:19000" || config.ClustersTimeout != 15*time.Second || config.ListenersTimeout != 15*time.Second || config.Listeners != nil {
		t.Errorf("read %+v", config)
	}
	config, err = read(t, render(t, options()), "envoy.yml", Identity{Node: "mine", Cluster: "ours"})
	if err != nil {
		t.Fatal(err)
	}
	if config.Node.GetId() != "mine" || config.Node.GetCluster() != "ours" {
		t.Errorf("with flags, the node is %v", config.Node)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	o := options()
	o.Server.Host, o.Readiness = "::1", &rendered.Address{Host: "127.0.0.1", Port: 19001}
	config, err := read(t, render(t, o), "envoy.yaml", Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if config.Server.Target != "passthrough:///[::1]:18000" {
		t.Errorf("the server is %+v", config.Server)
	}
	if config.ClustersTimeout != 0 || config.ListenersTimeout != 0 {
		t.Errorf("it waits for %v and %v, not for ever", config.ClustersTimeout, config.ListenersTimeout)
	}
	if len(config.Listeners) != 1 || config.Listeners[0].GetName() != "readiness" {
		t.Errorf("the listeners are %v", config.Listeners)
	}
}

// Each change of a bootstrap makes it one that isn't executed in full.
func TestRefused(t *testing.T) {
	t.Parallel()
	ads := func(b *bootstrapv3.Bootstrap) *corev3.ApiConfigSource { return b.GetDynamicResources().GetAdsConfig() }
	cluster := func(b *bootstrapv3.Bootstrap) *clusterv3.Cluster { return b.GetStaticResources().GetClusters()[0] }
	address := func(b *bootstrapv3.Bootstrap) *corev3.SocketAddress {
		return cluster(b).GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
	}
	runtime := func(b *bootstrapv3.Bootstrap) map[string]*structpb.Value {
		return b.GetLayeredRuntime().GetLayers()[0].GetStaticLayer().GetFields()
	}
	protocol := func(b *bootstrapv3.Bootstrap, change func(*corev3.Http2ProtocolOptions)) {
		repack(t, cluster(b).GetTypedExtensionProtocolOptions()[httpProtocolOptions], func(o *httpv3.HttpProtocolOptions) {
			change(o.GetExplicitHttpConfig().GetHttp2ProtocolOptions())
		})
	}
	for name, test := range map[string]struct {
		change func(*bootstrapv3.Bootstrap)
		want   string
	}{
		"another field": {func(b *bootstrapv3.Bootstrap) { b.HeaderPrefix = "x" }, "header_prefix: not executed"},
		"unknown field": {func(b *bootstrapv3.Bootstrap) {
			b.Node.ProtoReflect().SetUnknown(protoreflect.RawFields{0xfa, 0x7f, 0x01, 'a'})
		}, "node: "},
		"no node ID":         {func(b *bootstrapv3.Bootstrap) { b.Node.Id = "" }, "node: id and cluster"},
		"no ADS":             {func(b *bootstrapv3.Bootstrap) { b.DynamicResources.AdsConfig = nil }, "dynamic_resources.ads_config: is required"},
		"state of the world": {func(b *bootstrapv3.Bootstrap) { ads(b).ApiType = corev3.ApiConfigSource_GRPC }, "ads_config: api_type GRPC"},
		"v2":                 {func(b *bootstrapv3.Bootstrap) { ads(b).TransportApiVersion = corev3.ApiVersion_AUTO }, "transport_api_version AUTO"},
		"node in each":       {func(b *bootstrapv3.Bootstrap) { ads(b).SetNodeOnFirstMessageOnly = false }, "set_node_on_first_message_only"},
		"two servers": {func(b *bootstrapv3.Bootstrap) {
			ads(b).GrpcServices = append(ads(b).GrpcServices, ads(b).GrpcServices[0])
		}, "grpc_services: exactly one"},
		"rate limit":         {func(b *bootstrapv3.Bootstrap) { ads(b).RateLimitSettings = &corev3.RateLimitSettings{} }, "rate_limit_settings: not executed"},
		"no clusters source": {func(b *bootstrapv3.Bootstrap) { b.DynamicResources.CdsConfig = nil }, "cds_config: is required"},
		"another source": {func(b *bootstrapv3.Bootstrap) {
			b.DynamicResources.LdsConfig = &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Self{Self: &corev3.SelfConfigSource{}}, ResourceApiVersion: corev3.ApiVersion_V3}
		}, "lds_config.self: not executed"},
		"another version": {func(b *bootstrapv3.Bootstrap) {
			b.DynamicResources.LdsConfig = proto.CloneOf(b.DynamicResources.LdsConfig)
			b.DynamicResources.LdsConfig.ResourceApiVersion = corev3.ApiVersion_AUTO
		}, "lds_config: resource_api_version AUTO"},
		"another cluster": {func(b *bootstrapv3.Bootstrap) { cluster(b).Name = "other" }, "static_resources.clusters: exactly one"},
		"two clusters": {func(b *bootstrapv3.Bootstrap) {
			b.StaticResources.Clusters = append(b.StaticResources.Clusters, cluster(b))
		}, "static_resources.clusters: exactly one"},
		"static secrets": {func(b *bootstrapv3.Bootstrap) { b.StaticResources.Secrets = []*tlsv3.Secret{{Name: "a"}} }, "static_resources.secrets: not executed"},
		"a name that isn't resolved": {func(b *bootstrapv3.Bootstrap) {
			cluster(b).ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		}, "malformed IP address: xds.example.com"},
		"another type": {func(b *bootstrapv3.Bootstrap) {
			cluster(b).ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_LOGICAL_DNS}
		}, "type LOGICAL_DNS isn't supported"},
		"no type": {func(b *bootstrapv3.Bootstrap) { cluster(b).ClusterDiscoveryType = nil }, "type is required"},
		"two endpoints": {func(b *bootstrapv3.Bootstrap) {
			e := cluster(b).GetLoadAssignment().GetEndpoints()[0]
			e.LbEndpoints = append(e.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{}}})
		}, "load_assignment: exactly one"},
		"a named port": {func(b *bootstrapv3.Bootstrap) {
			address(b).PortSpecifier = &corev3.SocketAddress_NamedPort{NamedPort: "http"}
		}, "named_port: not executed"},
		"over UDP": {func(b *bootstrapv3.Bootstrap) { address(b).Protocol = corev3.SocketAddress_UDP }, "load_assignment: only a socket_address"},
		"HTTP/1.1": {func(b *bootstrapv3.Bootstrap) { cluster(b).TypedExtensionProtocolOptions = nil }, "typed_extension_protocol_options: exactly one"},
		"pings often": {func(b *bootstrapv3.Bootstrap) {
			protocol(b, func(o *corev3.Http2ProtocolOptions) { o.ConnectionKeepalive.Interval = durationpb.New(time.Second) })
		}, "connection_keepalive.interval: 1s"},
		"windows": {func(b *bootstrapv3.Bootstrap) {
			protocol(b, func(o *corev3.Http2ProtocolOptions) { o.AllowConnect = true })
		}, "allow_connect: not executed"},
		"no runtime":             {func(b *bootstrapv3.Bootstrap) { b.LayeredRuntime = nil }, "layered_runtime: exactly one"},
		"another runtime key":    {func(b *bootstrapv3.Bootstrap) { runtime(b)["other"] = structpb.NewNumberValue(1) }, `layered_runtime: key "other"`},
		"limited expressions":    {func(b *bootstrapv3.Bootstrap) { runtime(b)[regexLimit] = structpb.NewNumberValue(100) }, "error_level: only 4294967295"},
		"expressions by default": {func(b *bootstrapv3.Bootstrap) { delete(runtime(b), regexLimit) }, "error_level is required"},
		"admin for everybody": {func(b *bootstrapv3.Bootstrap) {
			b.Admin.Address.GetSocketAddress().Address = "0.0.0.0"
		}, "admin: address: 0.0.0.0 isn't on loopback"},
		"admin by name": {func(b *bootstrapv3.Bootstrap) {
			b.Admin.Address.GetSocketAddress().Address = "localhost"
		}, "admin: address: "},
		"admin's log":       {func(b *bootstrapv3.Bootstrap) { b.Admin.ProfilePath = "/tmp/x" }, "admin.profile_path: not executed"},
		"against the rules": {func(b *bootstrapv3.Bootstrap) { address(b).Address = "" }, "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := proto.CloneOf(render(t, options()))
			if _, err := New(b, Identity{}); err != nil {
				t.Fatalf("refused as it is rendered: %v", err)
			}
			test.change(b)
			if _, err := New(b, Identity{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// repack changes what is in an Any.
func repack[M proto.Message](t *testing.T, packed *anypb.Any, change func(M)) {
	t.Helper()
	m, err := packed.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	change(m.(M))
	if err := packed.MarshalFrom(m); err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"envoy.yaml": "", "envoy.json": "invalid character", "envoy": "syntax error", "envoy.pb": "not as .pb",
	} {
		_, err := read(t, render(t, options()), name, Identity{})
		if want == "" && err != nil || want != "" && err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(path, []byte("node: {id: a}\nnode: {id: b}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, Identity{}); err == nil || !strings.Contains(err.Error(), "node") {
		t.Errorf("the same key twice: %v", err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.yaml"), Identity{}); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
}
