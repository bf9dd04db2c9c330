package app

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/client"
)

// httpProtocolOptions is the key of HttpProtocolOptions in Cluster.typed_extension_protocol_options.
const httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// none stands in a cell for something that is not there.
const none = "-"

// table is a titled section with rows of cells, the first of which is the header.
type table struct {
	title string
	rows  [][]string
}

// printTables prints what matters of a snapshot, for people.
func printTables(w io.Writer, s *client.Snapshot) error {
	tables := []table{
		{"LISTENERS", listenerRows(s.Listeners)},
		{"ROUTES", routeRows(append(inlineRoutes(s.Listeners), s.Routes...))},
		{"CLUSTERS", clusterRows(s.Clusters, streamProtocols(s.Listeners))},
		{"ENDPOINTS", endpointRows(append(slices.Clip(s.Endpoints), inlineEndpoints(s.Clusters)...))},
	}
	if len(s.Missing) > 0 {
		rows := [][]string{{"TYPE", "NAME"}}
		for _, r := range s.Missing {
			rows = append(rows, []string{r.Type, r.Name})
		}
		tables = append(tables, table{"MISSING (the others refer to it, the server does not have it)", rows})
	}
	for i, t := range tables {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, t.title)
		if len(t.rows) == 1 {
			fmt.Fprintln(w, "none")
			continue
		}
		out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
		for _, row := range t.rows {
			fmt.Fprintln(out, strings.Join(row, "\t"))
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// listenerRows has a row per filter chain, which is one per set of TLS server names. A UDP listener has no filter chains.
func listenerRows(listeners []*listenerv3.Listener) [][]string {
	rows := [][]string{{"NAME", "ADDRESS", "PORT", "TLS", "ROUTE TABLE OR CLUSTERS"}}
	for _, l := range listeners {
		if api := l.GetApiListener(); api != nil {
			rows = append(rows, []string{l.GetName(), none, none, none, routeTable(api.GetApiListener())})
			continue
		}
		addresses := l.GetAddress().GetSocketAddress().GetAddress()
		for _, more := range l.GetAdditionalAddresses() {
			addresses += "," + more.GetAddress().GetSocketAddress().GetAddress()
		}
		port := strconv.Itoa(int(l.GetAddress().GetSocketAddress().GetPortValue()))
		if l.GetAddress().GetSocketAddress().GetProtocol() == corev3.SocketAddress_UDP {
			rows = append(rows, []string{l.GetName(), addresses, port + "/udp", none, cmp.Or(udpCluster(l), none)})
			continue
		}
		for _, chain := range chainsOf(l) {
			rows = append(rows, []string{l.GetName(), addresses, port, chainTLS(chain), chainTarget(chain)})
		}
	}
	return rows
}

// chainsOf returns the filter chains of a listener, with the one for connections that no other matches as the last.
func chainsOf(l *listenerv3.Listener) []*listenerv3.FilterChain {
	chains := l.GetFilterChains()
	if fallback := l.GetDefaultFilterChain(); fallback != nil {
		chains = append(slices.Clip(chains), fallback)
	}
	return chains
}

// chainTLS shows the server names that a chain answers and the certificates that it presents.
func chainTLS(chain *listenerv3.FilterChain) string {
	match := chain.GetFilterChainMatch()
	names := cmp.Or(strings.Join(match.GetServerNames(), ","), "*")
	switch {
	case chain.GetTransportSocket() != nil:
	case match.GetTransportProtocol() == "tls" || len(match.GetServerNames()) > 0:
		return names + " (passed through)"
	default:
		return none
	}
	var context tlsv3.DownstreamTlsContext
	if err := chain.GetTransportSocket().GetTypedConfig().UnmarshalTo(&context); err != nil {
		return names + " (" + chain.GetTransportSocket().GetName() + ")"
	}
	var secrets []string
	for _, secret := range context.GetCommonTlsContext().GetTlsCertificateSdsSecretConfigs() {
		secrets = append(secrets, secret.GetName())
	}
	return names + " (" + strings.Join(secrets, ",") + ")"
}

// chainTarget is where a chain leads: the route table of HTTP, or the clusters of TCP.
func chainTarget(chain *listenerv3.FilterChain) string {
	for _, filter := range chain.GetFilters() {
		if name := routeTable(filter.GetTypedConfig()); name != none {
			return name
		}
	}
	return cmp.Or(strings.Join(tcpClusters(chain, true), ", "), none)
}

// routeTable is the name of the route table of a connection manager.
func routeTable(packed *anypb.Any) string {
	manager := connectionManager(packed)
	if inline := manager.GetRouteConfig(); inline != nil {
		return cmp.Or(inline.GetName(), "inline")
	}
	return cmp.Or(manager.GetRds().GetRouteConfigName(), none)
}

// connectionManager is what is packed, or nil if that is something else.
func connectionManager(packed *anypb.Any) *hcmv3.HttpConnectionManager {
	var manager hcmv3.HttpConnectionManager
	if err := packed.UnmarshalTo(&manager); err != nil {
		return nil
	}
	return &manager
}

// inlineRoutes returns the route tables that listeners carry in themselves, as those of proxyless clients do.
func inlineRoutes(listeners []*listenerv3.Listener) []*routev3.RouteConfiguration {
	var out []*routev3.RouteConfiguration
	add := func(packed *anypb.Any) {
		if inline := connectionManager(packed).GetRouteConfig(); inline != nil {
			out = append(out, inline)
		}
	}
	for _, l := range listeners {
		add(l.GetApiListener().GetApiListener())
		for _, chain := range chainsOf(l) {
			for _, filter := range chain.GetFilters() {
				add(filter.GetTypedConfig())
			}
		}
	}
	return out
}

// routeRows has a row per route, in the order in which Envoy tries them.
func routeRows(tables []*routev3.RouteConfiguration) [][]string {
	rows := [][]string{{"TABLE", "HOST", "MATCH", "ACTION", "TIMEOUTS", "NAME"}}
	for _, t := range tables {
		for _, host := range t.GetVirtualHosts() {
			domains := strings.Join(host.GetDomains(), ",")
			for _, r := range host.GetRoutes() {
				rows = append(rows, []string{
					t.GetName(), domains, routeMatch(r.GetMatch()), routeAction(r), routeTimeouts(r.GetRoute()), cmp.Or(r.GetName(), none),
				})
			}
			if len(host.GetRoutes()) == 0 {
				rows = append(rows, []string{t.GetName(), domains, none, "404", none, none})
			}
		}
	}
	return rows
}

// clusterRows has a row per cluster. To those in streams, a stream of that protocol is sent as it is.
func clusterRows(clusters []*clusterv3.Cluster, streams map[string]string) [][]string {
	rows := [][]string{{"NAME", "TYPE", "PROTOCOL"}}
	for _, c := range clusters {
		rows = append(rows, []string{c.GetName(), clusterType(c), clusterProtocol(c, streams[c.GetName()])})
	}
	return rows
}

// clusterType is EDS or the like, for an extension as for those that Envoy has built in: envoy.cluster.dns is DNS.
func clusterType(c *clusterv3.Cluster) string {
	if extension := c.GetClusterType(); extension != nil {
		return strings.ToUpper(strings.TrimPrefix(extension.GetName(), "envoy.cluster."))
	}
	return c.GetType().String()
}

// clusterProtocol tells what is spoken to the endpoints: TCP or UDP for a stream, and else HTTP, of which Envoy speaks
// HTTP/1.1 where nothing is said.
func clusterProtocol(c *clusterv3.Cluster, stream string) string {
	protocol := cmp.Or(stream, "HTTP/1.1")
	var options httpv3.HttpProtocolOptions
	if packed := c.GetTypedExtensionProtocolOptions()[httpProtocolOptions]; packed != nil && packed.UnmarshalTo(&options) == nil {
		switch {
		case options.GetExplicitHttpConfig().GetHttp2ProtocolOptions() != nil:
			protocol = "HTTP/2"
		case options.GetExplicitHttpConfig().GetHttp3ProtocolOptions() != nil:
			protocol = "HTTP/3"
		case options.GetUseDownstreamProtocolConfig() != nil:
			protocol = "as the client's"
		case options.GetAutoConfig() != nil:
			protocol = "negotiated"
		}
	}
	if c.GetTransportSocket() != nil || len(c.GetTransportSocketMatches()) > 0 {
		protocol += " over TLS"
	}
	return protocol
}

func endpointRows(assignments []*endpointv3.ClusterLoadAssignment) [][]string {
	rows := [][]string{{"CLUSTER", "ADDRESS", "ZONE", "HEALTH", "WEIGHT"}}
	for _, a := range assignments {
		before := len(rows)
		for _, locality := range a.GetEndpoints() {
			zone := cmp.Or(locality.GetLocality().GetZone(), none)
			for _, e := range locality.GetLbEndpoints() {
				weight := none
				if e.GetLoadBalancingWeight() != nil {
					weight = strconv.Itoa(int(e.GetLoadBalancingWeight().GetValue()))
				}
				rows = append(rows, []string{a.GetClusterName(), endpointAddress(e), zone, health(e.GetHealthStatus()), weight})
			}
		}
		if len(rows) == before {
			rows = append(rows, []string{a.GetClusterName(), "none", none, none, none})
		}
	}
	return rows
}

func endpointAddress(e *endpointv3.LbEndpoint) string {
	if address := e.GetEndpoint().GetAddress().GetSocketAddress(); address != nil {
		return net.JoinHostPort(address.GetAddress(), strconv.Itoa(int(address.GetPortValue())))
	}
	return cmp.Or(e.GetEndpoint().GetAddress().GetPipe().GetPath(), none)
}

// health shows UNKNOWN as what Envoy makes of it (envoy.config.core.v3.HealthStatus).
func health(status corev3.HealthStatus) string {
	if status == corev3.HealthStatus_UNKNOWN {
		status = corev3.HealthStatus_HEALTHY
	}
	return strings.ToLower(status.String())
}
