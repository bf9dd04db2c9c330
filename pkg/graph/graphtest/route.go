package graphtest

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func randomHTTPRoute(c *choices, meta metav1.ObjectMeta) *gwv1.HTTPRoute {
	meta.CreationTimestamp = randomAge(c)
	return &gwv1.HTTPRoute{ObjectMeta: meta, Spec: gwv1.HTTPRouteSpec{
		CommonRouteSpec: randomParents(c),
		Hostnames:       randomHostnames(c),
		Rules:           some(c, 1, 2, func() gwv1.HTTPRouteRule { return randomHTTPRule(c) }),
	}}
}

func randomGRPCRoute(c *choices, meta metav1.ObjectMeta) *gwv1.GRPCRoute {
	meta.CreationTimestamp = randomAge(c)
	return &gwv1.GRPCRoute{ObjectMeta: meta, Spec: gwv1.GRPCRouteSpec{
		CommonRouteSpec: randomParents(c),
		Hostnames:       randomHostnames(c),
		Rules:           some(c, 0, 2, func() gwv1.GRPCRouteRule { return randomGRPCRule(c) }),
	}}
}

// randomStreamRoute returns a TLSRoute, a TCPRoute or a UDPRoute.
func randomStreamRoute(c *choices, kind graph.Kind, meta metav1.ObjectMeta) metav1.Object {
	meta.CreationTimestamp = randomAge(c)
	parents := randomParents(c)
	backends := some(c, 1, 2, func() gwv1.BackendRef { return randomBackend(c) })
	switch kind {
	case graph.KindTLSRoute:
		hostnames := append(randomHostnames(c), "a.example.com") // at least one is required
		return &gwv1.TLSRoute{ObjectMeta: meta, Spec: gwv1.TLSRouteSpec{
			CommonRouteSpec: parents, Hostnames: hostnames, Rules: []gwv1.TLSRouteRule{{BackendRefs: backends}},
		}}
	case graph.KindTCPRoute:
		return &gwv1.TCPRoute{ObjectMeta: meta, Spec: gwv1.TCPRouteSpec{CommonRouteSpec: parents, Rules: []gwv1.TCPRouteRule{{BackendRefs: backends}}}}
	}
	for i := range backends {
		if !c.flip(4) {
			backends[i].Port = new(int32(streamPort))
		}
	}
	return &gwv1.UDPRoute{ObjectMeta: meta, Spec: gwv1.UDPRouteSpec{CommonRouteSpec: parents, Rules: []gwv1.UDPRouteRule{{BackendRefs: backends}}}}
}

func randomParents(c *choices) gwv1.CommonRouteSpec {
	spec := gwv1.CommonRouteSpec{}
	if c.flip(8) {
		spec.UseDefaultGateways = gwv1.GatewayDefaultScopeAll
	}
	spec.ParentRefs = some(c, 1, 2, func() gwv1.ParentReference {
		ref := gwv1.ParentReference{
			Name: "gw", Namespace: maybe[gwv1.Namespace](c, "app", "infra"),
			Port: pick[*int32](c, nil, nil, nil, new(int32(80)), new(int32(443))),
		}
		switch c.n(8) {
		case 1:
			ref.SectionName = new(gwv1.SectionName("l1"))
		case 2, 3:
			ref.Group, ref.Kind, ref.Name = new(gwv1.Group("")), new(gwv1.Kind("Service")), "s"
		case 4, 5:
			ref.Kind = new(gwv1.Kind("ListenerSet"))
		}
		return ref
	})
	return spec
}

func randomHostnames(c *choices) []gwv1.Hostname {
	return some(c, 0, 2, func() gwv1.Hostname {
		return pick[gwv1.Hostname](c, "a.example.com", "b.example.com", "*.example.com", "other.org")
	})
}

func randomHTTPRule(c *choices) gwv1.HTTPRouteRule {
	rule := gwv1.HTTPRouteRule{Name: maybe[gwv1.SectionName](c, "one", "two")}
	rule.BackendRefs = some(c, 0, 2, func() gwv1.HTTPBackendRef {
		ref := gwv1.HTTPBackendRef{BackendRef: randomBackend(c)}
		if c.flip(4) {
			ref.Filters = some(c, 1, 2, func() gwv1.HTTPRouteFilter { return randomFilter(c) })
		}
		return ref
	})
	switch c.n(8) {
	case 1:
		rule.Matches = []gwv1.HTTPRouteMatch{{Path: &gwv1.HTTPPathMatch{
			Type: new(gwv1.PathMatchRegularExpression), Value: new(pick(c, "/a+", "/(")),
		}}}
	case 2:
		rule.Matches = []gwv1.HTTPRouteMatch{{Path: &gwv1.HTTPPathMatch{
			Type: new(gwv1.PathMatchPathPrefix), Value: new(pick(c, "/a", "/a/b")),
		}}}
	case 3:
		rule.Matches = []gwv1.HTTPRouteMatch{{Method: new(gwv1.HTTPMethodPost)}, {Headers: []gwv1.HTTPHeaderMatch{{Name: "a", Value: "b"}}}}
	}
	switch c.n(12) {
	case 1, 2, 3, 4:
		rule.Filters = some(c, 1, 2, func() gwv1.HTTPRouteFilter { return randomFilter(c) })
	case 5:
		rule.BackendRefs = nil // "a backendRef and a redirect" is refused by the schema
		rule.Filters = []gwv1.HTTPRouteFilter{randomRedirect(c)}
	case 6:
		rule.Retry = &gwv1.HTTPRouteRetry{Codes: pick(c, nil, []gwv1.HTTPRouteRetryStatusCode{503}), Attempts: maybe(c, 0, 3), Backoff: maybe[gwv1.Duration](c, "0s", "1s")}
	case 7:
		rule.Timeouts = &gwv1.HTTPRouteTimeouts{Request: maybe[gwv1.Duration](c, "0s", "1h")}
	case 8:
		rule.SessionPersistence = randomSession(c)
	}
	return rule
}

