package translate

import (
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func TestBlame(t *testing.T) {
	t.Parallel()
	route := func(name, path string) *graph.RouteFacts {
		return httpRoute(t, name, `{rules: [{matches: [{path: {value: `+path+`}}], backendRefs: [{name: a, port: 80}]}]}`)
	}
	on := func(domain string, routes ...*graph.RouteFacts) *graph.VirtualHostFacts {
		return virtualHost(domain, routes...)
	}
	a, b, c := route("a", "/a"), route("b", "/b"), route("c", "/c")
	good := table(t, on("a.example", a, b), on("b.example", b))
	gatewayOf := func(listeners ...*graph.ListenerFacts) []byte {
		all, _ := Listeners(scopeOf(gatewayFacts(listeners...)))
		return marshalled(t, all[0])
	}
	one, two := listener("one", "HTTPS", 443, "one.example", "a"), listener("two", "HTTPS", 443, "two.example", "a")
	changed := listener("two", "HTTPS", 443, "two.example", "b")
	listenerTwo := Origin{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Listener: "two"}
	cluster := func(authority string, percent int) []byte {
		return marshalled(t, Cluster(ClusterKey{BackendKey: service("a", 80)}, &graph.BackendPortFacts{
			Key:         service("a", 80),
			TLS:         &graph.BackendTLSFacts{Policy: types.NamespacedName{Namespace: "ns", Name: "tls"}, Hostname: "a.example", Authorities: []byte(authority)},
			RetryBudget: &graph.RetryBudgetFacts{Policy: types.NamespacedName{Namespace: "ns", Name: "traffic"}, Percent: percent, Interval: time.Second},
		}))
	}
	mesh := func(routes ...*graph.RouteFacts) []byte {
		listeners, _, _ := MeshListeners(&graph.MeshHostFacts{Key: service("a", 80), Routes: routes})
		return marshalled(t, listeners[0])
	}
	// forwarding is an Envoy listener of the TLS listener sni or the UDP listener dns, with streams.
	forwarding := func(l *graph.ListenerFacts, address string, streams ...graph.StreamFacts) []byte {
		gw := gatewayFacts(l)
		gw.Addresses = []string{address}
		scope := scopeOf(gw)
		scope.Streams = streams
		listeners, _ := Listeners(scope)
		return marshalled(t, listeners[0])
	}
	sni, dns := listener("sni", "TLS", 443, "", "a"), listener("dns", "UDP", 53, "")
	oneTo := func(backend string) graph.StreamFacts { return stream(t, "sni", "one.example", `{name: `+backend+`}`) }
	twoTo := func(backend string) graph.StreamFacts { return stream(t, "sni", "two.example", `{name: `+backend+`}`) }
	packetsTo := func(backend string) graph.StreamFacts { return stream(t, "dns", "", `{name: `+backend+`}`) }
	listenerSNI := Origin{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Listener: "sni"}
	listenerDNS := Origin{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Listener: "dns"}
	tlsPolicy := Origin{Kind: graph.KindBackendTLSPolicy, Namespace: "ns", Name: "tls"}
	trafficPolicy := Origin{Kind: graph.KindBackendTrafficPolicy, Namespace: "ns", Name: "traffic"}
	for _, tt := range []struct {
		name           string
		typeURL        string
		rejected, good []byte
		message        string
		want           []Origin
	}{
		{name: "a new route", typeURL: resource.RouteType, rejected: table(t, on("a.example", a, b, c), on("b.example", b)), good: good, want: []Origin{httpRule("c", "0")}},
		{name: "a changed route", typeURL: resource.RouteType, rejected: table(t, on("a.example", a, b), on("b.example", route("b", "/other"))), good: good, want: []Origin{httpRule("b", "0")}},
		{name: "a route in another virtual host", typeURL: resource.RouteType, rejected: table(t, on("a.example", a, b), on("b.example", a, b)), good: good, want: []Origin{httpRule("a", "0")}},
		{name: "a new virtual host without routes", typeURL: resource.RouteType, rejected: table(t, on("a.example", a, b), on("b.example", b), on("c.example")), good: good, want: []Origin{onPort80}},
		{name: "a route is gone", typeURL: resource.RouteType, rejected: table(t, on("a.example", a), on("b.example", b)), good: good, want: []Origin{httpRule("a", "0")}},
		{name: "a virtual host is gone", typeURL: resource.RouteType, rejected: table(t, on("a.example", a, b)), good: good, want: []Origin{onPort80}},
		{name: "nothing else", typeURL: resource.RouteType, rejected: good, good: good, want: []Origin{onPort80, httpRule("a", "0"), httpRule("b", "0")}},
		{name: "a good one that can't be read", typeURL: resource.RouteType, rejected: good, good: []byte("?"), want: []Origin{httpRule("a", "0"), httpRule("b", "0")}},
		{
			name: "a domain in the message", typeURL: resource.RouteType, rejected: good, want: []Origin{httpRule("b", "0")},
			message: "Only unique values for domains are permitted. Duplicate entry of domain b.example in route ns/gw:80",
		},
		{
			name: "a route in the message", typeURL: resource.RouteType, rejected: good, want: []Origin{httpRule("a", "0")},
			message: "ns/gw:80: httproute/ns/a/rule/0/match/0: no argument for repetition operator",
		},
		{
			name: "a name in the message that is longer", typeURL: resource.RouteType, rejected: good, want: []Origin{onPort80, httpRule("a", "0"), httpRule("b", "0")},
			message: "httproute/ns/a/rule/0/match/01 www.b.example b.example.com",
		},
		{
			name: "one of several changes in the message", typeURL: resource.RouteType, good: good, want: []Origin{httpRule("c", "0")},
			rejected: table(t, on("a.example", a, b, c), on("b.example", route("b", "/other"))), message: "route httproute/ns/c/rule/0/match/0.",
		},
		{
			name: "the message names what hasn't changed", typeURL: resource.RouteType, good: good, want: []Origin{httpRule("c", "0")},
			rejected: table(t, on("a.example", a, b, c), on("b.example", b)), message: "virtual host b.example is odd",
		},
		{name: "a new listener", typeURL: resource.ListenerType, rejected: gatewayOf(one, two), good: gatewayOf(one), want: []Origin{listenerTwo}},
		{name: "a changed listener", typeURL: resource.ListenerType, rejected: gatewayOf(one, changed), good: gatewayOf(one, two), want: []Origin{listenerTwo}},
		{
			name: "a listener in the message", typeURL: resource.ListenerType, rejected: gatewayOf(one, two), want: []Origin{listenerTwo},
			message: "error adding listener 'ns/gw:443': filter chain 'two' has none",
		},
		{
			name: "a word in the message that a listener has for a name", typeURL: resource.ListenerType, rejected: gatewayOf(one, two), good: gatewayOf(listener("three", "HTTPS", 443, "", "a")),
			message: "one of two", want: []Origin{{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Listener: "one"}, listenerTwo},
		},
		{
			name: "a new stream", typeURL: resource.ListenerType, want: []Origin{listenerSNI, streamOf("sni", "two.example")},
			rejected: forwarding(sni, "10.0.0.1", oneTo("a"), twoTo("a")), good: forwarding(sni, "10.0.0.1", oneTo("a")),
		},
		{
			name: "a changed stream", typeURL: resource.ListenerType, want: []Origin{streamOf("sni", "one.example")},
			rejected: forwarding(sni, "10.0.0.1", oneTo("b"), twoTo("a")), good: forwarding(sni, "10.0.0.1", oneTo("a"), twoTo("a")),
		},
		{
			name: "a certificate of streams", typeURL: resource.ListenerType, want: []Origin{listenerSNI},
			rejected: forwarding(listener("sni", "TLS", 443, "", "b"), "10.0.0.1", oneTo("a")), good: forwarding(sni, "10.0.0.1", oneTo("a")),
		},
		{
			name: "an address of streams", typeURL: resource.ListenerType, want: []Origin{{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Port: 443}},
			rejected: forwarding(sni, "10.0.0.2", oneTo("a")), good: forwarding(sni, "10.0.0.1", oneTo("a")),
		},
		{
			name: "a server name in the message", typeURL: resource.ListenerType, want: []Origin{listenerSNI, streamOf("sni", "two.example")},
			rejected: forwarding(sni, "10.0.0.1", oneTo("a"), twoTo("a")), message: "error adding listener: two.example is no name",
		},
		{
			name: "another backend of packets", typeURL: resource.ListenerType, want: []Origin{streamOf("dns", "*")},
			rejected: forwarding(dns, "10.0.0.1", packetsTo("b")), good: forwarding(dns, "10.0.0.1", packetsTo("a")),
		},
		{
			name: "an address of packets", typeURL: resource.ListenerType, want: []Origin{listenerDNS},
			rejected: forwarding(dns, "10.0.0.2", packetsTo("a")), good: forwarding(dns, "10.0.0.1", packetsTo("a")),
		},
		{name: "a cluster's TLS", typeURL: resource.ClusterType, rejected: cluster("other", 20), good: cluster("ca", 20), want: []Origin{tlsPolicy}},
		{name: "a cluster's limits", typeURL: resource.ClusterType, rejected: cluster("ca", 30), good: cluster("ca", 20), want: []Origin{trafficPolicy}},
		{name: "both", typeURL: resource.ClusterType, rejected: cluster("other", 30), good: cluster("ca", 20), want: []Origin{tlsPolicy, trafficPolicy}},
		{name: "a route of the mesh", typeURL: resource.ListenerType, rejected: mesh(a, b), good: mesh(a), want: []Origin{httpRule("b", "0")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Blame(tt.typeURL, tt.rejected, tt.good, tt.message)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
