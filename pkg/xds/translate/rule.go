package translate

import (
	"fmt"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// rule is a rule of an HTTPRoute or of a GRPCRoute in one form: the two differ in how they match and in what a gRPC
// client has to be told, not in what is done with a request.
type rule struct {
	name     string // the start of its Envoy routes' names
	grpc     bool
	facts    *graph.RuleFacts
	matches  []match // at least one
	effects  effects
	backends []backend
	timeouts gwv1.HTTPRouteTimeouts
	retry    *gwv1.HTTPRouteRetry
}

// backend is a backendRef with its own filters.
type backend struct {
	*graph.BackendFacts
	effects effects
	token   *sessionToken // keeps sessions; or nil
}

func (b *backend) hasEffects() bool {
	return b.effects.host != "" || !b.effects.request.empty() || !b.effects.response.empty()
}

// rulesOf returns the rules of a route that are served.
func rulesOf(route *graph.RouteFacts) []*rule {
	var out []*rule
	for i := range route.Rules {
		facts := &route.Rules[i]
		if facts.Dropped != nil {
			continue
		}
		r := &rule{facts: facts}
		if route.HTTP != nil {
			r.name = ruleName("httproute", route, i)
			r.fillHTTP(&route.HTTP.Spec.Rules[i])
		} else {
			r.name = ruleName("grpcroute", route, i)
			r.fillGRPC(&route.GRPC.Spec.Rules[i])
		}
		out = append(out, r)
	}
	return out
}

// ruleName returns "kind/namespace/name/rule/rule", where the last is the rule's name, or its index if it has none.
func ruleName(kind string, route *graph.RouteFacts, index int) string {
	name := route.Rules[index].Name
	if name == "" {
		name = fmt.Sprint(index)
	}
	return fmt.Sprintf("%s/%s/%s/rule/%s", kind, route.Key.Namespace, route.Key.Name, name)
}

func (r *rule) fillHTTP(spec *gwv1.HTTPRouteRule) {
	// "If no matches are specified, the default is a prefix path match on "/"."
	matches := spec.Matches
	if len(matches) == 0 {
		matches = []gwv1.HTTPRouteMatch{{}}
	}
	for i := range matches {
		r.matches = append(r.matches, httpMatch(&matches[i]))
	}
	r.effects = effectsOf(spec.Filters, r.facts.Mirrors)
	for i := range r.facts.Backends {
		b := backend{BackendFacts: &r.facts.Backends[i]}
		b.effects = effectsOf(spec.BackendRefs[i].Filters, nil)
		r.backends = append(r.backends, b)
	}
	if spec.Timeouts != nil {
		r.timeouts = *spec.Timeouts
	}
	r.retry = spec.Retry
	r.giveTokens()
}

func (r *rule) fillGRPC(spec *gwv1.GRPCRouteRule) {
	r.grpc = true
	// "If no matches are specified, the implementation MUST match every gRPC request."
	matches := spec.Matches
	if len(matches) == 0 {
		matches = []gwv1.GRPCRouteMatch{{}}
	}
	for i := range matches {
		r.matches = append(r.matches, grpcMatch(&matches[i]))
	}
	r.effects = effectsOf(asHTTPFilters(spec.Filters), r.facts.Mirrors)
	for i := range r.facts.Backends {
		b := backend{BackendFacts: &r.facts.Backends[i]}
		b.effects = effectsOf(asHTTPFilters(spec.BackendRefs[i].Filters), nil)
		r.backends = append(r.backends, b)
	}
	r.giveTokens()
}

// asHTTPFilters returns the filters of a GRPCRoute as those of an HTTPRoute: the types of the former are a part of the latter's.
func asHTTPFilters(filters []gwv1.GRPCRouteFilter) []gwv1.HTTPRouteFilter {
	out := make([]gwv1.HTTPRouteFilter, len(filters))
	for i, f := range filters {
		out[i] = gwv1.HTTPRouteFilter{
			Type:                   gwv1.HTTPRouteFilterType(f.Type),
			RequestHeaderModifier:  f.RequestHeaderModifier,
			ResponseHeaderModifier: f.ResponseHeaderModifier,
			RequestMirror:          f.RequestMirror,
			ExtensionRef:           f.ExtensionRef,
		}
	}
	return out
}

// effects is what a list of filters does to a request and its response.
type effects struct {
	request, response headerMutations
	host              string // replaces the Host header, unless empty
	path              *gwv1.HTTPPathModifier
	redirect          *gwv1.HTTPRequestRedirectFilter
	mirrors           []mirror
}

// effectsOf reads filters in their order. Filters of other types never get here: a rule with one is failing (see graph.RuleFacts).
func effectsOf(filters []gwv1.HTTPRouteFilter, mirrors []graph.MirrorFacts) effects {
	var e effects
	for i := range filters {
		switch f := &filters[i]; {
		case f.RequestHeaderModifier != nil:
			e.request = e.request.then(headerModifier(f.RequestHeaderModifier))
			if host := hostModifier(f.RequestHeaderModifier); host != "" {
				e.host = host
			}
		case f.ResponseHeaderModifier != nil:
			e.response = e.response.then(headerModifier(f.ResponseHeaderModifier))
		case f.URLRewrite != nil:
			if f.URLRewrite.Hostname != nil {
				e.host = string(*f.URLRewrite.Hostname)
			}
			e.path = f.URLRewrite.Path
		case f.RequestRedirect != nil:
			e.redirect = f.RequestRedirect
			e.path = f.RequestRedirect.Path
		}
	}
	for i := range mirrors {
		m := &mirrors[i]
		if f := filters[m.Filter].RequestMirror; m.Problem == nil && f != nil {
			e.mirrors = append(e.mirrors, mirror{backend: &m.BackendFacts, percent: f.Percent, fraction: f.Fraction})
		}
	}
	return e
}
