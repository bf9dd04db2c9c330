package translate

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// A configuration put together from encoded virtual hosts is the one that is marshalled whole.
func TestRouteConfiguration(t *testing.T) {
	t.Parallel()
	first, _ := translated(t, virtualHost("a.example", httpRoute(t, "h", `{rules: [{backendRefs: [{name: a, port: 80}]}]}`)))
	second, _ := translated(t, virtualHost("*"))
	for _, hosts := range [][]*routev3.VirtualHost{nil, {first}, {first, second}} {
		var encoded [][]byte
		for _, vh := range hosts {
			data, err := proto.Marshal(vh)
			if err != nil {
				t.Fatal(err)
			}
			encoded = append(encoded, data)
		}
		got := &routev3.RouteConfiguration{}
		if err := proto.Unmarshal(spliced(graph.TableKey{Scope: gateway, Port: 80}, encoded), got); err != nil {
			t.Fatal(err)
		}
		validate(t, got)
		want := &routev3.RouteConfiguration{
			Name: "ns/gw:80", VirtualHosts: hosts, IgnorePortInHostMatching: true,
			Metadata: Origin{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Port: 80}.metadata(),
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestRouteConfigurationName(t *testing.T) {
	t.Parallel()
	for want, table := range map[string]graph.TableKey{
		"ns/gw:80":      {Scope: gateway, Port: 80},
		"ns/gw:443/tls": {Scope: gateway, Port: 443, Listener: "tls"},
		"fleet/ns/edge:443/gateway/ns/gw/tls": {
			Scope: graph.Key{Kind: graph.KindEnvoyFleet, Namespace: "ns", Name: "edge"}, Port: 443, Listener: "gateway/ns/gw/tls",
		},
	} {
		if got := RouteConfigurationName(table); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
