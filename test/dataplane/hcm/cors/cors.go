package cors

import (
	"net/http"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
)

// Fields are those of CorsPolicy that are executed. filter_enabled isn't: a policy is enabled where it is given.
const Fields = "allow_origin_string_match allow_methods allow_headers expose_headers max_age allow_credentials " +
	"allow_private_network_access forward_not_matching_preflights"

// Policy is a compiled CorsPolicy.
type Policy struct {
	origins         stringmatch.Any
	methods         string
	headers         string
	expose          string
	maxAge          string
	credentials     bool
	privateNetwork  bool
	forwardMismatch bool
}

// New compiles the policy of a route.
func New(config *corsv3.CorsPolicy) (*Policy, error) {
	origins, err := stringmatch.NewAny(config.GetAllowOriginStringMatch())
	if err != nil {
		return nil, err
	}
	return &Policy{
		origins:        origins,
		methods:        config.GetAllowMethods(),
		headers:        config.GetAllowHeaders(),
		expose:         config.GetExposeHeaders(),
		maxAge:         config.GetMaxAge(),
		credentials:    config.GetAllowCredentials().GetValue(),
		privateNetwork: config.GetAllowPrivateNetworkAccess().GetValue(),
		// "Specifies if preflight requests not matching the configured allowed origin should be forwarded to the upstream.
		// Default is true."
		forwardMismatch: config.GetForwardNotMatchingPreflights() == nil || config.GetForwardNotMatchingPreflights().GetValue(),
	}, nil
}

// Filter returns the filter for a request on a route with the policy.
func (p *Policy) Filter() filter.Filter { return &instance{policy: p} }

type instance struct {
	policy *Policy
	origin string // of the request, if it is allowed
}

// Decode answers a preflight request: OPTIONS with Origin and Access-Control-Request-Method.
func (f *instance) Decode(x *filter.Exchange) *filter.Reply {
	request := x.Request.Header
	origin := request.Get("Origin")
	if x.Match.Forward == nil || origin == "" {
		return nil
	}
	// A matcher that matches "*" is for all origins.
	allowed := f.policy.origins.Match("*") || f.policy.origins.Match(origin)
	if allowed {
		f.origin = origin
	}
	if x.Request.Method != http.MethodOptions || request.Get("Access-Control-Request-Method") == "" {
		return nil
	}
	if !allowed && f.policy.forwardMismatch {
		return nil
	}
	return &filter.Reply{Status: http.StatusOK, Plain: true, Details: "cors_response", Modify: func(response http.Header) {
		f.preflight(request, response)
	}}
}

// preflight says what the policy allows. Envoy says so to origins that aren't allowed, too: without
// Access-Control-Allow-Origin, it has no meaning.
func (f *instance) preflight(request, response http.Header) {
	set := func(name, value string) {
		if value != "" {
			response.Set(name, value)
		}
	}
	if f.policy.credentials {
		set("Access-Control-Allow-Credentials", "true")
	}
	set("Access-Control-Allow-Methods", echoAny(f.policy.methods, request.Get("Access-Control-Request-Method")))
	set("Access-Control-Allow-Headers", echoAny(f.policy.headers, request.Get("Access-Control-Request-Headers")))
	set("Access-Control-Max-Age", f.policy.maxAge)
	if f.policy.privateNetwork && request.Get("Access-Control-Request-Private-Network") == "true" {
		set("Access-Control-Allow-Private-Network", "true")
	}
}

// echoAny returns what is allowed; if that is everything, what was asked for.
func echoAny(allowed, asked string) string {
	if allowed == "*" {
		return asked
	}
	return allowed
}

// Encode says whose scripts may read a response, that to a preflight request included.
func (f *instance) Encode(_ *filter.Exchange, response http.Header) {
	if f.origin == "" {
		return
	}
	response.Set("Access-Control-Allow-Origin", f.origin)
	if f.policy.credentials {
		response.Set("Access-Control-Allow-Credentials", "true")
	}
	if f.policy.expose != "" {
		response.Set("Access-Control-Expose-Headers", f.policy.expose)
	}
}
