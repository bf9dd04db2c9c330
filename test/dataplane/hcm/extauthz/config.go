package extauthz

import (
	"errors"
	"fmt"
	"net/http"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
)

const fieldsOf = "envoy.extensions.filters.http.ext_authz.v3."

var fields = strict.Fields{
	fieldsOf + "ExtAuthz": "transport_api_version grpc_service http_service failure_mode_allow failure_mode_allow_header_add " +
		"with_request_body status_on_error validate_mutations allowed_headers",
	fieldsOf + "BufferSettings":        "max_request_bytes allow_partial_message pack_as_bytes",
	fieldsOf + "HttpService":           "server_uri path_prefix authorization_response",
	fieldsOf + "AuthorizationResponse": "allowed_upstream_headers",

	"envoy.config.core.v3.HttpUri":               "uri cluster timeout",
	"envoy.config.core.v3.GrpcService":           "envoy_grpc timeout",
	"envoy.config.core.v3.GrpcService.EnvoyGrpc": "cluster_name authority",
	"envoy.type.v3.HttpStatus":                   "code",
	"envoy.type.matcher.v3.ListStringMatcher":    stringmatch.Fields["envoy.type.matcher.v3.ListStringMatcher"],
	"envoy.type.matcher.v3.StringMatcher":        stringmatch.Fields["envoy.type.matcher.v3.StringMatcher"],
	"envoy.type.matcher.v3.RegexMatcher":         stringmatch.Fields["envoy.type.matcher.v3.RegexMatcher"],
}

// Config is a compiled ExtAuthz.
type Config struct {
	service       service
	told          func(header string) bool // whether the server is told a header of the request
	body          *extauthzv3.BufferSettings
	allowFailure  bool
	markFailure   bool
	statusOnError int
	validate      bool
}

// New compiles the settings of a route.
func New(config *extauthzv3.ExtAuthz) (*Config, error) {
	if err := errors.Join(config.ValidateAll(), fields.Check(config)); err != nil {
		return nil, err
	}
	if config.GetTransportApiVersion() != corev3.ApiVersion_V3 {
		return nil, fmt.Errorf("transport_api_version: %s isn't executed", config.GetTransportApiVersion())
	}
	out := &Config{
		body:          config.GetWithRequestBody(),
		allowFailure:  config.GetFailureModeAllow(),
		markFailure:   config.GetFailureModeAllowHeaderAdd(),
		statusOnError: http.StatusForbidden,
		validate:      config.GetValidateMutations(),
	}
	if config.GetStatusOnError() != nil {
		out.statusOnError = int(config.GetStatusOnError().GetCode())
	}
	allowed, err := stringmatch.NewAny(config.GetAllowedHeaders().GetPatterns())
	if err != nil {
		return nil, fmt.Errorf("allowed_headers.patterns%w", err)
	}
	switch s := config.GetServices().(type) {
	case *extauthzv3.ExtAuthz_GrpcService:
		// "If this option isn't specified, then all client request headers are included."
		out.told = func(header string) bool { return config.GetAllowedHeaders() == nil || allowed.Match(header) }
		out.service = newGRPC(s.GrpcService)
	case *extauthzv3.ExtAuthz_HttpService:
		out.told = func(header string) bool { return alwaysTold[header] || allowed.Match(header) }
		out.service, err = newHTTP(s.HttpService)
	default:
		err = errors.New("services: required")
	}
	return out, err
}

// alwaysTold: "For requests to an HTTP authorization server: in addition to the user's supplied matchers, Host, Method, Path,
// Content-Length, and Authorization are additionally included in the list." Content-Length is that of the authorization request.
var alwaysTold = map[string]bool{":authority": true, ":method": true, ":path": true, "authorization": true}

// Filter returns the filter for a request on a route with the settings.
func (c *Config) Filter() filter.Filter { return &instance{config: c} }
