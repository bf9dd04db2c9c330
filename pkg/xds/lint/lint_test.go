package lint

import (
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// A Gateway's resources that are as they should be. Each test changes something in them.
const (
	goodListener = `
name: gateway
address: {socketAddress: {address: 127.0.0.1, portValue: 80}}
filterChains:
- name: https
  filterChainMatch: {transportProtocol: tls, serverNames: [a.example.com]}
  filters:
  - name: hcm
    typedConfig:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      statPrefix: gateway
      rds: {routeConfigName: table, configSource: {ads: {}}}
      httpFilters: [{name: router, typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  transportSocket:
    name: tls
    typedConfig:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
      commonTlsContext: {tlsCertificateSdsSecretConfigs: [{name: certificate, sdsConfig: {ads: {}}}]}
- name: tcp
  filters:
  - name: tcp
    typedConfig:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      statPrefix: gateway
      cluster: backend
`
	goodRoutes = `
name: table
virtualHosts:
- {name: a, domains: [a.example.com], routes: [{name: r, match: {prefix: /}, route: {cluster: backend}}]}
- {name: any, domains: ["*"], routes: [{name: r, match: {prefix: /}, route: {cluster: absent}}]}
`
	goodCluster   = `{name: backend, type: EDS, edsClusterConfig: {edsConfig: {ads: {}}, serviceName: endpoints}}`
	goodEndpoints = `{clusterName: endpoints}`
	goodSecret    = `{name: certificate, tlsCertificate: {certificateChain: {filename: c}, privateKey: {filename: k}}}`
)

// parse reads a message. It doesn't look into Anys whose type isn't known: they are left as they are.
func parse[M proto.Message](t *testing.T, m M, text string) M {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func good(t *testing.T) *Snapshot {
	t.Helper()
	return &Snapshot{
		Listeners: []*listenerv3.Listener{parse(t, &listenerv3.Listener{}, goodListener)},
		Routes:    []*routev3.RouteConfiguration{parse(t, &routev3.RouteConfiguration{}, goodRoutes)},
		Clusters:  []*clusterv3.Cluster{parse(t, &clusterv3.Cluster{}, goodCluster)},
		Endpoints: []*endpointv3.ClusterLoadAssignment{parse(t, &endpointv3.ClusterLoadAssignment{}, goodEndpoints)},
		Secrets:   []*tlsv3.Secret{parse(t, &tlsv3.Secret{}, goodSecret)},
		Absent:    []string{"absent"},
	}
}

func findings(s *Snapshot) []string {
	lines := []string{}
	for _, f := range s.Check() {
		lines = append(lines, strings.ReplaceAll(f.String(), "\u00a0", " ")) // protobuf varies its messages
	}
	return lines
}

func TestCheck(t *testing.T) {
	t.Parallel()
	first := func(s *Snapshot) *routev3.VirtualHost { return s.Routes[0].VirtualHosts[0] }
	for name, test := range map[string]struct {
		change func(s *Snapshot)
		want   []string
	}{
		"good": {func(*Snapshot) {}, []string{}},
		"a domain twice, in whatever case": {
			func(s *Snapshot) { s.Routes[0].VirtualHosts[1].Domains = []string{"*", "A.example.com"} },
			[]string{`duplicate-domain: RouteConfiguration table.virtual_hosts: "a.example.com" is a domain of virtual hosts "a" and "any"`},
		},
		"two virtual hosts of a name": {
			func(s *Snapshot) { s.Routes[0].VirtualHosts[1].Name = "a" },
			[]string{`duplicate-name: RouteConfiguration table.virtual_hosts: two virtual hosts are named "a"`},
		},
		"two resources of a name": {
			func(s *Snapshot) { s.Clusters = append(s.Clusters, s.Clusters[0]) },
			[]string{`duplicate-name: Cluster backend: another Cluster has this name`},
		},
		"a route behind another one": {
			func(s *Snapshot) {
				later := proto.CloneOf(first(s).Routes[0])
				later.Name = "later"
				first(s).Routes = append(first(s).Routes, later)
			},
			[]string{`unreachable-route: RouteConfiguration table.virtual_hosts[0]: route "r" takes all requests of route "later"`},
		},
		"an expression that isn't RE2": {
			func(s *Snapshot) {
				first(s).Routes[0].Match = parse(t, &routev3.RouteMatch{}, `{safeRegex: {regex: "(?=a)"}}`)
			},
			[]string{"bad-regex: RouteConfiguration table.virtual_hosts[0].routes[0].match.safe_regex.regex: error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
		},
		"two rewrites": {
			func(s *Snapshot) {
				first(s).Routes[0].GetRoute().PrefixRewrite = "/b"
				parse(t, first(s).Routes[0].GetRoute(), `{cluster: backend, prefixRewrite: /b, regexRewrite: {pattern: {regex: a}, substitution: b}}`)
			},
			[]string{"two-rewrites: RouteConfiguration table.virtual_hosts[0].routes[0].route: of prefix_rewrite, regex_rewrite and path_rewrite_policy only one can be set"},
		},
		"a value that Envoy refuses": {
			func(s *Snapshot) {
				parse(t, first(s), `{name: a, domains: [a.example.com], routes: [{name: r, match: {prefix: /}, route: {cluster: backend}}], requestHeadersToRemove: ["a b\n"]}`)
			},
			[]string{`invalid: RouteConfiguration table: invalid RouteConfiguration.VirtualHosts[0]: embedded message failed validation | caused by: invalid VirtualHost.RequestHeadersToRemove[0]: value does not match regex pattern "^[^\x00\n\r]*$"`},
		},
		"a message that Envoy can't know": {
			func(s *Snapshot) {
				s.Listeners[0].FilterChains[1].Filters[0].GetTypedConfig().TypeUrl = "type.googleapis.com/a.b"
			},
			[]string{`unknown-type: Listener gateway.filter_chains[1].filters[0].typed_config: type.googleapis.com/a.b: proto: not found`},
		},
		"a message that can't be decoded": {
			func(s *Snapshot) {
				s.Listeners[0].FilterChains[1].Filters[0].GetTypedConfig().Value = []byte{1}
			},
			[]string{`unknown-type: Listener gateway.filter_chains[1].filters[0].typed_config: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy: proto: cannot parse invalid wire-format data`},
		},
		"a deprecated field": {
			func(s *Snapshot) {
				parse(t, first(s).Routes[0].Match, `{prefix: /, headers: [{name: a, exactMatch: b}]}`)
			},
			[]string{`deprecated: RouteConfiguration table.virtual_hosts[0].routes[0].match.headers[0].exact_match: the field is deprecated`},
		},
		"filter chains alike": {
			func(s *Snapshot) { s.Listeners[0].FilterChains[0].FilterChainMatch = nil },
			[]string{`duplicate-match: Listener gateway.filter_chains[1]: it matches what filter chain "https" does`},
		},
		"two listeners of an address": {
			func(s *Snapshot) {
				s.Listeners = append(s.Listeners, parse(t, &listenerv3.Listener{}, `{name: other, address: {socketAddress: {address: 127.0.0.1, portValue: 80}}, filterChains: [{}]}`))
			},
			[]string{`duplicate-address: Listener other.address: TCP 127.0.0.1:80 is the address of listener "gateway" too`},
		},
		"nothing published": {
			func(s *Snapshot) { s.Routes, s.Clusters, s.Endpoints, s.Secrets = nil, nil, nil, nil },
			[]string{
				`dangling: Listener gateway.filter_chains[0].filters[0].typed_config.(envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager).rds.route_config_name: RouteConfiguration table is not published`,
				`dangling: Listener gateway.filter_chains[0].transport_socket.typed_config.(envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext).common_tls_context.tls_certificate_sds_secret_configs[0].name: Secret certificate is not published`,
				`dangling: Listener gateway.filter_chains[1].filters[0].typed_config.(envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy).cluster: Cluster backend is not published`,
			},
		},
		"nothing used": {
			func(s *Snapshot) { s.Listeners, s.Routes, s.Clusters = nil, nil, nil },
			[]string{`unused: ClusterLoadAssignment endpoints: nothing refers to it`},
		},
		"an absent cluster isn't said to be": {
			func(s *Snapshot) { s.Absent = nil },
			[]string{`dangling: RouteConfiguration table.virtual_hosts[1].routes[0].route.cluster: Cluster absent is not published`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good(t)
			test.change(s)
			got := findings(s)
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// ofMessage returns what is wrong with a message by itself.
func ofMessage(m proto.Message) []string {
	c := &check{filters: map[string]map[string]bool{}}
	w := &walk{check: c}
	w.message(m)
	lines := []string{}
	for _, f := range c.findings {
		lines = append(lines, f.String())
	}
	return lines
}

// gRPC clients are served fields that Envoy has deprecated, since older ones know no others.
func TestProxyless(t *testing.T) {
	t.Parallel()
	s := &Snapshot{Listeners: []*listenerv3.Listener{parse(t, &listenerv3.Listener{}, `
name: color.faces:80
apiListener:
  apiListener:
    "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
    statPrefix: mesh
    routeConfig:
      name: table
      virtualHosts:
      - name: a
        domains: ["*"]
        routes: [{match: {prefix: /, headers: [{name: a, exactMatch: b}]}, directResponse: {status: 503}}]
    httpFilters: [{name: router, typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
`)}}
	if got := findings(s); len(got) > 0 {
		t.Errorf("findings: %q", got)
	}
}
