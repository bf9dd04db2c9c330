package translate

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const corsFilterName = "envoy.filters.http.cors"

// corsFilter is the HTTP filter that answers preflight requests and says who may read responses, where a route says how. As
// with sessionFilter, every listener has it.
func corsFilter() *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name:       corsFilterName,
		ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(&corsv3.Cors{})},
		Disabled:   true,
	}
}

// defaultMaxAge: "When the MaxAge field is unspecified, the gateway sets the response header Access-Control-Max-Age: 5".
const defaultMaxAge = 5

// corsPolicy returns what a CORS filter says. Of the choices that the specification leaves, Envoy's are: it always echoes the
// request's Origin, and it echoes the requested method and headers where * is allowed, with credentials or without.
func corsPolicy(f *gwv1.HTTPCORSFilter) *corsv3.CorsPolicy {
	out := &corsv3.CorsPolicy{
		AllowMethods: anyOrList(f.AllowMethods),
		AllowHeaders: anyOrList(f.AllowHeaders),
		MaxAge:       strconv.Itoa(int(cmp.Or(f.MaxAge, defaultMaxAge))),
		// "If the request Origin does not match the configured allowed origins, the gateway returns 204/200 response but doesn't
		// set the relevant cross-origin response headers."
		ForwardNotMatchingPreflights: wrapperspb.Bool(false),
	}
	exposed := f.ExposeHeaders
	if deref(f.AllowCredentials, false) {
		out.AllowCredentials = wrapperspb.Bool(true)
		// "... the gateway cannot use the * in the Access-Control-Expose-Headers response header."
		exposed = slices.DeleteFunc(slices.Clone(exposed), func(name gwv1.HTTPHeaderName) bool { return name == "*" })
	}
	out.ExposeHeaders = list(exposed)
	for _, origin := range f.AllowOrigins {
		out.AllowOriginStringMatch = append(out.AllowOriginStringMatch, originMatchers(string(origin))...)
	}
	return out
}

func anyOrList[T ~string](values []T) string {
	if slices.Contains(values, "*") {
		return "*"
	}
	return list(values)
}

func list[T ~string](values []T) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}

// originMatchers returns what matches the Origin headers that an origin stands for: "if not included, port 80 is assumed for
// http scheme origins, and port 443 is assumed for https origins"; "* is a greedy match to the left, including any number of
// DNS labels"; "A wildcard by itself matches all hosts." Browsers write origins in lower case and leave a scheme's port out.
func originMatchers(origin string) []*matcherv3.StringMatcher {
	if origin == "*" {
		return []*matcherv3.StringMatcher{stringMatcher(valueMatch{value: "*"})} // all origins, to Envoy's filter
	}
	scheme, authority, _ := strings.Cut(strings.ToLower(origin), "://")
	host, port, _ := strings.Cut(authority, ":")
	if number, err := strconv.Atoi(port); err == nil {
		port = strconv.Itoa(number) // without leading zeros
	}
	standard := strconv.Itoa(int(wellKnownPort(scheme)))
	ports := []string{":" + port}
	if port == "" || port == standard {
		ports = []string{"", ":" + standard}
	}
	if suffix, wildcard := strings.CutPrefix(host, "*"); wildcard {
		expression := scheme + `://[^/:]+` + regexp.QuoteMeta(suffix)
		if suffix == "" {
			expression = scheme + `://(?:[^/:]+|\[[^/\]]+\])` // an IPv6 address is in brackets
		}
		return []*matcherv3.StringMatcher{stringMatcher(valueMatch{value: expression + "(?:" + strings.Join(ports, "|") + ")", regex: true})}
	}
	var out []*matcherv3.StringMatcher
	for _, port := range ports {
		out = append(out, stringMatcher(valueMatch{value: scheme + "://" + host + port}))
	}
	return out
}
