package translate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func TestUDP(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		stream   graph.StreamFacts
		cluster  string
		clusters []string
	}{
		{"one backend", stream(t, "l", "", `{name: a}`, `{name: none, weight: 0}`), "ns/a:80", []string{"ns/a:80"}},
		{"several", stream(t, "l", "", `{name: a}`, `{name: b, weight: 2}`), "udproute/ns/r", []string{"udproute/ns/r"}},
		{"one of two is invalid", stream(t, "l", "", `{name: a}`, `{name: missing}`), "udproute/ns/r", []string{"udproute/ns/r"}},
		{"an invalid one", stream(t, "l", "", `{name: missing}`), "unresolved-backend", nil},
		{"no weight", stream(t, "l", "", `{name: a, weight: 0}`), "unresolved-backend", nil},
		{"no route", stream(t, "l", ""), "unresolved-backend", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gw := gatewayFacts(listener("l", "UDP", 53, ""))
			gw.Addresses = []string{"10.0.0.1", "fd00::1"}
			scope := scopeOf(gw)
			scope.Streams = []graph.StreamFacts{tt.stream}
			got, keys := Listeners(scope)
			for _, l := range got {
				validate(t, l)
			}
			expect(t, got, `[{name: "ns/gw:53/udp", perConnectionBufferLimitBytes: 32768,
				address: {socketAddress: {protocol: UDP, address: 10.0.0.1, portValue: 53}},
				additionalAddresses: [{address: {socketAddress: {protocol: UDP, address: "fd00::1", portValue: 53}}}],
				listenerFilters: [{name: envoy.filters.udp_listener.udp_proxy, typedConfig: {
					"@type": type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig, statPrefix: "ns/gw:53/udp",
					matcher: {onNoMatch: {action: {name: route, typedConfig: {
						"@type": type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.Route, cluster: "`+tt.cluster+`"}}}}}}]}]`)
			var clusters []string
			for _, key := range keys {
				clusters = append(clusters, key.String())
			}
			if !slices.Equal(clusters, tt.clusters) {
				t.Errorf("clusters %q, want %q", clusters, tt.clusters)
			}
		})
	}
}

// TestUDPBesideTCP: both bind a port.
func TestUDPBesideTCP(t *testing.T) {
	t.Parallel()
	got, _ := Listeners(scopeOf(gatewayFacts(listener("udp", "UDP", 53, ""), listener("tcp", "TCP", 53, ""))))
	var names []string
	for _, l := range got {
		names = append(names, l.Name+" "+l.GetAddress().GetSocketAddress().Protocol.String())
	}
	if want := []string{"ns/gw:53 TCP", "ns/gw:53/udp UDP"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

func TestSharedEndpoints(t *testing.T) {
	t.Parallel()
	type share struct {
		weight    uint32
		endpoints string // "" if invalid
	}
	many := func(prefix string, n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("%s.%d.%d", prefix, i/256, i%256))
		}
		return strings.Join(out, " ")
	}
	const none = "-"
	for _, tt := range []struct {
		name   string
		shares []share
		want   string
	}{
		{"by weight", []share{{7, "10.0.0.1"}, {3, "10.0.0.2"}}, "10.0.0.1:53=7 10.0.0.2:53=3"},
		{"the endpoints of a backend have equal parts", []share{{1, "10.0.0.1 10.0.0.2 10.0.0.3"}, {1, "10.0.0.4 10.0.0.5"}},
			"10.0.0.1:53=2 10.0.0.2:53=2 10.0.0.3:53=2 10.0.0.4:53=3 10.0.0.5:53=3"},
		{"an endpoint of two backends has both parts", []share{{7, "10.0.0.1"}, {2, "10.0.0.1"}, {1, "10.0.0.2"}}, "10.0.0.1:53=9 10.0.0.2:53=1"},
		{"an invalid backend", []share{{1, "10.0.0.1 10.0.0.2"}, {4, ""}}, "10.0.0.1:53=1 10.0.0.2:53=1 127.0.0.1:9=8"},
		{"a backend without endpoints", []share{{1, "10.0.0.1"}, {3, none}, {1, ""}}, "10.0.0.1:53=1 127.0.0.1:9=4"},
		{"nothing", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			facts := &graph.BackendPortFacts{Key: graph.UDPRouteBackend(graph.Key{Kind: graph.KindUDPRoute, Namespace: "ns", Name: "r"}), Shares: []graph.ShareFacts{}}
			for _, s := range tt.shares {
				facts.Shares = append(facts.Shares, shareOf(s.weight, strings.ReplaceAll(s.endpoints, none, " ")))
			}
			got := ClusterLoadAssignment(facts)
			validate(t, got)
			if got.ClusterName != "udproute/ns/r" {
				t.Errorf("name %s", got.ClusterName)
			}
			var all []string
			for _, l := range got.Endpoints {
				for _, e := range l.LbEndpoints {
					at := e.GetEndpoint().GetAddress().GetSocketAddress()
					all = append(all, fmt.Sprintf("%s:%d=%d", at.Address, at.GetPortValue(), e.LoadBalancingWeight.GetValue()))
				}
			}
			if text := strings.Join(all, " "); text != tt.want {
				t.Errorf("%s, want %s", text, tt.want)
			}
		})
	}

	// Weights for which 32 bits are not enough to be exact.
	got := sharedEndpoints([]graph.ShareFacts{
		shareOf(1_000_000, many("10.0", 997)), shareOf(500_000, many("10.1", 991)), shareOf(250_000, many("10.2", 983)),
	})
	sums, total := map[string]float64{}, uint64(0)
	for _, e := range got[0].LbEndpoints {
		prefix := e.GetEndpoint().GetAddress().GetSocketAddress().Address[:4]
		sums[prefix] += float64(e.LoadBalancingWeight.GetValue())
		total += uint64(e.LoadBalancingWeight.GetValue())
	}
	if total > 1<<32-1 {
		t.Errorf("Envoy refuses a sum of %d", total)
	}
	for prefix, want := range map[string]float64{"10.0": 4. / 7, "10.1": 2. / 7, "10.2": 1. / 7} {
		if part := sums[prefix] / float64(total); part < want*0.999 || part > want*1.001 {
			t.Errorf("the part of %s is %f, want %f", prefix, part, want)
		}
	}
}

// shareOf returns a share of a backend with endpoints, which are apart by spaces; of an invalid backend, if the text is empty.
func shareOf(weight uint32, endpoints string) graph.ShareFacts {
	if endpoints == "" {
		return graph.ShareFacts{Weight: weight}
	}
	slice := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{
		{Name: new(""), Port: new(int32(53)), Protocol: new(corev1.ProtocolUDP)},
	}}
	for _, address := range strings.Fields(endpoints) {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return graph.ShareFacts{Weight: weight, Port: &graph.BackendPortFacts{
		Port: &corev1.ServicePort{Port: 53, Protocol: corev1.ProtocolUDP}, Slices: []*discoveryv1.EndpointSlice{slice},
	}}
}
