package plane

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads/adstest"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/bootstrap"
)

// scene is a data plane whose xDS server is the test.
type scene struct {
	*adstest.Stream
	t     *testing.T
	plane *Plane
	ended chan struct{}
}

// patience is how long a data plane waits for the first clusters and listeners, and for what it asks for by name; 0 is for ever.
type patience struct{ clusters, listeners, named time.Duration }

// play runs a data plane, with static listeners, until the test ends.
func play(t *testing.T, waits patience, static ...*listenerv3.Listener) *scene {
	t.Helper()
	server := adstest.Serve(t)
	p, err := New(&bootstrap.Config{
		Node:            &corev3.Node{Id: "me", Cluster: "us"},
		Server:          bootstrap.Server{Target: "passthrough:///" + server.Address, ConnectTimeout: 5 * time.Second},
		Admin:           netip.MustParseAddrPort("127.0.0.1:0"),
		ClustersTimeout: waits.clusters, ListenersTimeout: waits.listeners,
		Listeners: static,
	}, Options{DrainTime: time.Millisecond, GracePeriod: time.Second, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	p.fetchTimeout = waits.named
	ctx, cancel := context.WithCancel(context.Background())
	s := &scene{t: t, plane: p, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-s.ended
	})
	s.Stream = server.Accept(t)
	s.Wants("Cluster by me")
	return s
}

// start plays until connections are accepted: at the listener web, for the routes of that name, to the cluster of that name,
// behind which is the backend at address.
func start(t *testing.T, address string) *scene {
	t.Helper()
	s := play(t, patience{})
	s.Send(set(ads.ClusterType, edsCluster("web", "1")))
	s.Wants("ClusterLoadAssignment +web")
	s.Wants("Cluster ack n1")
	s.Send(set(ads.EndpointType, endpointsAt("web", address)))
	s.Wants("Listener")
	s.Wants("ClusterLoadAssignment ack n2")
	s.Send(set(ads.ListenerType, rdsListener("web", "web")))
	s.Wants("RouteConfiguration +web")
	s.Wants("Listener ack n3")
	s.Send(set(ads.RouteType, routesTo("web", "web")))
	s.Wants("RouteConfiguration ack n4")
	s.wantsState("200 LIVE")
	return s
}

func set(typeURL string, resources ...*discoveryv3.Resource) *discoveryv3.DeltaDiscoveryResponse {
	return &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL, Resources: resources}
}

func removed(typeURL string, names ...string) *discoveryv3.DeltaDiscoveryResponse {
	return &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL, RemovedResources: names}
}

// resource reads a message. What begins with an @ in its JSON is of that type in Envoy's API.
func resource(name string, m proto.Message, format string, args ...any) *discoveryv3.Resource {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), `"@type": "`, `"@type": "type.googleapis.com/envoy.`)
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		panic(err)
	}
	return adstest.Resource(name, "1", m)
}

const fromADS = `{"ads": {}, "resource_api_version": "V3"}`

// edsCluster is a cluster that takes its endpoints from EDS. Its timeout, in seconds, tells versions of it apart.
func edsCluster(name, timeout string) *discoveryv3.Resource {
	return resource(name, &clusterv3.Cluster{}, `{"name": %q, "connect_timeout": "%ss", "type": "EDS", "eds_cluster_config": {"eds_config": %s}}`,
		name, timeout, fromADS)
}

func endpointsAt(name, address string) *discoveryv3.Resource {
	a := netip.MustParseAddrPort(address)
	return resource(name, &endpointv3.ClusterLoadAssignment{}, `{"cluster_name": %q, "endpoints": [{"lb_endpoints": [
		{"endpoint": {"address": {"socket_address": {"address": %q, "port_value": %d}}}}]}]}`, name, a.Addr(), a.Port())
}

// rdsListener is a listener on a free port, which takes its routes from RDS.
func rdsListener(name, routes string) *discoveryv3.Resource {
	return resource(name, &listenerv3.Listener{}, `{"name": %q,
		"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
		"filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
			"@type": "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
			"stat_prefix": "http", "rds": {"config_source": %s, "route_config_name": %q},
			"http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": "extensions.filters.http.router.v3.Router"}}]
		}}]}]}`, name, fromADS, routes)
}

// routesTo sends everything to a cluster.
func routesTo(name, cluster string) *discoveryv3.Resource {
	return resource(name, &routev3.RouteConfiguration{}, `{"name": %q, "virtual_hosts": [{"name": "all", "domains": ["*"],
		"routes": [{"match": {"prefix": "/"}, "route": {"cluster": %q}}]}]}`, name, cluster)
}

// backend answers every request with a text, and returns where.
func backend(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// address is where a listener accepts connections.
func (s *scene) address(listener string) string {
	s.t.Helper()
	var at string
	s.plane.call(func() {
		if l := s.plane.listeners.active[listener]; l != nil {
			at = l.listener.Addrs()[0].String()
		}
	})
	if at == "" {
		s.t.Fatalf("there is no listener %q", listener)
	}
	return at
}

// get requests a URL and returns what it was answered, as "200 text".
func get(t *testing.T, method, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, body))
}

func (s *scene) wantsAnswer(want string) {
	s.t.Helper()
	if got := get(s.t, http.MethodGet, "http://"+s.address("web")); got != want {
		s.t.Errorf("answered %q, want %q", got, want)
	}
}

func (s *scene) admin(method, path string) string {
	s.t.Helper()
	return get(s.t, method, "http://"+s.plane.AdminAddress().String()+path)
}

// wantsState asks the administration interface.
func (s *scene) wantsState(want string) {
	s.t.Helper()
	if got := s.admin(http.MethodGet, "/ready"); got != want {
		s.t.Errorf("it is %q, want %q", got, want)
	}
}

// becomes waits until the administration interface says so.
func (s *scene) becomes(want string) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); s.admin(http.MethodGet, "/ready") != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("it doesn't become %q", want)
		}
	}
}
