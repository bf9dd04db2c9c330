package translate

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// extAuthzOf unpacks what is said of a route or a cluster; nil if nobody is asked.
func extAuthzOf(t testing.TB, configs map[string]*anypb.Any) *extauthzv3.ExtAuthz {
	t.Helper()
	if configs[authFilterName] == nil {
		return nil
	}
	perRoute, run, out := &matchingv3.ExtensionWithMatcherPerRoute{}, &compositev3.ExecuteFilterAction{}, &extauthzv3.ExtAuthz{}
	if err := configs[authFilterName].UnmarshalTo(perRoute); err != nil {
		t.Fatal(err)
	}
	if err := perRoute.XdsMatcher.OnNoMatch.GetAction().TypedConfig.UnmarshalTo(run); err != nil {
		t.Fatal(err)
	}
	if err := run.TypedConfig.TypedConfig.UnmarshalTo(out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExternalAuth(t *testing.T) {
	t.Parallel()
	const (
		common = `transportApiVersion: V3, validateMutations: true, `
		server = `serverUri: {uri: "http://auth.ns:80", cluster: "ns/auth:80", timeout: 10s}, `
	)
	all := `{patterns: [{safeRegex: {regex: '` + noneOf(graph.UncopiedHeaders) + `'}}]}`
	for _, tt := range []struct{ name, filter, cluster, want string }{
		{
			"gRPC", `protocol: GRPC, grpc: {}, backendRef: {name: auth, port: 80}`, "ns/auth:80/http2",
			`grpcService: {envoyGrpc: {clusterName: "ns/auth:80/http2", authority: "auth.ns:80"}, timeout: 10s}`,
		},
		{
			"gRPC over h2c, with some headers and the body", `protocol: GRPC, grpc: {allowedHeaders: [X-A, x-b]}, forwardBody: {maxSize: 8192}, backendRef: {name: h2c, port: 80}`, "ns/h2c:80",
			`grpcService: {envoyGrpc: {clusterName: "ns/h2c:80", authority: "h2c.ns:80"}, timeout: 10s},
				allowedHeaders: {patterns: [{exact: x-a}, {exact: x-b}]}, withRequestBody: {maxRequestBytes: 8192}`,
		},
		{
			"gRPC without settings, over TLS", `protocol: GRPC, forwardBody: {maxSize: 0}, backendRef: {name: tls, port: 80}`, "ns/tls:80/http2/client-certificate/ns/client",
			`grpcService: {envoyGrpc: {clusterName: "ns/tls:80/http2/client-certificate/ns/client", authority: "tls.ns:80"}, timeout: 10s}`,
		},
		{
			"HTTP", `protocol: HTTP, http: {}, backendRef: {name: auth, port: 80}`, "ns/auth:80",
			`httpService: {` + server + `authorizationResponse: {allowedUpstreamHeaders: ` + all + `}}`,
		},
		{
			"HTTP with all", `protocol: HTTP, http: {path: /check/, allowedHeaders: [Cookie], allowedResponseHeaders: [X-User, HOST, content-length]}, forwardBody: {maxSize: 1}, backendRef: {name: auth, port: 80}`,
			"ns/auth:80",
			`httpService: {` + server + `pathPrefix: /check, authorizationResponse: {allowedUpstreamHeaders: {patterns: [{exact: x-user}]}}},
				allowedHeaders: {patterns: [{exact: cookie}]}, withRequestBody: {maxRequestBytes: 1}`,
		},
		{
			"HTTP without settings, with a path that isn't absolute", `protocol: HTTP, http: {path: check/it}, backendRef: {name: auth, port: 80}`, "ns/auth:80",
			`httpService: {` + server + `pathPrefix: /check/it, authorizationResponse: {allowedUpstreamHeaders: ` + all + `}}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			facts := virtualHost("*", httpRoute(t, "h", `{rules: [
				{filters: [{type: ExternalAuth, externalAuth: {`+tt.filter+`}}], backendRefs: [{name: a, port: 80}]}]}`))
			facts.ClientCertificate = types.NamespacedName{Namespace: "ns", Name: "client"}
			vh, clusters := translated(t, facts)
			expect(t, []*extauthzv3.ExtAuthz{extAuthzOf(t, vh.Routes[0].TypedPerFilterConfig)}, `[{`+common+tt.want+`}]`)
			if want := []string{"ns/a:80", tt.cluster}; !slices.Equal(clusters, want) {
				t.Errorf("clusters %q, want %q", clusters, want)
			}
		})
	}
}

// A server that can't be asked is no reason to let requests pass.
func TestExternalAuthFails(t *testing.T) {
	t.Parallel()
	const auth = `{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: missing, port: 80}}}`
	for _, tt := range []struct {
		name, rule string
		want       map[string]int // by the last digit of what Envoy draws
	}{
		{"rule", `{filters: [` + auth + `], backendRefs: [{name: a, port: 80}]}`, map[string]int{"500": 10}},
		{"redirect", `{filters: [` + auth + `, {type: RequestRedirect, requestRedirect: {}}]}`, map[string]int{"500": 10}},
		{"backend", `{backendRefs: [{name: a, port: 80, filters: [` + auth + `]}]}`, map[string]int{"500": 10}},
		{"one backend of two", `{backendRefs: [{name: a, port: 80, filters: [` + auth + `]}, {name: b, port: 80}]}`, map[string]int{"ns/b:80": 5, UnresolvedCluster: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vh, clusters := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [`+tt.rule+`]}`)))
			for random := range uint64(10) {
				tt.want[sentTo(vh, random)]--
			}
			for to, n := range tt.want {
				if n != 0 {
					t.Errorf("%s: %+d of 10 requests", to, -n)
				}
			}
			if slices.Contains(clusters, "ns/missing:80") {
				t.Errorf("clusters %q", clusters)
			}
		})
	}
}

// A redirect is authorized as other responses are.
func TestExternalAuthOfRedirect(t *testing.T) {
	t.Parallel()
	vh, clusters := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: x}},
		{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: auth, port: 80}}}]}]}`)))
	if vh.Routes[0].GetRedirect() == nil || extAuthzOf(t, vh.Routes[0].TypedPerFilterConfig) == nil || !slices.Equal(clusters, []string{"ns/auth:80"}) {
		t.Errorf("%v, clusters %q", vh.Routes[0], clusters)
	}
}

func TestNoneOf(t *testing.T) {
	t.Parallel()
	words := []string{"te", "test", "host", "a-b", ":s"}
	expression := regexp.MustCompile("^(?:" + noneOf(words) + ")$")
	tried := slices.Clone(words)
	for _, word := range words {
		for i := range word {
			tried = append(tried, word[:i], word[:i]+"x", word[:i]+"x"+word[i+1:], word+"x", word+word, strings.ToUpper(word))
		}
	}
	for _, s := range tried {
		if want := !slices.Contains(words, s); expression.MatchString(s) != want {
			t.Errorf("%s matches %q: %t", expression, s, !want)
		}
	}
}
