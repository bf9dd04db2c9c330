package upstream

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/secret"
)

// patience is how long a test waits for what has to happen.
const patience = 10 * time.Second

func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func eds() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 "test",
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()},
	}
}

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	out, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// http2 makes a cluster speak HTTP/2.
func http2(t *testing.T, c *clusterv3.Cluster, options *corev3.Http2ProtocolOptions) *clusterv3.Cluster {
	t.Helper()
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpProtocolOptions: packed(t, &upstreamhttpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: options},
			},
		},
	})}
	return c
}

// protocols are a cluster of each version of HTTP.
func protocols(t *testing.T) map[string]*clusterv3.Cluster {
	t.Helper()
	return map[string]*clusterv3.Cluster{"HTTP/1.1": eds(), "HTTP/2.0": http2(t, eds(), &corev3.Http2ProtocolOptions{
		InitialStreamWindowSize: wrapperspb.UInt32(64 << 10), InitialConnectionWindowSize: wrapperspb.UInt32(1 << 20),
	})}
}

// newCluster returns a cluster with hosts, each of weight 1.
func newCluster(t *testing.T, config *clusterv3.Cluster, hosts ...string) *Cluster {
	t.Helper()
	c, err := New(config, Deps{Secrets: secret.NewStore(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if len(hosts) > 0 {
		if err := c.Update(assignment(hosts...)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func assignment(hosts ...string) *endpointv3.ClusterLoadAssignment {
	weights := map[string]uint32{}
	for _, h := range hosts {
		weights[h] = 0
	}
	return weighted(weights, hosts...)
}

// weighted returns an assignment of hosts; no weight is said of one whose weight is 0.
func weighted(weights map[string]uint32, hosts ...string) *endpointv3.ClusterLoadAssignment {
	locality := &endpointv3.LocalityLbEndpoints{}
	for _, h := range hosts {
		at := netip.MustParseAddrPort(h)
		e := lbEndpoint(at.Addr().String(), at.Port())
		if weights[h] > 0 {
			e.LoadBalancingWeight = wrapperspb.UInt32(weights[h])
		}
		locality.LbEndpoints = append(locality.LbEndpoints, e)
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: "test", Endpoints: []*endpointv3.LocalityLbEndpoints{locality}}
}

func lbEndpoint(host string, port uint16) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
		}}},
	}}}
}

func pick(t *testing.T, c *Cluster) *Host {
	t.Helper()
	h, err := c.Pick(Choice{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// server is a backend that counts its connections.
type server struct {
	*httptest.Server
	mu           sync.Mutex
	opened, open int
}

// serve runs a backend that speaks HTTP/1.1, and HTTP/2 by prior knowledge.
func serve(t *testing.T, handler http.HandlerFunc) *server {
	t.Helper()
	s := &server{Server: httptest.NewUnstartedServer(handler)}
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	s.Config.Protocols, s.Config.DisableGeneralOptionsHandler = &both, true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch state {
		case http.StateNew:
			s.opened++
			s.open++
		case http.StateClosed, http.StateHijacked:
			s.open--
		}
	}
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *server) address() string { return s.Listener.Addr().String() }

// connections returns how many connections there have been, and how many there are.
func (s *server) connections() (opened, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.open
}

func request(t *testing.T, method, target string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://unused", body)
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.Host, r.GetBody = Target("http", target), "web.example", nil
	return r
}

// get sends a request to a host and reads the response.
func get(t *testing.T, c *Cluster, h *Host) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	response, err := c.RoundTrip(ctx, h, request(t, http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	return response, read(t, response)
}

func read(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to be: " + what)
		}
	}
}
