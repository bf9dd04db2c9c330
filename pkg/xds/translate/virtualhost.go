package translate

import (
	"maps"
	"net/http"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// VirtualHost returns a virtual host and the clusters that its routes use, sorted. Envoy takes the first route that
// matches, so they are in the specification's order of precedence.
func VirtualHost(vh *graph.VirtualHostFacts) (*routev3.VirtualHost, []ClusterKey) {
	clusters := clusterSet{}
	if len(vh.Misdirected) > 0 {
		return &routev3.VirtualHost{Name: misdirectedName, Domains: vh.Misdirected, Routes: []*routev3.Route{misdirected()}}, nil
	}
	out := &routev3.VirtualHost{Name: vh.Key.Domain, Domains: []string{vh.Key.Domain}}
	for _, c := range candidates(vh.Routes, vh.Key.Domain) {
		out.Routes = append(out.Routes, gatewayRoutes(c, vh, clusters)...)
	}
	return out, clusters.sorted()
}

// misdirectedName names the virtual host of misdirected requests. It is no domain: those have no underscore.
const misdirectedName = "_misdirected"

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
// decide about the backend or backends have filters of their own.
func gatewayRoutes(c candidate, vh *graph.VirtualHostFacts, clusters clusterSet) []*routev3.Route {
	var out []*routev3.Route
	for _, p := range parts(c.rule) {
		paths, change := changePath(c.match.path, p.effects.path)
		for _, path := range paths {
			if route := p.route(c, path, change, vh, clusters); route != nil {
				out = append(out, route)
			}
		}
	}
	return out
}

// route returns the Envoy route of a part of the requests of a match; nil if there can't be such requests.
func (p part) route(c candidate, path pathMatch, change pathChange, vh *graph.VirtualHostFacts, clusters clusterSet) *routev3.Route {
	route := &routev3.Route{Name: c.name, Match: p.match(c.match.envoy(path)), Metadata: c.metadata}
	if route.Match.ValidateAll() != nil {
		return nil // an empty expression for the path, which is never empty
	}
	uses := clusterSet{}
	p.perform(route, c, change, vh, uses)
	if route.ValidateAll() != nil {
		// A header, host or path would get a line break or NUL, which the schema doesn't refuse everywhere. The filter
		// cannot be executed and must not be skipped.
		route = &routev3.Route{Name: c.name, Match: route.Match, Metadata: c.metadata, Action: directResponse(c.rule)}
		clear(uses)
	}
	maps.Copy(clusters, uses)
	return route
}

// perform makes a route do what the rule says with the requests of a part.
func (p part) perform(route *routev3.Route, c candidate, change pathChange, vh *graph.VirtualHostFacts, clusters clusterSet) {
	by := connector{grpc: c.grpc, clientCertificate: vh.ClientCertificate}
	switch {
	case c.facts.Failing != nil || p.effects.auth.fails():
		route.Action = directResponse(c.rule)
		return
	case p.effects.redirect != nil:
		route.Action = &routev3.Route_Redirect{Redirect: redirect(p.effects.redirect, change, vh.Key)}
		route.TypedPerFilterConfig = p.effects.configs(by, clusters)
		setRouteHeaders(route, p.effects)
		return
	case len(p.split.valid) == 0:
		route.Action = directResponse(c.rule)
		return
	}
	action := &routev3.RouteAction{}
	p.forward(route, action, c, vh, by, clusters)
	rewritePath(action, change)
	for _, m := range p.effects.mirrors {
		if policy := m.policy(p.share, by, clusters); policy != nil {
			action.RequestMirrorPolicies = append(action.RequestMirrorPolicies, policy)
		}
	}
	setUpgrades(action, p.split.valid)
	setTimeouts(action, c.rule)
	action.RetryPolicy = retryPolicy(c.rule)
	route.Action = &routev3.Route_Route{Route: action}
}

// forward makes an action send requests to the backends, with the filters that can be said of a cluster.
func (p part) forward(route *routev3.Route, action *routev3.RouteAction, c candidate, vh *graph.VirtualHostFacts, by connector, clusters clusterSet) {
	configs := func(e effects, token *sessionToken) map[string]*anypb.Any {
		out := e.configs(by, clusters)
		if token != nil {
			if out == nil {
				out = map[string]*anypb.Any{}
			}
			out[statefulSession] = token.config(c.match.path, isHTTPS(vh.Key.Table))
		}
		return out
	}
	p.split.weighted(action, by, clusters)
	weights, valid := action.GetWeightedClusters().GetClusters(), p.split.valid
	if p.split.ownEffects {
		// Envoy executes what is said of the cluster before what is said of the route. The rule's filters come first, so where
		// a backend has filters too, both are said of the cluster.
		for i, w := range weights {
			e, token := p.effects, (*sessionToken)(nil)
			if i < len(valid) {
				e, token = e.then(valid[i].effects), valid[i].token
			}
			setClusterEffects(w, e)
			w.TypedPerFilterConfig = configs(e, token)
		}
		return
	}
	setRouteHeaders(route, p.effects)
	rewriteHost(action, p.effects.host)
	if b := p.split.only(); b != nil {
		route.TypedPerFilterConfig = configs(p.effects, b.token)
		return
	}
	route.TypedPerFilterConfig = configs(p.effects, nil)
	for i, b := range valid {
		weights[i].TypedPerFilterConfig = configs(effects{}, b.token)
	}
}

func setClusterEffects(w *routev3.WeightedCluster_ClusterWeight, e effects) {
	w.RequestHeadersToAdd, w.RequestHeadersToRemove = e.request.options(), e.request.remove
	w.ResponseHeadersToAdd, w.ResponseHeadersToRemove = e.response.options(), e.response.remove
	if e.host != "" {
		w.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: e.host}
	}
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
