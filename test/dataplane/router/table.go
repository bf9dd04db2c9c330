package router

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// Table is a compiled RouteConfiguration. It is immutable, and may be used by many goroutines at once.
type Table struct {
	name       string
	domains    domains
	ignorePort bool
}

// level is what a route configuration, a virtual host, a route and a weighted cluster can all say.
type level struct {
	request, response mutation
	filters           filterConfigs
}

type virtualHost struct {
	name   string
	routes []*route
}

// route is a compiled Route.
type route struct {
	name  string
	vh    *virtualHost
	match *routeMatch

	// Of the route, the virtual host and the route configuration: the most specific first.
	levels []*level
	// mutations are the same levels, the one whose header mutations come first first.
	mutations []*level

	forward  *forwardAction // exactly one of these three is set
	redirect *redirectAction
	direct   *Direct
}

// Compile compiles a RouteConfiguration. Its errors are those for which Envoy refuses the resource (a regular expression that
// RE2 doesn't take, a domain of two virtual hosts, two rewrites ...), and fields that this package doesn't execute. The parser is
// asked about each entry of every typed_per_filter_config; without one, there may be none.
//
// As Envoy does with what comes by RDS, it doesn't ask whether the clusters exist (RouteConfiguration.validate_clusters).
func Compile(config *routev3.RouteConfiguration, parse FilterParser) (*Table, error) {
	if err := config.ValidateAll(); err != nil {
		return nil, err
	}
	if err := executed.Check(config); err != nil {
		return nil, err
	}
	all, err := newLevel(config, parse)
	if err != nil {
		return nil, err
	}
	c := &compiler{config: config, parse: parse, all: all, maxBody: defaultMaxBody}
	if config.GetMaxDirectResponseBodySizeBytes() != nil {
		c.maxBody = int(config.GetMaxDirectResponseBodySizeBytes().GetValue())
	}
	t := &Table{name: config.GetName(), domains: newDomains(), ignorePort: config.GetIgnorePortInHostMatching()}
	for i, vhConfig := range config.GetVirtualHosts() {
		vh, err := c.virtualHost(vhConfig)
		if err != nil {
			return nil, fmt.Errorf("virtual_hosts[%d] (%s).%w", i, vhConfig.GetName(), err)
		}
		for _, domain := range vhConfig.GetDomains() {
			if err := t.domains.add(domain, vh); err != nil {
				return nil, fmt.Errorf("virtual_hosts[%d] (%s).%w", i, vhConfig.GetName(), err)
			}
		}
	}
	return t, nil
}

// Name returns the name of the RouteConfiguration.
func (t *Table) Name() string { return t.name }

// Match returns what is to be done with a request; nil if no virtual host or no route matches, which is answered with 404.
func (t *Table) Match(r *Request) *Match {
	vh := t.domains.find(r.Authority, t.ignorePort)
	if vh == nil {
		return nil
	}
	for _, route := range vh.routes {
		if route.match.matches(r) {
			return route.take(r)
		}
	}
	return nil
}

// compiler is what the parts of a RouteConfiguration are compiled with.
type compiler struct {
	config  *routev3.RouteConfiguration
	parse   FilterParser
	all     *level // of the route configuration
	maxBody int    // bytes of a direct response
}

func (c *compiler) virtualHost(config *routev3.VirtualHost) (*virtualHost, error) {
	own, err := newLevel(config, c.parse)
	if err != nil {
		return nil, err
	}
	vh := &virtualHost{name: config.GetName()}
	for i, routeConfig := range config.GetRoutes() {
		r, err := c.route(routeConfig, vh, own)
		if err != nil {
			return nil, fmt.Errorf("routes[%d] (%s).%w", i, routeConfig.GetName(), err)
		}
		vh.routes = append(vh.routes, r)
	}
	return vh, nil
}

func (c *compiler) route(config *routev3.Route, vh *virtualHost, host *level) (*route, error) {
	own, err := newLevel(config, c.parse)
	if err != nil {
		return nil, err
	}
	r := &route{name: config.GetName(), vh: vh, levels: []*level{own, host, c.all}}
	// "By default, the order is from most specific (i.e. route entry level) to least specific (i.e. route configuration level). Later
	// header mutations may override earlier mutations. This order can be reversed" (most_specific_header_mutations_wins).
	r.mutations = r.levels
	if c.config.GetMostSpecificHeaderMutationsWins() {
		r.mutations = []*level{c.all, host, own}
	}
	if r.match, err = newRouteMatch(config.GetMatch()); err != nil {
		return nil, fmt.Errorf("match.%w", err)
	}
	switch action := config.GetAction().(type) {
	case *routev3.Route_Route:
		if r.forward, err = newForwardAction(action.Route, c.parse); err != nil {
			err = fmt.Errorf("route.%w", err)
		}
	case *routev3.Route_Redirect:
		if r.redirect, err = newRedirectAction(action.Redirect, r.match.path); err != nil {
			err = fmt.Errorf("redirect.%w", err)
		}
	case *routev3.Route_DirectResponse:
		if r.direct, err = newDirect(action.DirectResponse, c.maxBody); err != nil {
			err = fmt.Errorf("direct_response.%w", err)
		}
	default:
		err = fmt.Errorf("action: %T isn't executed", action)
	}
	return r, err
}

// leveled is a message with the fields of a level.
type leveled interface {
	GetRequestHeadersToAdd() []*corev3.HeaderValueOption
	GetRequestHeadersToRemove() []string
	GetResponseHeadersToAdd() []*corev3.HeaderValueOption
	GetResponseHeadersToRemove() []string
	GetTypedPerFilterConfig() map[string]*anypb.Any
}

func newLevel(config leveled, parse FilterParser) (*level, error) {
	l := &level{}
	var err error
	if l.request, err = newMutation("request", config.GetRequestHeadersToAdd(), config.GetRequestHeadersToRemove()); err != nil {
		return nil, err
	}
	if l.response, err = newMutation("response", config.GetResponseHeadersToAdd(), config.GetResponseHeadersToRemove()); err != nil {
		return nil, err
	}
	l.filters, err = newFilterConfigs(config.GetTypedPerFilterConfig(), parse)
	return l, err
}
