package translate

import (
	"fmt"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// rule is a rule of an HTTPRoute or of a GRPCRoute in one form: the two differ in how they match and in what a gRPC
// client has to be told, not in what is done with a request.
type rule struct {
	name     string           // the start of its Envoy routes' names
	metadata *corev3.Metadata // of its Envoy routes, which share it
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

// fails says that requests for the backend are answered with an error: it is invalid, or nobody can authorize them.
func (b *backend) fails() bool { return b.Problem != nil || b.effects.auth.fails() }

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
			r.named("httproute", route, i)
			r.fillHTTP(&route.HTTP.Spec.Rules[i])
		} else {
			r.named("grpcroute", route, i)
			r.fillGRPC(&route.GRPC.Spec.Rules[i])
		}
		out = append(out, r)
	}
	return out
}

// named has a rule say which one it is: its name is "kind/namespace/name/rule/rule", where the last is what the route calls it,
// or its index if it doesn't.
func (r *rule) named(kind string, route *graph.RouteFacts, index int) {
	origin := originOf(route.Key)
	origin.Rule = route.Rules[index].Name
	if origin.Rule == "" {
		origin.Rule = strconv.Itoa(index)
	}
	r.name = fmt.Sprintf("%s/%s/%s/rule/%s", kind, route.Key.Namespace, route.Key.Name, origin.Rule)
	r.metadata = origin.metadata()
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
	r.effects = effectsOf(spec.Filters, &r.facts.FilterFacts)
	for i := range r.facts.Backends {
		b := &r.facts.Backends[i]
		r.backends = append(r.backends, backend{BackendFacts: b, effects: effectsOf(spec.BackendRefs[i].Filters, &b.Filters)})
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
	r.effects = effectsOf(graph.HTTPFilters(spec.Filters), &r.facts.FilterFacts)
	for i := range r.facts.Backends {
		b := &r.facts.Backends[i]
		r.backends = append(r.backends, backend{BackendFacts: b, effects: effectsOf(graph.HTTPFilters(spec.BackendRefs[i].Filters), &b.Filters)})
	}
	r.giveTokens()
}
