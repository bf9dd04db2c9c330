package lint

import (
	"fmt"
	"maps"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// networkFilters: "terminal filter ... must be the last filter in a network filter chain".
func (w *walk) networkFilters(path string, chain *listenerv3.FilterChain) {
	for i, f := range chain.GetFilters() {
		config := f.GetTypedConfig()
		terminal := config.MessageIs(&hcmv3.HttpConnectionManager{}) || config.MessageIs(&tcpproxyv3.TcpProxy{})
		if terminal && i < len(chain.GetFilters())-1 {
			w.add(Invalid, fmt.Sprintf("%s.filters[%d]", path, i), "nothing can follow it")
		}
	}
}

// httpFilters: "terminal filter ... must be the last filter in a http filter chain", and "non-terminal filter ... is the last". Of
// HTTP filters, the router is the terminal one.
func (w *walk) httpFilters(path string, m *hcmv3.HttpConnectionManager) {
	table := m.GetRds().GetRouteConfigName()
	if w.filters[table] == nil {
		w.filters[table] = map[string]bool{}
	}
	for i, f := range m.GetHttpFilters() {
		w.filters[table][f.GetName()] = true
		at, last := fmt.Sprintf("%s.http_filters[%d]", path, i), i == len(m.GetHttpFilters())-1
		switch router := f.GetTypedConfig().MessageIs(&routerv3.Router{}); {
		case router && !last:
			w.add(Invalid, at, "nothing can follow the router")
		case !router && last && f.GetConfigDiscovery() == nil:
			w.add(Invalid, at, "the last filter must be the router")
		}
	}
}

// level is what a route configuration, a virtual host, a route and a weighted cluster can all say.
type level interface {
	GetRequestHeadersToRemove() []string
	GetResponseHeadersToRemove() []string
	GetTypedPerFilterConfig() map[string]*anypb.Any
}

func (w *walk) level(path string, m level) {
	if slices.ContainsFunc(slices.Concat(m.GetRequestHeadersToRemove(), m.GetResponseHeadersToRemove()), isFixed) {
		w.add(Invalid, path, ":-prefixed or host headers may not be removed")
	}
	for _, filter := range slices.Sorted(maps.Keys(m.GetTypedPerFilterConfig())) {
		w.configs = append(w.configs, filterConfig{w.resource, path, w.table, filter})
	}
}

// filterConfig is a place where a RouteConfiguration, or a part of it, says something to an HTTP filter.
type filterConfig struct{ resource, path, table, filter string }

// filterConfigs finds those that no filter hears: they are for filters by their names, and Envoy doesn't ask whether there are any.
func (c *check) filterConfigs() {
	for _, f := range c.configs {
		if filters := c.filters[f.table]; f.table != "" && filters != nil && !filters[f.filter] {
			c.findings = append(c.findings, Finding{Ignored, f.resource, f.path + ".typed_per_filter_config",
				fmt.Sprintf("no connection manager that uses the table has a filter %q", f.filter)})
		}
	}
}
