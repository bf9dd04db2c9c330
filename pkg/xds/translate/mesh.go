//lint:file-ignore SA1019 proxyless clients are served deprecated forms of header matchers, which all versions of gRPC take

package translate

import (
	"fmt"
	"net/http"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// clusterDomain is the DNS domain of Services where nobody chose another.
const clusterDomain = "cluster.local"

// MeshListeners returns what proxyless gRPC clients ask for when they dial a port of a Service, "xds:///color.faces:80":
// one API listener for each name that the port goes by, the clusters that their routes use, sorted, and the one of the rules that
// fail, or nil if none does.
//
// gRPC executes a part of what Envoy does, and refuses a whole resource for some of the rest:
//   - Matches on what a gRPC request never has, a method other than POST or query parameters, are left out: they cannot hold.
//   - Mirrors are left out. A rule with another filter (graph.RuleFacts.NeedsProxy) fails (UNAVAILABLE), because no client
//     could execute it and it must not be skipped.
//   - Ports whose connections a BackendTLSPolicy rules are not connected to: calls to them fail (UNAVAILABLE), because a
//     client that isn't made with credentials of xDS would send in plaintext.
//   - Both timeouts bound the call with all its tries: clients know no time limit of a try.
//   - Retries are made of calls that are UNAVAILABLE, whatever their rule says.
func MeshListeners(m *graph.MeshHostFacts) ([]*listenerv3.Listener, []ClusterKey, *EmptyCluster) {
	to := &meshClusters{clusterSet{}, m.Key.String() + meshUnresolved, originOf(m.Key.Key), false}
	vh := &routev3.VirtualHost{Name: m.Key.String(), Domains: []string{"*"}} // the listener's name has chosen already
	for _, c := range candidates(m.Routes, "") {
		vh.Routes = append(vh.Routes, meshRoutes(c, to)...)
	}
	if len(m.Routes) == 0 {
		itself := to.fail
		if !m.TLS {
			itself = func() string { return to.use(ClusterKey{BackendKey: m.Key}) }
		}
		everything := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
		vh.Routes = []*routev3.Route{meshRoute("service/"+m.Key.String(), everything, nil, itself())} // the listener says whose it is
	}
	manager := packed(&hcmv3.HttpConnectionManager{
		StatPrefix: m.Key.String(),
		// Inline: a change of routes reaches a client in one resource, and at once.
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name:         meshRoutesName(m),
			VirtualHosts: []*routev3.VirtualHost{vh},
		}},
		HttpFilters: []*hcmv3.HttpFilter{routerFilter(&routerv3.Router{})},
	})
	metadata := to.origin.metadata()
	var listeners []*listenerv3.Listener
	for _, name := range meshNames(m.Key) {
		listeners = append(listeners, &listenerv3.Listener{Name: name, Metadata: metadata, ApiListener: &listenerv3.ApiListener{ApiListener: manager}})
	}
	return listeners, to.sorted(), to.empty()
}

// EmptyCluster is a cluster without endpoints.
type EmptyCluster struct {
	Cluster   *clusterv3.Cluster
	Endpoints *endpointv3.ClusterLoadAssignment
}

// meshClusters collects the clusters that the routes of a host use. Invalid backends are one without endpoints, to which calls are
// UNAVAILABLE. Unlike Envoys, gRPC clients need that it exists, or they would wait for it before they send anything.
type meshClusters struct {
	clusterSet
	unresolved string
	origin     Origin // of the host
	fails      bool   // something uses it
}

// fail returns the name of the cluster of invalid backends.
func (c *meshClusters) fail() string {
	c.fails = true
	return c.unresolved
}

// empty returns the cluster of invalid backends, or nil if there are none.
func (c *meshClusters) empty() *EmptyCluster {
	if !c.fails {
		return nil
	}
	return &EmptyCluster{
		&clusterv3.Cluster{
			Name:                 c.unresolved,
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
			EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: adsSource(), ServiceName: c.unresolved},
			LbPolicy:             clusterv3.Cluster_ROUND_ROBIN,
			Metadata:             c.origin.metadata(),
		},
		&endpointv3.ClusterLoadAssignment{ClusterName: c.unresolved},
	}
}

// meshRoutesName names the routes of a host of the mesh, "mesh/namespace/service:port", or "mesh/name/namespace/service:port"
// where the mesh has a name. Clients log it, and tell it to who asks them for what they are configured by (CSDS).
func meshRoutesName(m *graph.MeshHostFacts) string {
	name := "mesh/"
	if m.Mesh != "" {
		name += m.Mesh + "/"
	}
	return name + m.Key.String()
}

