package translate

import (
	"slices"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/testing/protocmp"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// scopeOf returns the facts of a scope with one Gateway.
func scopeOf(gw *graph.GatewayFacts) *graph.ScopeFacts {
	return &graph.ScopeFacts{Key: gateway, Gateways: []*graph.GatewayFacts{gw}}
}

// gatewayFacts returns the facts of ns/gw with the given listeners.
func gatewayFacts(listeners ...*graph.ListenerFacts) *graph.GatewayFacts {
	object := &gwv1.Gateway{}
	object.Namespace, object.Name = gateway.Namespace, gateway.Name
	return &graph.GatewayFacts{Object: object, Managed: true, Listeners: listeners}
}

// listener returns the facts of a listener, with a certificate from each of the named Secrets.
func listener(name, protocol string, port int32, hostname string, secrets ...string) *graph.ListenerFacts {
	l := &graph.ListenerFacts{Key: graph.ListenerKey{Parent: gateway, Name: gwv1.SectionName(name)}, Hostname: hostname, Spec: &gwv1.Listener{
		Name: gwv1.SectionName(name), Protocol: gwv1.ProtocolType(protocol), Port: gwv1.PortNumber(port),
	}}
	for _, s := range secrets {
		l.Certificates = append(l.Certificates, graph.CertificateFacts{
			Secret: types.NamespacedName{Namespace: "ns", Name: s}, Chain: []byte(s + " chain"), Key: []byte(s + " key"),
		})
	}
	return l
}

// listeners returns valid listeners, and for each the names of the route configurations of its filter chains.
func listeners(t *testing.T, gw *graph.GatewayFacts) (out []*listenerv3.Listener, tables [][]string) {
	t.Helper()
	out, _ = Listeners(scopeOf(gw))
	for _, l := range out {
		validate(t, l)
		var names []string
		for _, chain := range l.FilterChains {
			manager := &hcmv3.HttpConnectionManager{}
			if err := chain.Filters[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
				t.Fatal(err)
			}
			names = append(names, manager.GetRds().GetRouteConfigName())
		}
		tables = append(tables, names)
	}
	return out, tables
}

func TestListeners(t *testing.T) {
	t.Parallel()
	problem := &graph.Problem{Reason: "Invalid"}
	bad := func(set func(*graph.ListenerFacts)) *graph.ListenerFacts {
		l := listener("bad", "HTTP", 80, "")
		set(l)
		return l
	}
	for _, tt := range []struct {
		name   string
		gw     *graph.GatewayFacts
		want   string     // without connection managers, TLS contexts and constants
		tables [][]string // for each listener and filter chain
	}{
		{
			name:   "the HTTP listeners of a port share a filter chain",
			gw:     gatewayFacts(listener("b", "HTTP", 8080, ""), listener("a", "HTTP", 80, ""), listener("c", "HTTP", 80, "c.example")),
			want:   `[{name: "ns/gw:80", filterChains: [{name: http}]}, {name: "ns/gw:8080", filterChains: [{name: http}]}]`,
			tables: [][]string{{"ns/gw:80"}, {"ns/gw:8080"}},
		},
		{
			name: "an HTTPS listener is a filter chain",
			gw:   gatewayFacts(listener("a", "HTTPS", 443, "a.example", "s"), listener("any", "HTTPS", 443, "", "s")),
			want: `[{name: "ns/gw:443", filterChains: [
				{name: a, filterChainMatch: {transportProtocol: tls, serverNames: [a.example]}},
				{name: any, filterChainMatch: {transportProtocol: tls}}]}]`,
			tables: [][]string{{"ns/gw:443/a", "ns/gw:443/any"}},
		},
		{
			name: "listeners that don't serve",
			gw: gatewayFacts(
				bad(func(l *graph.ListenerFacts) { l.Conflict = problem }),
				bad(func(l *graph.ListenerFacts) { l.Unaccepted = problem }),
				bad(func(l *graph.ListenerFacts) { l.Unprogrammed = problem }),
				listener("ok", "HTTP", 8080, "")),
			want:   `[{name: "ns/gw:8080", filterChains: [{name: http}]}]`,
			tables: [][]string{{"ns/gw:8080"}},
		},
		{name: "no listeners", gw: gatewayFacts()},
		{name: "unaccepted", gw: func() *graph.GatewayFacts {
			gw := gatewayFacts(listener("a", "HTTP", 80, ""))
			gw.Unaccepted = problem
			return gw
		}()},
		{name: "unprogrammed", gw: func() *graph.GatewayFacts {
			gw := gatewayFacts(listener("a", "HTTP", 80, ""))
			gw.Unprogrammed = problem
			return gw
		}()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, tables := listeners(t, tt.gw)
			expect(t, got, tt.want,
				protocmp.IgnoreFields(&listenerv3.Listener{}, "address", "per_connection_buffer_limit_bytes", "listener_filters"),
				protocmp.IgnoreFields(&listenerv3.FilterChain{}, "filters", "transport_socket"))
			if !slices.EqualFunc(tables, tt.tables, slices.Equal) {
				t.Errorf("tables %q", tables)
			}
			for _, l := range got {
				if hasTLS := l.FilterChains[0].TransportSocket != nil; hasTLS != (len(l.ListenerFilters) == 1) {
					t.Errorf("%s: TLS %t, listener filters %v", l.Name, hasTLS, l.ListenerFilters)
				}
			}
		})
	}
}

func TestListenerAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		addresses []string
		want      string
	}{
		{nil, `[{address: {socketAddress: {address: "::", portValue: 80, ipv4Compat: true}}}]`},
		{[]string{"10.0.0.1"}, `[{address: {socketAddress: {address: 10.0.0.1, portValue: 80}}}]`},
		{[]string{"10.0.0.1", "fd00::1"}, `[{address: {socketAddress: {address: 10.0.0.1, portValue: 80}},
			additionalAddresses: [{address: {socketAddress: {address: "fd00::1", portValue: 80}}}]}]`},
	} {
		gw := gatewayFacts(listener("a", "HTTP", 80, ""))
		gw.Addresses = tt.addresses
		got, _ := listeners(t, gw)
		expect(t, got, tt.want,
			protocmp.IgnoreFields(&listenerv3.Listener{}, "name", "per_connection_buffer_limit_bytes", "filter_chains"))
	}
}

func TestConnectionManager(t *testing.T) {
	t.Parallel()
	got, _ := listeners(t, gatewayFacts(listener("a", "HTTP", 80, "")))
	manager := &hcmv3.HttpConnectionManager{}
	if err := got[0].FilterChains[0].Filters[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
		t.Fatal(err)
	}
	expect(t, []*hcmv3.HttpConnectionManager{manager}, `[{
		statPrefix: "ns/gw:80",
		rds: {configSource: {ads: {}, resourceApiVersion: V3}, routeConfigName: "ns/gw:80"},
		httpFilters: [{name: envoy.filters.http.cors, disabled: true, typedConfig: {
			"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}, {
			name: envoy.filters.http.ext_authz, disabled: true, typedConfig: {
			"@type": type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher,
			extensionConfig: {name: envoy.filters.http.composite, typedConfig: {
			"@type": type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite}}}}, {
			name: envoy.filters.http.stateful_session, disabled: true, typedConfig: {
			"@type": type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSession}}, {
			name: envoy.filters.http.router, typedConfig: {
			"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, suppressEnvoyHeaders: true}}],
		useRemoteAddress: true, internalAddressConfig: {},
		normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: UNESCAPE_AND_REDIRECT,
		commonHttpProtocolOptions: {idleTimeout: 3600s, headersWithUnderscoresAction: REJECT_REQUEST},
		http2ProtocolOptions: {maxConcurrentStreams: 100, initialStreamWindowSize: 65536, initialConnectionWindowSize: 1048576},
		streamIdleTimeout: 300s, requestHeadersTimeout: 10s,
		serverHeaderTransformation: PASS_THROUGH,
		upgradeConfigs: [{upgradeType: websocket, enabled: false}]}]`)
}
