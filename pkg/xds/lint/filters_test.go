package lint

import (
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func anyOf(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// manager returns a connection manager with HTTP filters, of which each is named by the first letter of what it does.
func manager(t *testing.T, filters string) *hcmv3.HttpConnectionManager {
	t.Helper()
	out := parse(t, &hcmv3.HttpConnectionManager{}, `{statPrefix: a, rds: {routeConfigName: table, configSource: {ads: {}}}}`)
	for _, f := range filters {
		var config proto.Message = &corsv3.Cors{}
		if f == 'r' {
			config = &routerv3.Router{}
		}
		out.HttpFilters = append(out.HttpFilters, &hcmv3.HttpFilter{Name: string(f), ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: anyOf(t, config)}})
	}
	return out
}

func TestHTTPFilters(t *testing.T) {
	t.Parallel()
	for filters, want := range map[string][]string{
		"r": {}, "cr": {},
		"c":  {"invalid: .http_filters[0]: the last filter must be the router"},
		"rc": {"invalid: .http_filters[0]: nothing can follow the router", "invalid: .http_filters[1]: the last filter must be the router"},
	} {
		if diff := cmp.Diff(want, ofMessage(manager(t, filters))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", filters, diff)
		}
	}
}

func TestNetworkFilters(t *testing.T) {
	t.Parallel()
	filter := func(m proto.Message) *listenerv3.Filter {
		return &listenerv3.Filter{Name: "a", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: anyOf(t, m)}}
	}
	chain := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{filter(&corsv3.Cors{}), filter(manager(t, "r"))}}
	if got := ofMessage(chain); len(got) > 0 {
		t.Errorf("findings: %q", got)
	}
	chain.Filters = append(chain.Filters, filter(manager(t, "r")))
	if diff := cmp.Diff([]string{"invalid: .filters[1]: nothing can follow it"}, ofMessage(chain)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestHeadersToRemove(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`{requestHeadersToRemove: [a]}`:          {},
		`{requestHeadersToRemove: [a, ":path"]}`: {"invalid: : :-prefixed or host headers may not be removed"},
		`{responseHeadersToRemove: [Host]}`:      {"invalid: : :-prefixed or host headers may not be removed"},
	} {
		if diff := cmp.Diff(want, ofMessage(parse(t, &routev3.RouteConfiguration{}, text))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", text, diff)
		}
	}
}

// What routes say to a filter is for nobody if no connection manager has it, though Envoy takes it.
func TestFilterConfigs(t *testing.T) {
	t.Parallel()
	s := good(t)
	cors := anyOf(t, &corsv3.CorsPolicy{})
	s.Routes[0].TypedPerFilterConfig = map[string]*anypb.Any{"router": cors}
	s.Routes[0].VirtualHosts[0].Routes[0].TypedPerFilterConfig = map[string]*anypb.Any{"cors": cors, "router": cors}
	want := []string{`ignored: RouteConfiguration table.virtual_hosts[0].routes[0].typed_per_filter_config: no connection manager that uses the table has a filter "cors"`}
	if diff := cmp.Diff(want, findings(s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
