package translate

import (
	"slices"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func marshalled(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// table returns an encoded RouteConfiguration of the HTTP listeners of ns/gw.
func table(t testing.TB, hosts ...*graph.VirtualHostFacts) []byte {
	t.Helper()
	var encoded [][]byte
	for _, facts := range hosts {
		vh, _ := VirtualHost(facts)
		validate(t, vh)
		encoded = append(encoded, marshalled(t, vh))
	}
	return spliced(graph.TableKey{Scope: gateway, Port: 80}, encoded)
}

var (
	onPort80 = Origin{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Port: 80}
	serviceA = Origin{Kind: graph.KindService, Namespace: "ns", Name: "a"}
)

func httpRule(route, rule string) Origin {
	return Origin{Kind: graph.KindHTTPRoute, Namespace: "ns", Name: route, Rule: rule}
}

// streamOf is a stream of a listener of ns/gw.
func streamOf(listener, domain string) Origin {
	return Origin{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Listener: listener, Domain: domain}
}

// merged is an EnvoyFleet that merges its Gateways.
var merged = graph.Key{Kind: graph.KindEnvoyFleet, Namespace: "ns", Name: "edge"}

func TestOriginsOfRoutes(t *testing.T) {
	t.Parallel()
	named := httpRoute(t, "named", `{rules: [{name: first, backendRefs: [{name: a, port: 80}]}, {matches: [{path: {value: /b}}], backendRefs: [{name: missing, port: 80}]}]}`)
	twice := httpRoute(t, "twice", `{rules: [{matches: [{path: {value: /a}}, {path: {value: /b}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}],
		backendRefs: [{name: a, port: 80}]}]}`)
	grpc := grpcRoute(t, "g", `{rules: [{backendRefs: [{name: a, port: 80}]}]}`)
	misdirected := virtualHost("")
	misdirected.Misdirected = []string{"other.example"}
	for _, tt := range []struct {
		name  string
		value []byte
		want  []Origin
	}{
		{"of two routes in a virtual host", table(t, virtualHost("a.example", named, grpc)), []Origin{
			{Kind: graph.KindGRPCRoute, Namespace: "ns", Name: "g", Rule: "0"}, onPort80, httpRule("named", "1"), httpRule("named", "first"),
		}},
		{"several Envoy routes of a rule", table(t, virtualHost("a.example", twice), virtualHost("b.example", twice)), []Origin{onPort80, httpRule("twice", "0")}},
		{"of none", table(t, virtualHost("a.example"), misdirected), []Origin{onPort80}},
		{
			"of an HTTPS listener", spliced(graph.TableKey{Scope: gateway, Port: 443, Listener: "tls"}, nil),
			[]Origin{{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Listener: "tls"}},
		},
		{
			"of an HTTPS listener of a merged Gateway", spliced(graph.TableKey{Scope: merged, Port: 443, Listener: "gateway/ns/gw/tls"}, nil),
			[]Origin{{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Listener: "tls"}},
		},
		{
			"of an HTTPS listener of a ListenerSet", spliced(graph.TableKey{Scope: gateway, Port: 443, Listener: "listenerset/other/set/tls"}, nil),
			[]Origin{{Kind: graph.KindListenerSet, Namespace: "other", Name: "set", Listener: "tls"}},
		},
		{
			"of the HTTP listeners of merged Gateways", spliced(graph.TableKey{Scope: merged, Port: 80}, nil),
			[]Origin{{Kind: graph.KindEnvoyFleet, Namespace: "ns", Name: "edge", Port: 80}},
		},
		{"of nothing that can be read", []byte("?"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Origins(resource.RouteType, tt.value)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestOriginsOfListeners(t *testing.T) {
	t.Parallel()
	set := listener("extra", "HTTPS", 443, "b.example", "b")
	set.Key.Parent = graph.Key{Kind: graph.KindListenerSet, Namespace: "ns", Name: "set"}
	of := func(name string) Origin {
		return Origin{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Listener: name}
	}
	on443 := Origin{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Port: 443}
	for _, tt := range []struct {
		name  string
		scope *graph.ScopeFacts
		want  map[string][]Origin
	}{
		{
			"HTTP: all of the port", scopeOf(gatewayFacts(listener("a", "HTTP", 80, "a.example"), listener("b", "HTTP", 80, "b.example"))),
			map[string][]Origin{"ns/gw:80": {onPort80}},
		},
		{
			"HTTPS: each its own", scopeOf(gatewayFacts(listener("a", "HTTPS", 443, "a.example", "a"), set)),
			map[string][]Origin{"ns/gw:443": {on443, of("a"), {Kind: graph.KindListenerSet, Namespace: "ns", Name: "set", Listener: "extra"}}},
		},
		{
			"merged", &graph.ScopeFacts{Key: merged, Gateways: []*graph.GatewayFacts{gatewayFacts(listener("a", "HTTP", 80, ""), listener("tls", "HTTPS", 80, "", "a"))}},
			map[string][]Origin{"fleet/ns/edge:80": {{Kind: graph.KindEnvoyFleet, Namespace: "ns", Name: "edge", Port: 80}, of("tls")}},
		},
		{
			"streams", &graph.ScopeFacts{
				Key:      gateway,
				Gateways: []*graph.GatewayFacts{gatewayFacts(listener("tcp", "TCP", 9000, ""), listener("udp", "UDP", 53, ""), listener("sni", "TLS", 443, "", "a"))},
				Streams:  []graph.StreamFacts{stream(t, "tcp", "", `{name: a}`), stream(t, "udp", "", `{name: a}`), stream(t, "sni", "*"), stream(t, "sni", "a.example", `{name: a}`)},
			},
			map[string][]Origin{
				"ns/gw:9000":   {{Kind: graph.KindGateway, Namespace: "ns", Name: "gw", Port: 9000}, streamOf("tcp", "*")},
				"ns/gw:53/udp": {of("udp"), streamOf("udp", "*")},
				"ns/gw:443":    {on443, of("sni"), streamOf("sni", "*"), streamOf("sni", "a.example")},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := map[string][]Origin{}
			listeners, _ := Listeners(tt.scope)
			for i := range tt.scope.Streams {
				said := slices.ContainsFunc(listeners, func(l *listenerv3.Listener) bool {
					return slices.Contains(Origins(resource.ListenerType, marshalled(t, l)), StreamOrigin(tt.scope.Streams[i].Key))
				})
				if !said {
					t.Errorf("nothing is of %v", tt.scope.Streams[i].Key)
				}
			}
			for _, l := range listeners {
				got[l.GetName()] = Origins(resource.ListenerType, marshalled(t, l))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestOriginsOfTheMesh(t *testing.T) {
	t.Parallel()
	facts := &graph.MeshHostFacts{
		Key: service("a", 80), Addresses: []string{"10.0.0.1"},
		Routes: []*graph.RouteFacts{httpRoute(t, "h", `{rules: [{backendRefs: [{name: missing, port: 80}]}]}`)},
	}
	want := []Origin{httpRule("h", "0"), serviceA}
	check := func(what, typeURL string, m proto.Message, want []Origin) {
		t.Helper()
		if diff := cmp.Diff(want, Origins(typeURL, marshalled(t, m))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	listeners, _, empty := MeshListeners(facts)
	for _, l := range listeners {
		check("proxyless", resource.ListenerType, l, want)
	}
	check("failing", resource.ClusterType, empty.Cluster, []Origin{serviceA})
	check("failing", resource.EndpointType, empty.Endpoints, []Origin{serviceA})
	sidecar := NewSidecarHost(facts)
	check("sidecar", resource.ListenerType, sidecar.Listener, []Origin{serviceA})
	check("sidecar", resource.RouteType, sidecar.Routes, want)
	listeners, _, _ = MeshListeners(&graph.MeshHostFacts{Key: service("a", 80)})
	check("without routes", resource.ListenerType, listeners[0], []Origin{serviceA})
	check("of no object", resource.ClusterType, Passthrough(), nil)
	for _, l := range Outbound(graph.SidecarFacts{}) {
		check("of no object", resource.ListenerType, l, nil)
	}
}

// xbackend is a port of the XBackend ns/x.
var xbackend = graph.BackendKey{Key: graph.Key{Kind: graph.KindBackend, Namespace: "ns", Name: "x"}, Port: 443}

func TestOriginsOfBackends(t *testing.T) {
	t.Parallel()
	serviceX := Origin{Kind: graph.KindBackend, Namespace: "ns", Name: "x"}
	policies := &graph.BackendPortFacts{
		Key:         service("a", 80),
		TLS:         &graph.BackendTLSFacts{Policy: types.NamespacedName{Namespace: "ns", Name: "tls"}, Hostname: "a.example", System: true},
		RetryBudget: &graph.RetryBudgetFacts{Policy: types.NamespacedName{Namespace: "ns", Name: "traffic"}, Percent: 20},
	}
	tlsPolicy := Origin{Kind: graph.KindBackendTLSPolicy, Namespace: "ns", Name: "tls"}
	trafficPolicy := Origin{Kind: graph.KindBackendTrafficPolicy, Namespace: "ns", Name: "traffic"}
	certificate := graph.CertificateFacts{Secret: types.NamespacedName{Namespace: "ns", Name: "s"}}
	external := &graph.BackendPortFacts{
		Key: xbackend, Hostname: "x.example", TLS: &graph.BackendTLSFacts{Hostname: "x.example", System: true, ClientCertificate: &certificate},
	}
	udp := service("a", 80)
	udp.UDP = true
	route := graph.UDPRouteBackend(graph.Key{Kind: graph.KindUDPRoute, Namespace: "ns", Name: "u"})
	for _, tt := range []struct {
		name    string
		typeURL string
		m       proto.Message
		want    []Origin
	}{
		{"Service", resource.ClusterType, Cluster(ClusterKey{BackendKey: service("a", 80)}, &graph.BackendPortFacts{Key: service("a", 80)}), []Origin{serviceA}},
		{"Service with policies", resource.ClusterType, Cluster(ClusterKey{BackendKey: service("a", 80)}, policies), []Origin{tlsPolicy, serviceA, trafficPolicy}},
		{"only what shapes it", resource.ClusterType, Cluster(ClusterKey{BackendKey: service("a", 80), Stream: true, Passthrough: true}, policies), []Origin{serviceA}},
		{"XBackend", resource.ClusterType, Cluster(ClusterKey{BackendKey: xbackend}, external), []Origin{serviceX}},
		{"UDPRoute", resource.ClusterType, Cluster(ClusterKey{BackendKey: route}, &graph.BackendPortFacts{Key: route}), []Origin{{Kind: graph.KindUDPRoute, Namespace: "ns", Name: "u"}}},

		{"endpoints", resource.EndpointType, ClusterLoadAssignment(&graph.BackendPortFacts{Key: service("a", 80)}), []Origin{serviceA}},
		{"endpoints for UDP", resource.EndpointType, ClusterLoadAssignment(&graph.BackendPortFacts{Key: udp}), []Origin{serviceA}},
		{"endpoints of a UDPRoute", resource.EndpointType, ClusterLoadAssignment(&graph.BackendPortFacts{Key: route, Shares: []graph.ShareFacts{{}}}),
			[]Origin{{Kind: graph.KindUDPRoute, Namespace: "ns", Name: "u"}}},

		{"Secret", resource.SecretType, certificateSecret(certificate), []Origin{{Kind: graph.KindSecret, Namespace: "ns", Name: "s"}}},
		{"of an XBackend", resource.SecretType, BackendSecret(external), []Origin{serviceX}},
		{"CAs of clients", resource.SecretType, clientCASecret(clientCAName(gateway.NamespacedName(), 80), &graph.ClientValidationFacts{}), []Origin{onPort80}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Origins(tt.typeURL, marshalled(t, tt.m))); diff != "" {
				t.Errorf("(-want +got)\n%s\n%s", diff, protojson.Format(tt.m))
			}
		})
	}
}

// TestOriginsByNames has names that look like others.
func TestOriginsByNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Origin{
		"udproute/a:80":          {Kind: graph.KindService, Namespace: "udproute", Name: "a"},
		"xbackend/a:80":          {Kind: graph.KindService, Namespace: "xbackend", Name: "a"},
		"xbackend/a:80/udp":      {Kind: graph.KindService, Namespace: "xbackend", Name: "a"},
		"xbackend/xbackend/a:80": {Kind: graph.KindBackend, Namespace: "xbackend", Name: "a"},
		"nothing":                {},
		"a/b:c":                  {},
	} {
		got, ok := endpointsOrigin(name)
		if ok != (want != Origin{}) || ok && got != want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	for name, want := range map[string]Origin{
		"xbackend/client-ca":                {Kind: graph.KindSecret, Namespace: "xbackend", Name: "client-ca"},
		"ns/client-certificate":             {Kind: graph.KindSecret, Namespace: "ns", Name: "client-certificate"},
		"xbackend/a/b:1/client-certificate": {Kind: graph.KindBackend, Namespace: "a", Name: "b"},
		"nothing":                           {},
		"a/b/c":                             {},
	} {
		got, ok := secretOrigin(name)
		if ok != (want != Origin{}) || ok && got != want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

// A listener that joins others must not change their Envoy listener: that would close their connections.
func TestOriginsLeaveListenersAlone(t *testing.T) {
	t.Parallel()
	one, _ := Listeners(scopeOf(gatewayFacts(listener("a", "HTTP", 80, "a.example"))))
	two, _ := Listeners(scopeOf(gatewayFacts(listener("a", "HTTP", 80, "a.example"), listener("b", "HTTP", 80, "b.example"))))
	if !proto.Equal(one[0], two[0]) {
		t.Errorf("%v\nbecame\n%v", one[0], two[0])
	}
}
