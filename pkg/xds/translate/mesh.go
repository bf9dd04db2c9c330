//lint:file-ignore SA1019 proxyless clients are served deprecated forms of header matchers, which all versions of gRPC take

package translate

import (
	"fmt"
	"net/http"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// clusterDomain is the DNS domain of Services where nobody chose another.
const clusterDomain = "cluster.local"

// MeshListeners returns what proxyless gRPC clients ask for when they dial a port of a Service, "xds:///color.faces:80":
// one API listener for each name that the port goes by, and the clusters that their routes use, sorted.
//
// gRPC executes a part of what Envoy does, and refuses a whole resource for some of the rest:
//   - Matches on what a gRPC request never has, a method other than POST or query parameters, are left out: they cannot hold.
//   - Mirrors are left out. A rule with another filter (graph.RuleFacts.NeedsProxy) fails (UNAVAILABLE), because no client
//     could execute it and it must not be skipped.
//   - Ports whose connections a BackendTLSPolicy rules are not connected to: calls to them fail (UNAVAILABLE), because a
//     client that isn't made with credentials of xDS would send in plaintext.
//   - Both timeouts bound the call with all its tries: clients know no time limit of a try.
//   - Retries are made of calls that are UNAVAILABLE, whatever their rule says.
func MeshListeners(m *graph.MeshHostFacts) ([]*listenerv3.Listener, []ClusterKey) {
	clusters := clusterSet{}
	vh := &routev3.VirtualHost{Name: m.Key.String(), Domains: []string{"*"}} // the listener's name has chosen already
	for _, c := range candidates(m.Routes, "") {
		vh.Routes = append(vh.Routes, meshRoutes(c, clusters)...)
	}
	if len(m.Routes) == 0 && m.TLS {
		vh.Routes = []*routev3.Route{failingRoute("service/"+m.Key.String(), &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}})}
	} else if len(m.Routes) == 0 {
		vh.Routes = []*routev3.Route{{
			Name:  "service/" + m.Key.String(),
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{
				ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: clusters.use(ClusterKey{BackendKey: m.Key})},
			}},
		}}
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
	var listeners []*listenerv3.Listener
	for _, name := range meshNames(m.Key) {
		listeners = append(listeners, &listenerv3.Listener{Name: name, ApiListener: &listenerv3.ApiListener{ApiListener: manager}})
	}
	return listeners, clusters.sorted()
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
func meshRoutes(c candidate, clusters clusterSet) []*routev3.Route {
	var out []*routev3.Route
	s := split(c.rule)
	for _, m := range meshMatches(c.match) {
		if m.ValidateAll() != nil {
			continue // see gatewayRoutes
		}
		if c.facts.Failing != nil || c.facts.NeedsProxy != nil || len(s.valid) == 0 {
			out = append(out, failingRoute(c.name, m))
			continue
		}
		if s.invalid > 0 {
			// Not a cluster that doesn't exist, as with Envoy: a client would wait for it before it sends anything.
			some := proto.CloneOf(m)
			some.RuntimeFraction = runtimeFraction(fractionalPercent(int64(s.invalid), int64(s.invalid)+int64(s.weight)))
			out = append(out, failingRoute(c.name, some))
		}
		out = append(out, &routev3.Route{Name: c.name, Match: m, Action: &routev3.Route_Route{Route: meshAction(c.rule, s, clusters)}})
	}
	return out
}

// failingRoute fails calls with UNAVAILABLE: gRPC knows no action but forwarding, and says so to the caller.
func failingRoute(name string, m *routev3.RouteMatch) *routev3.Route {
	return &routev3.Route{Name: name, Match: m, Action: &routev3.Route_DirectResponse{
		DirectResponse: &routev3.DirectResponseAction{Status: http.StatusServiceUnavailable},
	}}
}

func meshAction(r *rule, s backendSplit, clusters clusterSet) *routev3.RouteAction {
	action := &routev3.RouteAction{}
	s.invalid = 0 // failingRoute has had their share
	// Not HTTP/2 explicitly, whatever the route's kind: gRPC clients speak nothing else, and read no protocol options.
	s.weighted(action, connector{}, clusters)
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
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_SafeRegexMatch{SafeRegexMatch: regex(h.value)}
	} else {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_ExactMatch{ExactMatch: h.value}
	}
	return out
}
