package translate

import (
	"net/netip"
	"slices"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func TestOutbound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		facts graph.SidecarFacts
		want  []string
	}{
		{graph.SidecarFacts{}, []string{"127.0.0.1"}},
		{graph.SidecarFacts{IPv6: true}, []string{"127.0.0.1", "::1"}},
	} {
		var bound, names []string
		for _, l := range Outbound(tt.facts) {
			validate(t, l)
			names, bound = append(names, l.Name), append(bound, l.GetAddress().GetSocketAddress().GetAddress())
			if !l.GetUseOriginalDst().GetValue() || l.GetAddress().GetSocketAddress().GetPortValue() != 15001 || len(l.AdditionalAddresses) > 0 {
				t.Errorf("%v", l)
			}
			if cluster := proxiedTo(t, l.DefaultFilterChain); cluster != Passthrough().GetName() {
				t.Errorf("what is for no listener goes to %s", cluster)
			}
			own := l.FilterChains[0].GetFilterChainMatch()
			ip, ranges := netip.MustParseAddr(l.GetAddress().GetSocketAddress().GetAddress()), own.GetPrefixRanges()
			if len(l.FilterChains) != 1 || len(l.FilterChains[0].Filters) > 0 || own.GetDestinationPort().GetValue() != 15001 ||
				ranges[0].GetAddressPrefix() != ip.String() || int(ranges[0].GetPrefixLen().GetValue()) != ip.BitLen() {
				t.Errorf("what is for the listener itself isn't closed: %v", l.FilterChains)
			}
		}
		if !slices.Equal(bound, tt.want) || names[0] != "outbound" || len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
			t.Errorf("%+v: listeners %q at %q, want %q", tt.facts, names, bound, tt.want)
		}
	}
	validate(t, Passthrough())
	if c := Passthrough(); c.GetType() != clusterv3.Cluster_ORIGINAL_DST || c.GetLbPolicy() != clusterv3.Cluster_CLUSTER_PROVIDED {
		t.Errorf("%v", c)
	}
}

// proxiedTo returns the cluster that a filter chain sends connections to without reading them; empty if it reads them.
func proxiedTo(t *testing.T, chain *listenerv3.FilterChain) string {
	t.Helper()
	proxy := &tcpproxyv3.TcpProxy{}
	if packed := chain.GetFilters()[0].GetTypedConfig(); packed.MessageIs(proxy) {
		if err := packed.UnmarshalTo(proxy); err != nil {
			t.Fatal(err)
		}
		if proxy.GetIdleTimeout() == nil || proxy.GetIdleTimeout().AsDuration() != 0 {
			t.Errorf("connections that pass through are ended after %v of silence", proxy.GetIdleTimeout())
		}
	}
	return proxy.GetCluster()
}

func TestSidecarListener(t *testing.T) {
	t.Parallel()
	m := &graph.MeshHostFacts{
		Key: service("color", 8080), Mesh: "prod", Addresses: []string{"10.0.0.7", "fd00::7"},
		Routes: []*graph.RouteFacts{httpRoute(t, "h", `{rules: [{backendRefs: [{name: a, port: 80}]}]}`)},
	}
	host := NewSidecarHost(m)
	l := host.Listener
	validate(t, l, host.Routes)
	var addresses []string
	addresses = append(addresses, l.GetAddress().GetSocketAddress().GetAddress())
	for _, a := range l.GetAdditionalAddresses() {
		addresses = append(addresses, a.GetAddress().GetSocketAddress().GetAddress())
		if a.GetAddress().GetSocketAddress().GetPortValue() != 8080 {
			t.Errorf("at port %d", a.GetAddress().GetSocketAddress().GetPortValue())
		}
	}
	if l.Name != "ns/color:8080" || !slices.Equal(addresses, m.Addresses) || l.GetAddress().GetSocketAddress().GetPortValue() != 8080 {
		t.Errorf("listener %s at %q, port %d", l.Name, addresses, l.GetAddress().GetSocketAddress().GetPortValue())
	}
	if l.BindToPort == nil || l.BindToPort.GetValue() {
		t.Error("it binds the address of a Service, which is no host's")
	}
	tls, http := l.FilterChains[0], l.FilterChains[1]
	if tls.GetFilterChainMatch().GetTransportProtocol() != "tls" || proxiedTo(t, tls) != Passthrough().GetName() || proxiedTo(t, http) != "" {
		t.Errorf("%v", l.FilterChains)
	}
	manager := &hcmv3.HttpConnectionManager{}
	if err := http.GetFilters()[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
		t.Fatal(err)
	}
	if name := manager.GetRds().GetRouteConfigName(); name != host.Routes.GetName() || name != "mesh/prod/ns/color:8080" {
		t.Errorf("routes %q are asked for, and are named %q", name, host.Routes.GetName())
	}
	if manager.GetUseRemoteAddress().GetValue() || manager.GetGenerateRequestId() == nil || manager.GetGenerateRequestId().GetValue() ||
		manager.GetNormalizePath() != nil || manager.GetStreamIdleTimeout().AsDuration() != 0 {
		t.Errorf("it changes what no route says: %v", manager)
	}

	// A change of routes leaves the listener, and with it connections, as they are.
	m.Routes = []*graph.RouteFacts{httpRoute(t, "i", `{rules: [{backendRefs: [{name: b, port: 80}]}]}`)}
	checkEqual(t, l, NewSidecarHost(m).Listener)

	for what, m := range map[string]*graph.MeshHostFacts{
		"no routes":  {Key: m.Key, Addresses: m.Addresses},
		"no address": {Key: m.Key, Routes: m.Routes},
	} {
		if NewSidecarHost(m) != nil {
			t.Errorf("with %s, something is in the way", what)
		}
	}
}

