package status

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// warnings are texts for the Warning headers of the answer to a write, which kubectl prints. They tell the writer at
// once what the conditions tell whoever looks.
type warnings []string

// add adds lines that aren't there yet. Control characters, which get into a message with a value that it quotes, become
// spaces: a header can't carry them, and the API server would leave the whole warning out.
func (w *warnings) add(lines ...string) {
	for _, line := range lines {
		line = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, line)
		if !slices.Contains(*w, line) {
			*w = append(*w, line)
		}
	}
}

// problem adds "WHAT (REASON): MESSAGE".
func (w *warnings) problem(what string, p *graph.Problem) {
	if p != nil {
		w.add(fmt.Sprintf("%s (%s): %s", what, p.Reason, p.Message))
	}
}

// listeners adds what is wrong with the listeners of a Gateway or a ListenerSet.
func (w *warnings) listeners(listeners []*graph.ListenerFacts) {
	for _, l := range listeners {
		name := fmt.Sprintf("listener %q ", l.Spec.Name)
		w.problem(name+"is not accepted", l.Unaccepted)
		w.problem(name+"has a reference that is not resolved", l.Unresolved)
		if l.Unaccepted == nil && l.Unresolved == nil {
			w.problem(name+"is not programmed", l.Unprogrammed)
		}
	}
}

// GatewayClassWarnings returns what the writer of a GatewayClass should know.
func GatewayClassWarnings(f *graph.GatewayClassFacts) []string {
	var w warnings
	w.problem("the GatewayClass is not accepted", f.Unaccepted)
	return w
}

// GatewayWarnings returns what the writer of a Gateway should know. Overlapping hostnames are not among it: they are
// common, and wanted.
func GatewayWarnings(f *graph.GatewayFacts) []string {
	var w warnings
	if f.ClassMissing {
		w.add(fmt.Sprintf("spec.gatewayClassName: GatewayClass %s does not exist; the Gateway is served as soon as one of ours has that name", f.Object.Spec.GatewayClassName))
	}
	w.problem("the Gateway is not accepted", f.Unaccepted)
	if f.Unaccepted == nil {
		w.problem("the Gateway is not programmed", f.Unprogrammed)
	}
	w.listeners(slices.DeleteFunc(slices.Clone(f.Listeners), func(l *graph.ListenerFacts) bool { return l.Key.Parent.Kind == graph.KindListenerSet }))
	if f.Unresolved != nil && f.Unresolved.Reason != string(gwv1.GatewayReasonListenersNotResolved) {
		w.problem("the Gateway has a reference that is not resolved", f.Unresolved)
	}
	w.problem("clients are not authenticated", f.InsecureFrontend)
	w.add(f.Warnings...)
	return w
}

// RouteWarnings returns what the writer of a route should know: parents that do not exist or do not
// accept it, rules that are not served, backends that are not resolved. A route for gateways of other controllers only
// gets none, since they may read it otherwise.
func RouteWarnings(f *graph.RouteFacts) []string {
	var w warnings
	if len(f.Parents) == 0 {
		w.add("spec.parentRefs is empty: the route is attached to nothing and serves no requests")
	} else if !slices.ContainsFunc(f.Parents, func(p graph.ParentFacts) bool { return p.Managed || p.Missing || p.ClassMissing }) {
		return nil
	}
	var byGateway, byService bool
	for i := range f.Parents {
		p := &f.Parents[i]
		if p.Managed && p.Unaccepted == nil {
			byGateway, byService = byGateway || p.Service == nil, byService || p.Service != nil
		}
		field := fmt.Sprintf("spec.parentRefs[%d]", i)
		if p.Default {
			field = "spec.useDefaultGateways"
		}
		if p.Missing {
			w.add(fmt.Sprintf("%s: %s does not exist; the route is attached as soon as it does", field, parentName(p)))
		} else if p.ClassMissing {
			w.add(fmt.Sprintf("%s: the GatewayClass of %s does not exist, so nobody accepts the route", field, parentName(p)))
		} else if p.Managed {
			w.problem(fmt.Sprintf("%s: not accepted by %s", field, parentName(p)), p.Unaccepted)
		}
	}
	// A route that is accepted nowhere gets no requests that could be answered.
	failing, unresolved, unauthorized := "a rule cannot be served", "a backend is not resolved", "an authorization server is not resolved"
	if byGateway || byService {
		// "UNAVAILABLE statuses MUST be returned" for GRPCRoutes. They are also what proxyless clients fail calls with, whatever the
		// kind of the route.
		calls := f.Key.Kind == graph.KindGRPCRoute
		failing = "a rule answers every request with 500"
		if calls {
			failing = "a rule fails every call with UNAVAILABLE"
		}
		unresolved += ", " + lostShare(f.Key.Kind, calls)
		unauthorized += ", the requests that it would authorize are answered with 500"
	}
	for _, r := range rulesOf(f) {
		w.problem("a rule is not served", r.Dropped)
		w.problem(failing, r.Failing)
		if byService {
			w.problem("a rule fails every call of a proxyless gRPC client", r.NeedsProxy)
		}
		w.filters(r.FilterFacts, unauthorized)
		for _, b := range r.Backends {
			w.problem(unresolved, b.Problem)
			w.filters(b.Filters, unauthorized)
		}
	}
	w.add(f.Warnings...)
	return w
}

// rulesOf returns the rules of a route as its parents see them, of which Services see their own.
func rulesOf(f *graph.RouteFacts) []graph.RuleFacts {
	if !slices.ContainsFunc(f.Parents, func(p graph.ParentFacts) bool { return p.Service == nil }) && f.MeshRules != nil {
		return f.MeshRules
	}
	return slices.Concat(f.Rules, f.MeshRules)
}

// lostShare says what becomes of what is meant for a backend that isn't resolved. With calls, a route gets nothing but gRPC.
func lostShare(kind graph.Kind, calls bool) string {
	switch kind {
	case graph.KindTLSRoute, graph.KindTCPRoute:
		return "its share of the connections is closed"
	case graph.KindUDPRoute:
		return "its share of the packets is dropped"
	}
	if calls {
		return "its share of the calls fails with UNAVAILABLE"
	}
	return "its share of the requests is answered with 500"
}

// filters adds what is wrong with what filters refer to.
func (w *warnings) filters(f graph.FilterFacts, unauthorized string) {
	for _, m := range f.Mirrors {
		w.problem("a mirror is left out", m.Problem)
	}
	if f.ExternalAuth != nil {
		w.problem(unauthorized, f.ExternalAuth.Problem)
	}
}

// parentName returns "Kind namespace/name" of what a parentRef refers to.
func parentName(p *graph.ParentFacts) string {
	switch {
	case p.Gateway != nil:
		return "Gateway " + p.Gateway.String()
	case p.ListenerSet != nil:
		return "ListenerSet " + p.ListenerSet.String()
	case p.Service != nil:
		return "Service " + p.Service.String()
	case p.Ref.Kind != nil:
		return string(*p.Ref.Kind) + " " + string(p.Ref.Name)
	default:
		return "Gateway " + string(p.Ref.Name)
	}
}
