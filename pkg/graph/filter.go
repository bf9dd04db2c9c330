package graph

import (
	"fmt"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A filterRow says what there is to know of a type of filters. Each stands in a file of its own, beside the rules of what the
// filter is set to; what a filter makes of a request is said in package translate.
type filterRow struct {
	filter gwv1.HTTPRouteFilterType
	// field holds the settings of a filter of that type.
	field string
	isSet func(*gwv1.HTTPRouteFilter) bool
	// check finds what is wrong with the settings; nil if nothing can be.
	check func(*gwv1.HTTPRouteFilter) *Problem
	// warn names what of the settings has no effect or another one; nil if all has. The function field makes the paths of
	// fields.
	warn func(f *gwv1.HTTPRouteFilter, field func(path string) string) []string
	// grpc: GRPCRoutes may have the filter too. The types of their filters are a part of those of HTTPRoutes.
	grpc bool
	// repeatable: "Specifying the same filter multiple times is not supported unless explicitly indicated in the filter."
	repeatable bool
	// once: a request can't be filtered both by the rule's and by the backend's, because an Envoy has one such filter.
	once bool
	// excludes are the types that a filter can't be combined with.
	excludes []gwv1.HTTPRouteFilterType
	// target is the backend that a filter refers to; nil if it refers to none.
	target *filterTarget
	// unmeshed: proxyless clients leave the filter out, instead of failing for want of it; see proxyless.go.
	unmeshed bool
}

// A filterTarget says what there is to know of the backend that a filter of a type refers to.
type filterTarget struct {
	ref func(*gwv1.HTTPRouteFilter) *gwv1.BackendObjectReference
	// check finds why a backend that is valid for the route isn't for the filter; nil if there is no such reason.
	check func(*gwv1.HTTPRouteFilter, BackendFacts) *Problem
	// keep puts the backend of the i-th filter of a list into what is true of the list.
	keep func(f *FilterFacts, i int, b BackendFacts)
}

// filterRows are the filters that are supported. ExtensionRef is not: there are no filters of our own.
var filterRows = []*filterRow{
	&requestHeaderModifier, &responseHeaderModifier, &requestMirror, &requestRedirect, &urlRewrite, &corsFilter, &externalAuth,
}

func rowOf(filter gwv1.HTTPRouteFilterType) *filterRow {
	for _, row := range filterRows {
		if row.filter == filter {
			return row
		}
	}
	return nil
}

// HTTPFilters returns the filters of a GRPCRoute as those of an HTTPRoute.
func HTTPFilters(filters []gwv1.GRPCRouteFilter) []gwv1.HTTPRouteFilter {
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

// ruleFilters are the filters of a rule of an HTTPRoute or of a GRPCRoute.
type ruleFilters struct {
	grpc     bool
	rule     []gwv1.HTTPRouteFilter
	backends [][]gwv1.HTTPRouteFilter // of each of backendRefs
}

func httpFilters(rule *gwv1.HTTPRouteRule) ruleFilters {
	f := ruleFilters{rule: rule.Filters, backends: make([][]gwv1.HTTPRouteFilter, len(rule.BackendRefs))}
	for i := range rule.BackendRefs {
		f.backends[i] = rule.BackendRefs[i].Filters
	}
	return f
}

func grpcFilters(rule *gwv1.GRPCRouteRule) ruleFilters {
	f := ruleFilters{grpc: true, rule: HTTPFilters(rule.Filters), backends: make([][]gwv1.HTTPRouteFilter, len(rule.BackendRefs))}
	for i := range rule.BackendRefs {
		f.backends[i] = HTTPFilters(rule.BackendRefs[i].Filters)
	}
	return f
}

// invalid finds a filter that cannot be executed, so that the rule fails: "Filters defined at this level MUST be executed if
// and only if the request is being forwarded to the backend defined here" holds for those of a backendRef.
func (f ruleFilters) invalid(id ruleID) *Problem {
	if p := f.invalidList(f.rule, nil, id.field); p != nil {
		return p
	}
	for i, filters := range f.backends {
		if p := f.invalidList(filters, f.rule, backendField(id, i)); p != nil {
			return p
		}
	}
	return nil
}

// backendField makes the paths of fields of the i-th of a rule's backendRefs.
func backendField(id ruleID, i int) func(path string) string {
	return func(path string) string { return id.field(fmt.Sprintf("backendRefs[%d].%s", i, path)) }
}

// invalidList looks at a list of filters that run after those of another list.
func (f ruleFilters) invalidList(filters, earlier []gwv1.HTTPRouteFilter, field func(path string) string) *Problem {
	if p := incompatibleFilters(filters, earlier); p != nil {
		return p.in(field("filters"))
	}
	seen := map[gwv1.HTTPRouteFilterType]int{}
	for i := range filters {
		if p := firstProblem(f.invalidFilter(&filters[i]), repeatedFilter(seen, filters[i].Type, i)); p != nil {
			return p.in(field(fmt.Sprintf("filters[%d]", i)))
		}
	}
	return nil
}

// invalidFilter: "Unknown values here must result in the implementation setting the Accepted Condition for the Route to
// status: False, with a Reason of UnsupportedValue" (HTTPRouteFilter.Type), and in what a filter is set to.
func (f ruleFilters) invalidFilter(filter *gwv1.HTTPRouteFilter) *Problem {
	row := rowOf(filter.Type)
	switch {
	case row == nil || f.grpc && !row.grpc:
		return f.unsupported(filter.Type)
	case !row.isSet(filter):
		return filterWithoutConfig(row.field)
	case row.check != nil:
		return row.check(filter)
	}
	return nil
}

func (f ruleFilters) unsupported(filter gwv1.HTTPRouteFilterType) *Problem {
	var names []string
	for _, row := range filterRows {
		if row.grpc || !f.grpc {
			names = append(names, string(row.filter))
		}
	}
	return unsupportedValue("filter %s is not supported here; supported are %s", filter, strings.Join(names, ", "))
}

func filterWithoutConfig(field string) *Problem {
	return unsupportedValue("%s must be set", field)
}

func repeatedFilter(seen map[gwv1.HTTPRouteFilterType]int, filter gwv1.HTTPRouteFilterType, i int) *Problem {
	first, repeated := seen[filter]
	if !repeated {
		seen[filter] = i
		return nil
	}
	if row := rowOf(filter); row == nil || row.repeatable {
		return nil
	}
	return newProblem(gwv1.RouteReasonIncompatibleFilters, "%s is already in filters[%d]", filter, first)
}

// incompatibleFilters: "All filters are expected to be compatible with each other except for the URLRewrite and
// RequestRedirect filters, which may not be combined. If an implementation cannot support other combinations of filters, they
// must clearly document that limitation. In cases where incompatible or unsupported filters are specified and cause the
// Accepted condition to be set to status False, implementations may use the IncompatibleFilters reason."
func incompatibleFilters(filters, earlier []gwv1.HTTPRouteFilter) *Problem {
	for _, row := range filterRows {
		if has(filters, row.filter) && row.once && has(earlier, row.filter) {
			return newProblem(gwv1.RouteReasonIncompatibleFilters, "%s is already among the filters of the rule", row.filter)
		}
		for _, other := range row.excludes {
			here, there := has(filters, row.filter), has(filters, other)
			if here && there || here && has(earlier, other) || there && has(earlier, row.filter) {
				return newProblem(gwv1.RouteReasonIncompatibleFilters, "%s and %s can't be combined", row.filter, other)
			}
		}
	}
	return nil
}

func has(filters []gwv1.HTTPRouteFilter, filter gwv1.HTTPRouteFilterType) bool {
	return slices.ContainsFunc(filters, func(f gwv1.HTTPRouteFilter) bool { return f.Type == filter })
}

// eachTarget visits the filters that refer to a backend.
func eachTarget(filters []gwv1.HTTPRouteFilter, visit func(i int, row *filterRow)) {
	for i := range filters {
		if row := rowOf(filters[i].Type); row != nil && row.target != nil && row.isSet(&filters[i]) {
			visit(i, row)
		}
	}
}

// eachBackendRef visits what the filters refer to.
func (f ruleFilters) eachBackendRef(visit func(*gwv1.BackendObjectReference)) {
	each := func(filters []gwv1.HTTPRouteFilter) {
		eachTarget(filters, func(i int, row *filterRow) { visit(row.target.ref(&filters[i])) })
	}
	each(f.rule)
	for _, filters := range f.backends {
		each(filters)
	}
}

// resolveFilters resolves what the filters of a rule and of its backends refer to.
func (g *Graph) resolveFilters(from origin, id ruleID, filters ruleFilters, f *RuleFacts) {
	f.FilterFacts = g.filterFacts(from, filters.rule, id.field)
	for i := range f.Backends {
		f.Backends[i].Filters = g.filterFacts(from, filters.backends[i], backendField(id, i))
	}
}

func (g *Graph) filterFacts(from origin, filters []gwv1.HTTPRouteFilter, field func(path string) string) FilterFacts {
	var f FilterFacts
	eachTarget(filters, func(i int, row *filterRow) {
		b := g.backend(from, row.target.ref(&filters[i]), 1)
		if b.Problem == nil && row.target.check != nil {
			b.Problem = row.target.check(&filters[i], b)
		}
		if b.Problem != nil {
			b.Problem = b.Problem.in(field(fmt.Sprintf("filters[%d].%s.backendRef", i, row.field)))
		}
		row.target.keep(&f, i, b)
	})
	return f
}

// warnings names what of the filters has no effect, or another one than one might think.
func (f ruleFilters) warnings(id ruleID) []string {
	warnings := filterWarnings(f.rule, id.field)
	for i, filters := range f.backends {
		warnings = append(warnings, filterWarnings(filters, backendField(id, i))...)
	}
	return warnings
}

func filterWarnings(filters []gwv1.HTTPRouteFilter, field func(path string) string) []string {
	var warnings []string
	for i := range filters {
		row := rowOf(filters[i].Type)
		if row == nil || row.warn == nil || !row.isSet(&filters[i]) {
			continue
		}
		warnings = append(warnings, row.warn(&filters[i], func(path string) string {
			return field(fmt.Sprintf("filters[%d].%s.%s", i, row.field, path))
		})...)
	}
	return warnings
}
