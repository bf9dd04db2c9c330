package hcm

import (
	"errors"
	"fmt"

	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	statefulsessionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/cors"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/extauthz"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/session"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
)

// Names that filters go by in configurations. Envoy knows them by the type of their settings; here, both have to fit.
const (
	healthFilter  = "envoy.filters.http.health_check"
	corsFilter    = "envoy.filters.http.cors"
	authFilter    = "envoy.filters.http.ext_authz"
	sessionFilter = "envoy.filters.http.stateful_session"
	routerFilter  = "envoy.filters.http.router"
)

var filterFields = strict.Fields{
	"envoy.extensions.filters.http.cors.v3.Cors":                        "",
	"envoy.extensions.filters.http.cors.v3.CorsPolicy":                  cors.Fields,
	"envoy.extensions.filters.http.stateful_session.v3.StatefulSession": "",
	"envoy.extensions.filters.http.router.v3.Router":                    "suppress_envoy_headers",
	"envoy.extensions.filters.http.health_check.v3.HealthCheck":         "pass_through_mode headers",
	"envoy.extensions.filters.http.composite.v3.Composite":              "",
	"envoy.extensions.filters.http.composite.v3.ExecuteFilterAction":    "typed_config",
	"envoy.extensions.common.matching.v3.ExtensionWithMatcher":          "extension_config",
	"envoy.extensions.common.matching.v3.ExtensionWithMatcherPerRoute":  "xds_matcher",
	"envoy.config.core.v3.TypedExtensionConfig":                         "name typed_config",
	"envoy.config.route.v3.HeaderMatcher":                               "name string_match",
	"xds.core.v3.TypedExtensionConfig":                                  "name typed_config",
	"xds.type.matcher.v3.Matcher":                                       "on_no_match",
	"xds.type.matcher.v3.Matcher.OnMatch":                               "action",
	"envoy.type.matcher.v3.StringMatcher":                               stringmatch.Fields["envoy.type.matcher.v3.StringMatcher"],
	"envoy.type.matcher.v3.RegexMatcher":                                stringmatch.Fields["envoy.type.matcher.v3.RegexMatcher"],
}

// chain is the HTTP filters of a manager.
type chain struct {
	health   stringmatch.Any // paths that the data plane answers itself
	filters  []routeFilter
	suppress bool // the router filter's suppress_envoy_headers
}

// routeFilter is a filter whose settings are all in routes.
type routeFilter struct {
	name     string
	disabled bool // where a route doesn't switch it on
}

// A maker is what is said to a filter in a route, compiled.
type maker interface {
	// Filter returns the filter for a request.
	Filter() filter.Filter
}

func newChain(configs []*hcmv3.HttpFilter) (chain, error) {
	var out chain
	for i, config := range configs {
		last := i == len(configs)-1
		if (config.GetName() == routerFilter) != last {
			return chain{}, fmt.Errorf("[%d]: %s must be the last filter, and only it", i, routerFilter)
		}
		if err := out.add(config, i); err != nil {
			return chain{}, fmt.Errorf("[%d] (%s): %w", i, config.GetName(), err)
		}
	}
	if len(configs) == 0 {
		return chain{}, fmt.Errorf(": no %s", routerFilter)
	}
	return out, nil
}

func (c *chain) add(config *hcmv3.HttpFilter, index int) error {
	typed := config.GetTypedConfig()
	switch config.GetName() {
	case corsFilter:
		if err := unpack(typed, &corsv3.Cors{}); err != nil {
			return err
		}
	case sessionFilter:
		if err := unpack(typed, &statefulsessionv3.StatefulSession{}); err != nil {
			return err
		}
	case authFilter:
		hull := &matchingv3.ExtensionWithMatcher{}
		if err := unpack(typed, hull); err != nil {
			return err
		}
		if err := unpack(hull.GetExtensionConfig().GetTypedConfig(), &compositev3.Composite{}); err != nil {
			return fmt.Errorf("extension_config.typed_config: %w", err)
		}
	case healthFilter:
		if index > 0 || config.GetDisabled() {
			return errors.New("isn't executed but as the first filter, and enabled")
		}
		return c.setHealth(typed)
	case routerFilter:
		settings := &routerv3.Router{}
		if err := unpack(typed, settings); err != nil {
			return err
		}
		if config.GetDisabled() {
			return errors.New("disabled: a terminal filter can't be")
		}
		c.suppress = settings.GetSuppressEnvoyHeaders()
		return nil
	default:
		return errors.New("isn't executed")
	}
	c.filters = append(c.filters, routeFilter{config.GetName(), config.GetDisabled()})
	return nil
}

func (c *chain) setHealth(typed *anypb.Any) error {
	config := &healthv3.HealthCheck{}
	if err := unpack(typed, config); err != nil {
		return err
	}
	if config.GetPassThroughMode().GetValue() || len(config.GetHeaders()) != 1 || config.GetHeaders()[0].GetName() != ":path" {
		return errors.New("only a health check of one :path that isn't passed through is executed")
	}
	var err error
	if c.health, err = stringmatch.NewAny([]*matcherv3.StringMatcher{config.GetHeaders()[0].GetStringMatch()}); err != nil {
		return fmt.Errorf("headers%w", err)
	}
	return nil
}

// of returns the filters that a request on a route passes, in their order.
func (c *chain) of(m *router.Match) []filter.Filter {
	var out []filter.Filter
	for _, f := range c.filters {
		if m.FilterDisabled(f.name, f.disabled) {
			continue
		}
		// Without settings in the route, each of them does nothing.
		if config, ok := m.FilterConfig(f.name).(maker); ok {
			out = append(out, config.Filter())
		}
	}
	return out
}

// ParseFilterConfig reads what a typed_per_filter_config of a route configuration says to one of the HTTP filters, for
// router.Compile. It is a router.FilterParser.
func ParseFilterConfig(name string, typed *anypb.Any) (any, error) {
	switch name {
	case corsFilter:
		policy := &corsv3.CorsPolicy{}
		if err := unpack(typed, policy); err != nil {
			return nil, err
		}
		return cors.New(policy)
	case sessionFilter:
		config := &statefulsessionv3.StatefulSessionPerRoute{}
		if err := typed.UnmarshalTo(config); err != nil {
			return nil, err
		}
		return session.New(config)
	case authFilter:
		return parseAuth(typed)
	}
	return nil, fmt.Errorf("%w: %s", router.ErrUnknownFilter, name)
}

// parseAuth reads the action of a composite filter whose matcher has no conditions: to run ext_authz.
func parseAuth(typed *anypb.Any) (*extauthz.Config, error) {
	config := &matchingv3.ExtensionWithMatcherPerRoute{}
	if err := unpack(typed, config); err != nil {
		return nil, err
	}
	action := &compositev3.ExecuteFilterAction{}
	if err := unpack(config.GetXdsMatcher().GetOnNoMatch().GetAction().GetTypedConfig(), action); err != nil {
		return nil, fmt.Errorf("xds_matcher.on_no_match.action.typed_config: %w", err)
	}
	settings := &extauthzv3.ExtAuthz{}
	if err := action.GetTypedConfig().GetTypedConfig().UnmarshalTo(settings); err != nil {
		return nil, fmt.Errorf("typed_config.typed_config: %w", err)
	}
	return extauthz.New(settings)
}

// validated is a message of the generated API.
type validated interface {
	proto.Message
	ValidateAll() error
}

func unpack(typed *anypb.Any, into validated) error {
	if err := typed.UnmarshalTo(into); err != nil {
		return err
	}
	return errors.Join(into.ValidateAll(), filterFields.Check(into))
}
