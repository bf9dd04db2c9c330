package graph

import (
	"fmt"
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var requestRedirect = filterRow{
	filter: gwv1.HTTPRouteFilterRequestRedirect, field: "requestRedirect",
	// "This may not be used on the same Route rule or BackendRef as a URLRewrite filter." And Envoy adds CORS headers to
	// responses of backends only, and not to redirects of its own.
	excludes: []gwv1.HTTPRouteFilterType{gwv1.HTTPRouteFilterURLRewrite, gwv1.HTTPRouteFilterCORS},
	isSet:    func(f *gwv1.HTTPRouteFilter) bool { return f.RequestRedirect != nil },
	check:    func(f *gwv1.HTTPRouteFilter) *Problem { return unsupportedRedirect(f.RequestRedirect) },
}

var redirectStatusCodes = []int{301, 302, 303, 307, 308}

// unsupportedRedirect: "Unknown values here must result in the implementation setting the Accepted Condition for the Route to
// status: False, with a Reason of UnsupportedValue" (Scheme, StatusCode).
func unsupportedRedirect(r *gwv1.HTTPRequestRedirectFilter) *Problem {
	if r.Scheme != nil && *r.Scheme != "http" && *r.Scheme != "https" {
		return unsupportedValue("scheme %s is not known", *r.Scheme)
	}
	if r.StatusCode != nil && !slices.Contains(redirectStatusCodes, *r.StatusCode) {
		return unsupportedValue("statusCode %d is not a redirect", *r.StatusCode)
	}
	return unsupportedPathModifier(r.Path)
}

// redirectWarnings names what a redirect leaves no use for. The schema refuses backendRefs beside one.
func (f ruleFilters) redirectWarnings(id ruleID) []string {
	var warnings []string
	if has(f.rule, gwv1.HTTPRouteFilterRequestRedirect) && len(f.backends) > 0 {
		warnings = append(warnings, id.field("backendRefs")+" has no effect: the rule answers every request with a redirect")
	}
	warnings = append(warnings, unmirrored(f.rule, id.field)...)
	for i, filters := range f.backends {
		warnings = append(warnings, unmirrored(filters, backendField(id, i))...)
	}
	return warnings
}

// unmirrored: Envoy mirrors what it forwards.
func unmirrored(filters []gwv1.HTTPRouteFilter, field func(path string) string) []string {
	if !has(filters, gwv1.HTTPRouteFilterRequestRedirect) {
		return nil
	}
	var warnings []string
	for i := range filters {
		if filters[i].Type == gwv1.HTTPRouteFilterRequestMirror {
			warnings = append(warnings, field(fmt.Sprintf("filters[%d]", i))+" has no effect: Envoy does not mirror requests that it answers with a redirect")
		}
	}
	return warnings
}
