package translate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

const (
	authFilterName = "envoy.filters.http.ext_authz"

	// authTimeout is how long an authorization server may take, before the request is refused. Envoy's default of 200 ms is
	// less than a server needs that asks others.
	authTimeout = 10 * time.Second
)

// externalAuth is an ExternalAuth filter.
type externalAuth struct {
	spec    *gwv1.HTTPExternalAuthFilter
	backend *graph.BackendFacts
}

// fails says that requests are to be authorized by a server that can't be asked: "If there is any problem communicating with the
// external service, this filter MUST fail closed."
func (a *externalAuth) fails() bool {
	return a != nil && (a.backend == nil || a.backend.Problem != nil)
}

// authFilter is the HTTP filter that asks an authorization server, where a route says which and how. As with sessionFilter,
// every listener has it.
//
// Of the settings of Envoy's ext_authz filter, a route can override the server (since Envoy 1.37), but not which headers it is
// told. So the filter in the listener is an empty hull, Envoy's composite filter, into which a route puts all of ext_authz.
func authFilter() *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name: authFilterName,
		ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(&matchingv3.ExtensionWithMatcher{
			ExtensionConfig: &corev3.TypedExtensionConfig{Name: "envoy.filters.http.composite", TypedConfig: packed(&compositev3.Composite{})},
		})},
		Disabled: true,
	}
}

// config returns what is said of a route: a matcher without conditions, whose one action is to run ext_authz.
func (a *externalAuth) config(by connector, clusters clusterSet) *anypb.Any {
	run := &compositev3.ExecuteFilterAction{
		TypedConfig: &corev3.TypedExtensionConfig{Name: authFilterName, TypedConfig: packed(a.extAuthz(by, clusters))},
	}
	return packed(&matchingv3.ExtensionWithMatcherPerRoute{XdsMatcher: &xdsmatcherv3.Matcher{
		OnNoMatch: &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
			Action: &xdscorev3.TypedExtensionConfig{Name: "composite-action", TypedConfig: packed(run)},
		}},
	}})
}

func (a *externalAuth) extAuthz(by connector, clusters clusterSet) *extauthzv3.ExtAuthz {
	out := &extauthzv3.ExtAuthz{TransportApiVersion: corev3.ApiVersion_V3, ValidateMutations: true}
	if body := a.spec.ForwardBody; body != nil && body.MaxSize > 0 {
		// A larger body is answered with 413.
		out.WithRequestBody = &extauthzv3.BufferSettings{MaxRequestBytes: uint32(body.MaxSize)}
	}
	by.grpc = a.spec.ExternalAuthProtocol == gwv1.HTTPRouteExternalAuthGRPCProtocol
	cluster := clusters.use(by.cluster(a.backend))
	if by.grpc {
		out.Services = &extauthzv3.ExtAuthz_GrpcService{GrpcService: &corev3.GrpcService{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster, Authority: a.authority()}},
			Timeout:         durationpb.New(authTimeout),
		}}
		// "If this list is empty, then all headers must be sent. If the list has entries, only those entries must be sent."
		if c := a.spec.GRPCAuthConfig; c != nil {
			out.AllowedHeaders = headerNames(c.AllowedRequestHeaders)
		}
		return out
	}
	c := deref(a.spec.HTTPAuthConfig, gwv1.HTTPAuthConfig{})
	// "If this list is empty, then only" Host, Method, Path, Content-Length and Authorization are sent, as Envoy does always.
	out.AllowedHeaders = headerNames(c.AllowedRequestHeaders)
	out.Services = &extauthzv3.ExtAuthz_HttpService{HttpService: &extauthzv3.HttpService{
		ServerUri: &corev3.HttpUri{
			Uri:              "http://" + a.authority(), // for Envoy's logs; the request has the client's Host
			HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: cluster},
			Timeout:          durationpb.New(authTimeout),
		},
		PathPrefix:            authPath(c.Path),
		AuthorizationResponse: &extauthzv3.AuthorizationResponse{AllowedUpstreamHeaders: copiedHeaders(c.AllowedResponseHeaders)},
	}}
	return out
}

// authority returns "service.namespace:port".
func (a *externalAuth) authority() string {
	b := a.backend.Backend
	return fmt.Sprintf("%s.%s:%d", b.Name, b.Namespace, b.Port)
}

// authPath returns a prefix that can stand before the path of a request, which starts with a slash.
func authPath(path string) string { return strings.TrimRight(absolute(path), "/") }

// headerNames returns what matches the names, in the lower case in which Envoy has them; nil if there are none.
func headerNames(names []string) *matcherv3.ListStringMatcher {
	if len(names) == 0 {
		return nil
	}
	out := &matcherv3.ListStringMatcher{}
	for _, name := range names {
		out.Patterns = append(out.Patterns, stringMatcher(valueMatch{value: lowerName(name)}))
	}
	return out
}

// copiedHeaders: "AllowedResponseHeaders specifies what headers from the authorization response will be copied into the request
// to the backend. If this list is empty, then all headers from the authorization server except Authority or Host must be
// copied."
func copiedHeaders(names []string) *matcherv3.ListStringMatcher {
	if len(names) == 0 {
		return &matcherv3.ListStringMatcher{Patterns: []*matcherv3.StringMatcher{
			stringMatcher(valueMatch{value: noneOf(graph.UncopiedHeaders), regex: true}),
		}}
	}
	return headerNames(slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.Contains(graph.UncopiedHeaders, lowerName(name))
	}))
}

// noneOf returns an RE2 expression for every string but the given ones, which RE2 has no operator for.
func noneOf(words []string) string {
	var alternatives []string
	if !slices.Contains(words, "") {
		alternatives = append(alternatives, "")
	}
	rest := map[string][]string{} // by the first character
	for _, word := range words {
		if word != "" {
			rest[word[:1]] = append(rest[word[:1]], word[1:])
		}
	}
	if len(rest) == 0 {
		return strings.Join(append(alternatives, ".+"), "|")
	}
	first := slices.Sorted(maps.Keys(rest))
	alternatives = append(alternatives, "[^"+strings.ReplaceAll(strings.Join(first, ""), "-", `\-`)+"].*")
	for _, character := range first {
		alternatives = append(alternatives, regexp.QuoteMeta(character)+"(?:"+noneOf(rest[character])+")")
	}
	return strings.Join(alternatives, "|")
}