// meshNames returns the names by which clients of other namespaces know a port of a Service.
func meshNames(key graph.BackendKey) []string {
	host := key.Name + "." + key.Namespace
	return []string{
		fmt.Sprintf("%s:%d", host, key.Port),
		fmt.Sprintf("%s.svc:%d", host, key.Port),
		fmt.Sprintf("%s.svc.%s:%d", host, clusterDomain, key.Port),
	}
}

// meshRoutes returns the routes of a match in the forms that gRPC clients take.
func meshRoutes(c candidate, to *meshClusters) []*routev3.Route {
	var out []*routev3.Route
	s := split(c.rule)
	for _, m := range meshMatches(c.match) {
		if m.ValidateAll() != nil {
			continue // see gatewayRoutes
		}
		if c.facts.Failing != nil || c.facts.NeedsProxy != nil || len(s.valid) == 0 {
			out = append(out, meshRoute(c.name, m, c.metadata, to.fail()))
			continue
		}
		out = append(out, &routev3.Route{Name: c.name, Match: m, Metadata: c.metadata, Action: &routev3.Route_Route{Route: meshAction(c.rule, s, to)}})
	}
	return out
}

// meshRoute forwards to a cluster. Those that fail calls do, too: gRPC's implementations in Java and JavaScript refuse a whole
// resource for a direct response.
func meshRoute(name string, m *routev3.RouteMatch, metadata *corev3.Metadata, cluster string) *routev3.Route {
	return &routev3.Route{Name: name, Match: m, Metadata: metadata, Action: &routev3.Route_Route{
		Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}},
	}}
}

func meshAction(r *rule, s backendSplit, to *meshClusters) *routev3.RouteAction {
	action := &routev3.RouteAction{}
	// Not HTTP/2 explicitly, whatever the route's kind: gRPC clients speak nothing else, and read no protocol options.
	s.weighted(action, connector{}, to.clusterSet)
	action.ClusterNotFoundResponseCode = 0 // nor this
	if weighted := action.GetWeightedClusters(); weighted != nil {
		for _, w := range weighted.Clusters {
			if w.Name == UnresolvedCluster {
				w.Name = to.fail()
			}
		}
		// Envoy needs it no more. gRPC in C++ and Go until 2023, and in JavaScript until 2026, took it for 100 if it wasn't set, and
		// the former two refused what wasn't the sum.
		weighted.TotalWeight = wrapperspb.UInt32(s.weight + s.invalid)
	}
	limit, _ := duration(r.timeouts.Request)
	if backendRequest, _ := duration(r.timeouts.BackendRequest); limit == 0 || backendRequest > 0 && backendRequest < limit {
		limit = backendRequest
	}
	if limit > 0 {
		action.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(limit)}
	}
	action.RetryPolicy = meshRetryPolicy(r)
	return action
}

// meshMatches returns a match in the forms that gRPC clients take: two for a prefix of path elements, which they don't
// know, and none if no gRPC request can match.
func meshMatches(m *match) []*routev3.RouteMatch {
	if m.method != "" && m.method != http.MethodPost || len(m.query) > 0 {
		return nil
	}
	paths := []pathMatch{m.path}
	if m.path.form == pathSegments && m.path.value != "" {
		paths = m.path.apart()
	}
	var out []*routev3.RouteMatch
	for _, path := range paths {
		if path.form == pathRegex {
			path.value = meshRegex(path.value)
		}
		rm := path.envoy()
		for _, h := range m.headers {
			rm.Headers = append(rm.Headers, meshHeaderMatcher(h))
		}
		out = append(out, rm)
	}
	return out
}

// meshHeaderMatcher uses the fields that string_match has replaced in Envoy: gRPC's C++ core refused the latter until 2023.
func meshHeaderMatcher(h valueMatch) *routev3.HeaderMatcher {
	out := &routev3.HeaderMatcher{Name: h.name}
	if h.regex {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_SafeRegexMatch{SafeRegexMatch: regex(meshRegex(h.value))}
	} else {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_ExactMatch{ExactMatch: h.value}
	}
	return out
}

// meshRegex groups alternatives: gRPC's implementation in JavaScript anchors the first of them at its start and the last at its end,
// and no other.
func meshRegex(expression string) string {
	if !strings.Contains(expression, "|") {
		return expression
	}
	return segmentRegex(expression)
}
