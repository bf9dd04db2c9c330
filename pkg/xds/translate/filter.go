package translate

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/types/known/anypb"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// effects is what a list of filters does to a request and its response. How each is said to Envoy is in a file of its own.
type effects struct {
	request, response headerMutations
	host              string // replaces the Host header, unless empty
	path              *gwv1.HTTPPathModifier
	redirect          *gwv1.HTTPRequestRedirectFilter
	mirrors           []mirror
	cors              *gwv1.HTTPCORSFilter
	auth              *externalAuth
}

// effectsOf reads filters in their order. Filters of other types never get here: a rule with one is failing (see graph.RuleFacts).
func effectsOf(filters []gwv1.HTTPRouteFilter, facts *graph.FilterFacts) effects {
	var e effects
	for i := range filters {
		switch f := &filters[i]; {
		case f.RequestHeaderModifier != nil:
			e.request = e.request.then(headerModifier(f.RequestHeaderModifier))
			e.host = cmp.Or(hostModifier(f.RequestHeaderModifier), e.host)
		case f.ResponseHeaderModifier != nil:
			e.response = e.response.then(headerModifier(f.ResponseHeaderModifier))
		case f.URLRewrite != nil:
			e.host = cmp.Or(string(deref(f.URLRewrite.Hostname, "")), e.host)
			e.path = f.URLRewrite.Path
		case f.RequestRedirect != nil:
			e.redirect = f.RequestRedirect
			e.path = f.RequestRedirect.Path
		case f.CORS != nil:
			e.cors = f.CORS
		case f.ExternalAuth != nil:
			e.auth = &externalAuth{spec: f.ExternalAuth}
		}
	}
	for i := range facts.Mirrors {
		m := &facts.Mirrors[i]
		if f := filters[m.Filter].RequestMirror; m.Problem == nil && f != nil {
			e.mirrors = append(e.mirrors, mirror{backend: &m.BackendFacts, percent: f.Percent, fraction: f.Fraction})
		}
	}
	if facts.ExternalAuth != nil && e.auth != nil {
		e.auth.backend = &facts.ExternalAuth.BackendFacts
	}
	return e
}

func (e *effects) empty() bool {
	return e.request.empty() && e.response.empty() && e.host == "" && e.cors == nil && e.auth == nil && !e.needRoute()
}

// needRoute says that the effects can't be said of one of several clusters, and want an Envoy route of its own.
func (e *effects) needRoute() bool { return e.path != nil || e.redirect != nil || len(e.mirrors) > 0 }

// then returns the effects of e followed by those of next: of the filters of a rule, and then of a backend.
func (e effects) then(next effects) effects {
	return effects{
		request:  e.request.then(next.request),
		response: e.response.then(next.response),
		host:     cmp.Or(next.host, e.host),
		path:     cmp.Or(next.path, e.path),
		redirect: cmp.Or(next.redirect, e.redirect),
		mirrors:  slices.Concat(e.mirrors, next.mirrors),
		cors:     cmp.Or(next.cors, e.cors),
		auth:     cmp.Or(next.auth, e.auth),
	}
}

// configs returns the settings of HTTP filters that hold for a route, or for one of its clusters; nil if there are none.
func (e *effects) configs(by connector, clusters clusterSet) map[string]*anypb.Any {
	out := map[string]*anypb.Any{}
	if e.cors != nil {
		out[corsFilterName] = packed(corsPolicy(e.cors))
	}
	if e.auth != nil {
		out[authFilterName] = e.auth.config(by, clusters)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
