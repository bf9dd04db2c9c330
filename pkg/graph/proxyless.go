package graph

import (
	"fmt"
	"net/http"
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Proxyless clients of the mesh are gRPC clients that execute their routes themselves (gRFC A28, xDS traffic splitting and
// routing). They choose backends, and no more: they change nothing of a request or its response, mirror nothing and keep no
// sessions. Of retries they do a part: see meshRetryWarnings. Sidecars execute all that Gateways do, so that a route is accepted
// for what proxyless clients can't, and Warnings and the condition's message tell that their calls fail.

// hasServiceParent says whether the route is one for mesh clients (GEP-1294), whatever comes of that.
func (f *RouteFacts) hasServiceParent() bool {
	return slices.ContainsFunc(f.Refs, func(ref gwv1.ParentReference) bool { return parentKind(ref) == KindService })
}

// findNeedsProxy finds the rules of a route that only a proxy can execute, among those that can be executed at all.
func (f *RouteFacts) findNeedsProxy() {
	for i := range f.MeshRules {
		rule := &f.MeshRules[i]
		if rule.Dropped != nil || rule.Failing != nil {
			continue
		}
		id, filters := f.ruleFilters(i)
		rule.NeedsProxy = firstProblem(filters.needProxy(id, rule.Backends), xbackendNeedsProxy(rule, i), tlsNeedsProxy(rule, i))
	}
}

// ruleFilters returns the filters of a rule of an HTTPRoute or a GRPCRoute.
func (f *RouteFacts) ruleFilters(i int) (ruleID, ruleFilters) {
	if f.HTTP != nil {
		rule := &f.HTTP.Spec.Rules[i]
		return ruleName(i, rule.Name), httpFilters(rule)
	}
	rule := &f.GRPC.Spec.Rules[i]
	return ruleName(i, rule.Name), grpcFilters(rule)
}

// needProxy: a filter "MUST NOT be skipped" (HTTPRouteFilter.Type), so that a rule with one that the clients can't
// execute can't be served to them. A mirror is left out instead: its answers reach nobody.
func (f ruleFilters) needProxy(id ruleID, backends []BackendFacts) *Problem {
	if p := needProxy(f.rule, id.field); p != nil {
		return p
	}
	for i, filters := range f.backends {
		if p := needProxy(filters, backendField(id, i)); p != nil && backends[i].Weight > 0 {
			return p
		}
	}
	return nil
}

func needProxy(filters []gwv1.HTTPRouteFilter, field func(path string) string) *Problem {
	for i := range filters {
		if row := rowOf(filters[i].Type); row == nil || !row.unmeshed {
			return unsupportedValue("%s cannot be executed by proxyless gRPC clients", filters[i].Type).
				in(field(fmt.Sprintf("filters[%d]", i)))
		}
	}
	return nil
}

// unmeshed names the filters that proxyless clients leave out.
func (f ruleFilters) unmeshed(id ruleID) []string {
	warnings := unmeshed(f.rule, id.field)
	for i, filters := range f.backends {
		warnings = append(warnings, unmeshed(filters, backendField(id, i))...)
	}
	return warnings
}

func unmeshed(filters []gwv1.HTTPRouteFilter, field func(path string) string) []string {
	var warnings []string
	for i := range filters {
		if row := rowOf(filters[i].Type); row != nil && row.unmeshed {
			warnings = append(warnings, field(fmt.Sprintf("filters[%d]", i))+
				" has no effect for proxyless gRPC clients, which mirror no requests")
		}
	}
	return warnings
}

// tlsNeedsProxy: clients execute their routes over the transport credentials that they were made with. Whom to trust could
// be told to those with credentials of xDS, as names of what their bootstrap holds (gRFC A29), and to others not at all:
// these would send in plaintext what a BackendTLSPolicy wants encrypted.
func tlsNeedsProxy(rule *RuleFacts, i int) *Problem {
	for j := range rule.Backends {
		if b := &rule.Backends[j]; b.TLS && b.Weight > 0 {
			return unsupportedValue("a BackendTLSPolicy applies to Service %s, and proxyless gRPC clients cannot be told to use TLS", b.Backend.NamespacedName()).
				in(ruleID{i, rule.Name}.field(fmt.Sprintf("backendRefs[%d]", j)))
		}
	}
	return nil
}

// meshWarnings names what proxyless clients leave out of the rules of a route.
func meshWarnings(f *RouteFacts) []string {
	var warnings []string
	if f.GRPC != nil {
		for i := range f.GRPC.Spec.Rules {
			rule := &f.GRPC.Spec.Rules[i]
			id := ruleName(i, rule.Name)
			warnings = append(warnings, grpcFilters(rule).unmeshed(id)...)
			warnings = append(warnings, meshSessionWarnings(id, rule.SessionPersistence)...)
		}
		return warnings
	}
	for i := range f.HTTP.Spec.Rules {
		rule := &f.HTTP.Spec.Rules[i]
		id := ruleName(i, rule.Name)
		for j := range rule.Matches {
			m := &rule.Matches[j]
			if m.Method != nil && *m.Method != http.MethodPost {
				warnings = append(warnings, id.field(fmt.Sprintf("matches[%d].method", j))+
					": for proxyless gRPC clients, the match never holds: the method of their requests is POST")
			}
			if len(m.QueryParams) > 0 {
				warnings = append(warnings, id.field(fmt.Sprintf("matches[%d].queryParams", j))+
					": for proxyless gRPC clients, the match never holds: their requests have no query parameters")
			}
		}
		warnings = append(warnings, httpFilters(rule).unmeshed(id)...)
		warnings = append(warnings, meshTimeoutWarnings(id, rule)...)
		warnings = append(warnings, meshRetryWarnings(id, rule.Retry)...)
		warnings = append(warnings, meshSessionWarnings(id, rule.SessionPersistence)...)
	}
	return warnings
}