// TestSidecarRoutes: what Gateways execute, sidecars do, whatever name the Service is called by.
func TestSidecarRoutes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		port     int32
		http     string
		grpc     string
		routes   string
		clusters []string
	}{
		{
			name:   "hostnames say nothing",
			http:   `{hostnames: [color.example.com], rules: [{backendRefs: [{name: a, port: 80}]}]}`,
			routes: `[{match: {prefix: /}, route: {cluster: "ns/a:80", timeout: 0s}}]`, clusters: []string{"ns/a:80"},
		},
		{
			name: "matches that proxyless clients never have, and a rewrite",
			http: `{rules: [{matches: [{path: {value: /a}, method: GET, queryParams: [{name: q, value: v}]}], backendRefs: [{name: a, port: 80}],
				filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]}`,
			routes: `[{match: {pathSeparatedPrefix: /a, headers: [{name: ":method", stringMatch: {exact: GET}}], queryParameters: [{name: q, stringMatch: {exact: v}}]},
				route: {cluster: "ns/a:80", timeout: 0s, prefixRewrite: /b}}]`,
			clusters: []string{"ns/a:80"},
		},
		{
			name:   "a redirect names the port of the Service",
			port:   8080,
			http:   `{rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 308}}]}]}`,
			routes: `[{match: {prefix: /}, redirect: {portRedirect: 8080, responseCode: PERMANENT_REDIRECT}}]`,
		},
		{
			name:   "and none if it is the scheme's",
			http:   `{rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org}}]}]}`,
			routes: `[{match: {prefix: /}, redirect: {hostRedirect: example.org, responseCode: FOUND}}]`,
		},
		{
			name: "gRPC",
			grpc: `{rules: [{matches: [{method: {service: foo.Bar}}], backendRefs: [{name: b, port: 80, weight: 7}, {name: missing, port: 80, weight: 3}]}]}`,
			routes: `[{match: {prefix: /foo.Bar/, grpc: {}}, route: {timeout: 0s, idleTimeout: 0s, weightedClusters: {clusters: [
				{name: "ns/b:80/http2", weight: 7}, {name: unresolved-backend, weight: 3}]}}}]`,
			clusters: []string{"ns/b:80/http2"},
		},
		{
			name:   "TLS, without the certificate of a Gateway",
			http:   `{rules: [{backendRefs: [{name: tls, port: 80}]}]}`,
			routes: `[{match: {prefix: /}, route: {cluster: "ns/tls:80", timeout: 0s}}]`, clusters: []string{"ns/tls:80"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			facts := &graph.MeshHostFacts{Key: service("color", 80), Addresses: []string{"10.0.0.7"}}
			if tt.port != 0 {
				facts.Key.Port = tt.port
			}
			if tt.http != "" {
				facts.Routes = append(facts.Routes, httpRoute(t, "h", tt.http))
			}
			if tt.grpc != "" {
				facts.Routes = append(facts.Routes, grpcRoute(t, "g", tt.grpc))
			}
			host := NewSidecarHost(facts)
			validate(t, host.Routes)
			if hosts := host.Routes.GetVirtualHosts(); len(hosts) != 1 || !slices.Equal(hosts[0].GetDomains(), []string{"*"}) {
				t.Fatalf("virtual hosts %v", hosts)
			}
			expect(t, host.Routes.GetVirtualHosts()[0].GetRoutes(), tt.routes, protocmp.IgnoreFields(&routev3.Route{}, "name"))
			var clusters []string
			for _, c := range host.Clusters {
				clusters = append(clusters, c.String())
			}
			if !slices.Equal(clusters, tt.clusters) {
				t.Errorf("clusters %q, want %q", clusters, tt.clusters)
			}
		})
	}
}
