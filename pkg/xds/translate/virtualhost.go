package translate

import (
	"maps"
	"net/http"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// VirtualHost returns a virtual host and the clusters that its routes use, sorted. Envoy takes the first route that
// matches, so they are in the specification's order of precedence.
func VirtualHost(vh *graph.VirtualHostFacts) (*routev3.VirtualHost, []ClusterKey) {
	clusters := clusterSet{}
	out := &routev3.VirtualHost{Name: vh.Key.Domain, Domains: []string{vh.Key.Domain}}
	if vh.Misdirected {
		out.Routes = []*routev3.Route{misdirected()}
		return out, nil
	}
	for _, c := range candidates(vh.Routes, vh.Key.Domain) {
		out.Routes = append(out.Routes, gatewayRoutes(c, vh, clusters)...)
	}
	return out, clusters.sorted()
}

// misdirected tells a client to open a connection of its own: "the Gateway SHOULD return a 421" when a request arrives
// over a connection whose server name chose another listener (Listener.Hostname).
func misdirected() *routev3.Route {
	return &routev3.Route{
		Name:  "misdirected",
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{
			DirectResponse: &routev3.DirectResponseAction{Status: http.StatusMisdirectedRequest},
		},
	}
}

// gatewayRoutes returns the Envoy routes of a match: one, or two where a path modifier needs it, and more where sessions
// decide about the backend.
func gatewayRoutes(c candidate, vh *graph.VirtualHostFacts, clusters clusterSet) []*routev3.Route {
	paths, change := changePath(c.match.path, c.effects.path)
	var out []*routev3.Route
	parts := variants(c.rule)
	for _, path := range paths {
		for _, part := range parts {
			if route := gatewayRoute(c, path, part, change, vh, clusters); route != nil {
				out = append(out, route)
			}
		}
	}
	return out
}

// gatewayRoute returns the Envoy route of a part of the requests of a match; nil if there can't be such requests.
func gatewayRoute(c candidate, path pathMatch, part variant, change pathChange, vh *graph.VirtualHostFacts, clusters clusterSet) *routev3.Route {
	route := &routev3.Route{Name: c.name, Match: c.match.envoy(path)}
	if part.token != nil {
		route.Match.Headers = append(route.Match.Headers, part.token.matcher())
	}
	if route.Match.ValidateAll() != nil {
		return nil // an empty expression for the path, which is never empty
	}
	uses := clusterSet{}
	perform(route, c, part.split, change, vh, uses)
	if route.ValidateAll() != nil {
		// A header, host or path would get a line break or NUL, which the schema doesn't refuse everywhere. The filter
		// cannot be executed and must not be skipped.
		route = &routev3.Route{Name: c.name, Match: route.Match, Action: directResponse(c.rule)}
		clear(uses)
	}
	maps.Copy(clusters, uses)
	return route
}

// perform makes a route do what the rule says, with the given backends.
func perform(route *routev3.Route, c candidate, s backendSplit, change pathChange, vh *graph.VirtualHostFacts, clusters clusterSet) {
	if c.facts.Failing != nil {
		route.Action = directResponse(c.rule)
		return
	}
	if c.effects.redirect != nil {
		route.Action = &routev3.Route_Redirect{Redirect: redirect(c.effects.redirect, change, vh.Key)}
		setRouteHeaders(route, c.effects)
		return
	}
	if len(s.valid) == 0 {
		route.Action = directResponse(c.rule)
		return
	}
	action := &routev3.RouteAction{}
	by := connector{grpc: c.grpc, clientCertificate: vh.ClientCertificate}
	if s.ownEffects {
		// Envoy changes headers for the cluster first and for the route then. The rule's filters come first, so where a
		// backend has filters too, both are said with the cluster.
		s.weightedWithEffects(action, c.rule, by, clusters)
	} else {
		s.weighted(action, by, clusters)
		setRouteHeaders(route, c.effects)
	}
	rewrite(action, c.effects.host, change)
	for _, m := range c.effects.mirrors {
		action.RequestMirrorPolicies = append(action.RequestMirrorPolicies, m.policy(by, clusters))
	}
	setUpgrades(action, s.valid)
	setTimeouts(action, c.rule)
	action.RetryPolicy = retryPolicy(c.rule)
	s.keepSessions(route, action, c.match.path, isHTTPS(vh.Key.Table))
	route.Action = &routev3.Route_Route{Route: action}
}

func setRouteHeaders(route *routev3.Route, e effects) {
	route.RequestHeadersToAdd, route.RequestHeadersToRemove = e.request.options(), e.request.remove
	route.ResponseHeadersToAdd, route.ResponseHeadersToRemove = e.response.options(), e.response.remove
}

// failureStatus is what a client gets from a backend that is invalid. HTTPRoute: "500 status codes MUST be returned".
// GRPCRoute: "UNAVAILABLE statuses MUST be returned", which is what Envoy makes of 503 for a gRPC request.
func failureStatus(r *rule) uint32 {
	if r.grpc {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func directResponse(r *rule) *routev3.Route_DirectResponse {
	return &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: failureStatus(r)}}
}

// setUpgrades allows a WebSocket handshake to pass if a backend speaks the protocol.
func setUpgrades(action *routev3.RouteAction, backends []backend) {
	for _, b := range backends {
		if b.AppProtocol == appProtocolWebSocket || b.AppProtocol == appProtocolSecureWebSocket {
			action.UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{{UpgradeType: webSocket}}
			return
		}
	}
}
