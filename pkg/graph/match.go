package graph

import (
	"fmt"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// matchNames are the names of what one of a rule's matches asks for, each list in the order of its field.
type matchNames struct {
	rule                 ruleID
	index                int // in the rule's matches
	headers, queryParams []string
}

// field names the i-th entry of a list of the match.
func (m matchNames) field(list string, i int) string {
	return m.rule.field(fmt.Sprintf("matches[%d].%s[%d]", m.index, list, i))
}

// matches returns the names in all matches of an HTTPRoute or a GRPCRoute.
func (f *RouteFacts) matches() []matchNames {
	var all []matchNames
	if f.GRPC != nil {
		for i := range f.GRPC.Spec.Rules {
			rule := &f.GRPC.Spec.Rules[i]
			for j := range rule.Matches {
				names := matchNames{rule: ruleName(i, rule.Name), index: j}
				for _, h := range rule.Matches[j].Headers {
					names.headers = append(names.headers, string(h.Name))
				}
				all = append(all, names)
			}
		}
		return all
	}
	for i := range f.HTTP.Spec.Rules {
		rule := &f.HTTP.Spec.Rules[i]
		for j := range rule.Matches {
			names := matchNames{rule: ruleName(i, rule.Name), index: j}
			for _, h := range rule.Matches[j].Headers {
				names.headers = append(names.headers, string(h.Name))
			}
			for _, q := range rule.Matches[j].QueryParams {
				names.queryParams = append(names.queryParams, string(q.Name))
			}
			all = append(all, names)
		}
	}
	return all
}

// matchWarnings names the conditions of matches that have no effect, and those that never hold.
func matchWarnings(f *RouteFacts) []string {
	var warnings []string
	for _, m := range f.matches() {
		// "Due to the case-insensitivity of header names, "foo" and "Foo" are considered equivalent" (HTTPHeaderMatch.Name).
		warnings = append(warnings, m.repeated("headers", m.headers, strings.EqualFold)...)
		warnings = append(warnings, m.repeated("queryParams", m.queryParams, func(a, b string) bool { return a == b })...)
		if f.hasEnvoyParent() {
			warnings = append(warnings, m.underscored("headers", m.headers)...)
		}
	}
	return warnings
}

// repeated: "If multiple entries specify equivalent header names, only the first entry with an equivalent name MUST be
// considered for a match. Subsequent entries with an equivalent header name MUST be ignored" (HTTPHeaderMatch.Name); the same
// is said of query parameters.
func (m matchNames) repeated(list string, names []string, equivalent func(a, b string) bool) []string {
	var warnings []string
	for i, name := range names {
		first := slices.IndexFunc(names, func(other string) bool { return equivalent(other, name) })
		if first < i {
			warnings = append(warnings, fmt.Sprintf("%s has no effect: of equivalent names the first counts, which is that of %s", m.field(list, i), m.field(list, first)))
		}
	}
	return warnings
}

// underscored finds headers that no request has: Envoys refuse requests with an underscore in the name of a header, since
// many servers read it as a hyphen.
func (m matchNames) underscored(list string, names []string) []string {
	var warnings []string
	for i, name := range names {
		if strings.Contains(name, "_") {
			warnings = append(warnings, fmt.Sprintf("%s: the match never holds: Envoys refuse requests that have a header with an underscore in its name, as %s has; use a hyphen", m.field(list, i), name))
		}
	}
	return warnings
}

// hasEnvoyParent says whether the route is one for Envoys, whatever comes of that.
func (f *RouteFacts) hasEnvoyParent() bool {
	return slices.ContainsFunc(f.Refs, func(ref gwv1.ParentReference) bool { return parentKind(ref) != KindService })
}
