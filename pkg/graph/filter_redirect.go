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

// neverForwarded names what a rule says of forwarding, of which a redirect leaves nothing to be done. The schema refuses
// backendRefs beside one.
func neverForwarded(id ruleID, rule *gwv1.HTTPRouteRule) []string {
	var warnings []string
	for _, field := range []struct {
		path  string
		isSet bool
	}{
		{"backendRefs", len(rule.BackendRefs) > 0},
		{"timeouts", rule.Timeouts != nil},
		{"retry", rule.Retry != nil},
		{"sessionPersistence", rule.SessionPersistence != nil},
	} {
		if field.isSet {
			warnings = append(warnings, id.field(field.path)+" has no effect: the rule answers every request with a redirect")
		}
	}
	return warnings
}

// redirectWarnings names the mirrors that a redirect leaves no use for.
func (f ruleFilters) redirectWarnings(id ruleID) []string {
	warnings := unmirrored(f.rule, id.field)
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