func randomFilter(c *choices) gwv1.HTTPRouteFilter {
	switch c.n(10) {
	case 1:
		return gwv1.HTTPRouteFilter{Type: gwv1.HTTPRouteFilterCORS, CORS: &gwv1.HTTPCORSFilter{
			AllowOrigins:     []gwv1.CORSOrigin{pick[gwv1.CORSOrigin](c, "*", "https://*.example.com", "a")},
			AllowCredentials: maybe(c, true),
			ExposeHeaders:    []gwv1.HTTPHeaderName{"*"},
		}}
	case 2, 3, 4:
		return gwv1.HTTPRouteFilter{Type: gwv1.HTTPRouteFilterExternalAuth, ExternalAuth: &gwv1.HTTPExternalAuthFilter{
			ExternalAuthProtocol: pick(c, gwv1.HTTPRouteExternalAuthGRPCProtocol, gwv1.HTTPRouteExternalAuthHTTPProtocol),
			BackendRef:           randomBackend(c).BackendObjectReference,
			ForwardBody:          maybe(c, gwv1.ForwardBodyConfig{MaxSize: 1}),
		}}
	case 5:
		return gwv1.HTTPRouteFilter{
			Type:                  gwv1.HTTPRouteFilterRequestHeaderModifier,
			RequestHeaderModifier: &gwv1.HTTPHeaderFilter{Set: []gwv1.HTTPHeader{{Name: "a", Value: pick(c, "b", "a\nb")}}},
		}
	case 6:
		return gwv1.HTTPRouteFilter{
			Type:       gwv1.HTTPRouteFilterURLRewrite,
			URLRewrite: &gwv1.HTTPURLRewriteFilter{Hostname: maybe[gwv1.PreciseHostname](c, "a.example.com")},
		}
	case 7:
		return randomRedirect(c)
	case 8:
		return gwv1.HTTPRouteFilter{Type: gwv1.HTTPRouteFilterExtensionRef, ExtensionRef: &gwv1.LocalObjectReference{Group: "example.com", Kind: "Filter", Name: "f"}}
	default:
		return gwv1.HTTPRouteFilter{Type: gwv1.HTTPRouteFilterRequestMirror, RequestMirror: randomMirror(c)}
	}
}

func randomRedirect(c *choices) gwv1.HTTPRouteFilter {
	return gwv1.HTTPRouteFilter{
		Type:            gwv1.HTTPRouteFilterRequestRedirect,
		RequestRedirect: &gwv1.HTTPRequestRedirectFilter{Hostname: maybe[gwv1.PreciseHostname](c, "a.example.com")},
	}
}

func randomMirror(c *choices) *gwv1.HTTPRequestMirrorFilter {
	return &gwv1.HTTPRequestMirrorFilter{BackendRef: randomBackend(c).BackendObjectReference}
}

func randomGRPCRule(c *choices) gwv1.GRPCRouteRule {
	mirrors := func() []gwv1.GRPCRouteFilter {
		return some(c, 0, 1, func() gwv1.GRPCRouteFilter {
			return gwv1.GRPCRouteFilter{Type: gwv1.GRPCRouteFilterRequestMirror, RequestMirror: randomMirror(c)}
		})
	}
	rule := gwv1.GRPCRouteRule{
		Filters: mirrors(),
		BackendRefs: some(c, 0, 2, func() gwv1.GRPCBackendRef {
			return gwv1.GRPCBackendRef{BackendRef: randomBackend(c), Filters: mirrors()}
		}),
	}
	switch c.n(8) {
	case 1:
		rule.Matches = []gwv1.GRPCRouteMatch{{Method: &gwv1.GRPCMethodMatch{Type: new(gwv1.GRPCMethodMatchType("Fuzzy"))}}}
	case 2:
		rule.Matches = []gwv1.GRPCRouteMatch{{Method: &gwv1.GRPCMethodMatch{
			Type: new(gwv1.GRPCMethodMatchRegularExpression), Service: new(pick(c, "a.*", "(")),
		}}}
	case 3:
		rule.SessionPersistence = randomSession(c)
	}
	return rule
}

func randomBackend(c *choices) gwv1.BackendRef {
	ref := gwv1.BackendRef{BackendObjectReference: gwv1.BackendObjectReference{
		Name: pick[gwv1.ObjectName](c, "s", "s", "s", "missing"), Namespace: maybe[gwv1.Namespace](c, "app", "infra"),
		Port: pick(c, new(int32(80)), new(int32(81)), nil),
	}}
	switch c.n(16) {
	case 1:
		ref.Kind = new(gwv1.Kind("Bucket"))
	case 2, 3, 4:
		ref.Weight = new(pick[int32](c, 0, 3))
	case 5, 6, 7, 8:
		ref.Group, ref.Kind = new(gwv1.Group(xgroup)), new(gwv1.Kind("XBackend"))
	}
	return ref
}
