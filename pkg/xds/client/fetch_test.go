package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

var ads = &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}

func pack(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// httpsListener takes its routes and its certificate by name.
func httpsListener(t *testing.T, name, routes, secret string) *listenerv3.Listener {
	t.Helper()
	manager := &hcmv3.HttpConnectionManager{RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{
		Rds: &hcmv3.Rds{ConfigSource: ads, RouteConfigName: routes},
	}}
	tls := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: secret, SdsConfig: ads}},
	}}
	return &listenerv3.Listener{Name: name, FilterChains: []*listenerv3.FilterChain{{
		Filters:         []*listenerv3.Filter{{Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, manager)}}},
		TransportSocket: &corev3.TransportSocket{Name: "tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(t, tls)}},
	}}}
}

func meshListener(t *testing.T, name, routes string) *listenerv3.Listener {
	t.Helper()
	manager := &hcmv3.HttpConnectionManager{RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{
		Rds: &hcmv3.Rds{ConfigSource: ads, RouteConfigName: routes},
	}}
	return &listenerv3.Listener{Name: name, ApiListener: &listenerv3.ApiListener{ApiListener: pack(t, manager)}}
}

func routeTo(table string, clusters ...string) *routev3.RouteConfiguration {
	weighted := &routev3.WeightedCluster{}
	for _, c := range clusters {
		weighted.Clusters = append(weighted.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: c})
	}
	action := &routev3.RouteAction{
		ClusterSpecifier:      &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted},
		RequestMirrorPolicies: []*routev3.RouteAction_RequestMirrorPolicy{{Cluster: "mirror"}},
	}
	return &routev3.RouteConfiguration{Name: table, VirtualHosts: []*routev3.VirtualHost{{
		Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{Action: &routev3.Route_Route{Route: action}}},
	}}}
}

func edsCluster(name, service string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads, ServiceName: service},
	}
}

// gateway is a server with a listener for Envoys and one for proxyless clients.
func gateway(t *testing.T) *adsServer {
	return &adsServer{resources: map[string]map[string]proto.Message{
		listenerType: {
			"https":          httpsListener(t, "https", "routes", "certificate"),
			"color.faces:80": meshListener(t, "color.faces:80", "mesh"),
		},
		routeType: {"routes": routeTo("routes", "b", "a"), "mesh": routeTo("mesh", "b")},
		clusterType: {
			"a": edsCluster("a", ""), "b": edsCluster("b", "endpoints-of-b"),
			"static": &clusterv3.Cluster{Name: "static"},
		},
		endpointType: {"endpoints-of-b": &endpointv3.ClusterLoadAssignment{ClusterName: "endpoints-of-b"}},
		secretType:   {"certificate": &tlsv3.Secret{Name: "certificate"}},
	}}
}

// namesOf lists a snapshot's resources as "type name", in its order.
func namesOf(s *Snapshot) []string {
	var out []string
	for _, m := range s.Listeners {
		out = append(out, "listener "+m.GetName())
	}
	for _, m := range s.Routes {
		out = append(out, "routes "+m.GetName())
	}
	for _, m := range s.Clusters {
		out = append(out, "cluster "+m.GetName())
	}
	for _, m := range s.Endpoints {
		out = append(out, "endpoints "+m.GetClusterName())
	}
	for _, m := range s.Secrets {
		out = append(out, "secret "+m.GetName())
	}
	for _, r := range s.Missing {
		out = append(out, "missing "+r.Type+" "+r.Name)
	}
	return out
}

func TestFetch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		listeners []string
		remove    string // a type that the server has nothing of
		want      []string
	}{
		{
			name: "an Envoy gets all listeners and clusters, and what they refer to",
			want: []string{
				"listener color.faces:80", "listener https", "routes mesh", "routes routes",
				"cluster a", "cluster b", "cluster static", "endpoints endpoints-of-b", "secret certificate",
				"missing ClusterLoadAssignment a",
			},
		},
		{
			name:      "a proxyless client gets its listener, and the clusters of its routes",
			listeners: []string{"color.faces:80"},
			want: []string{
				"listener color.faces:80", "routes mesh", "cluster b", "endpoints endpoints-of-b", "missing Cluster mirror",
			},
		},
		{
			name:      "an unknown listener",
			listeners: []string{"no.such:80"},
			want:      []string{"missing Listener no.such:80"},
		},
		{
			name:   "a secret that does not exist",
			remove: secretType,
			want: []string{
				"listener color.faces:80", "listener https", "routes mesh", "routes routes",
				"cluster a", "cluster b", "cluster static", "endpoints endpoints-of-b",
				"missing ClusterLoadAssignment a", "missing Secret certificate",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := gateway(t)
			delete(server.resources, test.remove)
			node := &corev3.Node{Id: "reader"}
			got, err := Fetch(t.Context(), serve(t, server), Query{Node: node, Listeners: test.listeners})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, namesOf(got)); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
			server.mu.Lock()
			defer server.mu.Unlock()
			if len(server.nodes) != 1 || server.nodes[0].GetId() != "reader" {
				t.Errorf("nodes sent: %v, want one, with the first request", server.nodes)
			}
			if len(server.rejects) > 0 || server.acks != server.responses {
				t.Errorf("%d of %d responses acknowledged, rejected: %q", server.acks, server.responses, server.rejects)
			}
		})
	}
}

func TestFetchOfNothing(t *testing.T) {
	t.Parallel()
	got, err := Fetch(t.Context(), serve(t, &adsServer{}), Query{Node: &corev3.Node{Id: "reader"}})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Empty() || len(got.Missing) > 0 {
		t.Errorf("got %v, want nothing", namesOf(got))
	}
}

func TestFetchNamesWhatIsNotAnswered(t *testing.T) {
	t.Parallel()
	server := gateway(t)
	server.silent = map[string]bool{"certificate": true, "a": true}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	got, err := Fetch(ctx, serve(t, server), Query{Node: &corev3.Node{Id: "reader"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got error %v, want the deadline's", err)
	}
	const want = `no answer for ClusterLoadAssignment "a", Secret "certificate"`
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got error %q, want %q in it", err, want)
	}
	if len(got.Listeners) != 2 {
		t.Errorf("got %v, want what was answered", namesOf(got))
	}
}

func TestFetchRejectsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	server := &adsServer{resources: map[string]map[string]proto.Message{
		listenerType: {"wrong": &clusterv3.Cluster{Name: "wrong"}},
	}}
	_, err := Fetch(t.Context(), serve(t, server), Query{Node: &corev3.Node{Id: "reader"}})
	const want = `resource "wrong" is of type`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q in it", err, want)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if len(server.rejects) != 1 || !strings.Contains(server.rejects[0], want) {
		t.Errorf("the server was told %q, want %q in it", server.rejects, want)
	}
}

func TestFetchFromNobody(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := Fetch(t.Context(), conn, Query{Node: &corev3.Node{Id: "reader"}}); status.Code(err) != codes.Unavailable {
		t.Errorf("got error %v, want Unavailable", err)
	}
}
