package graph

import (
	"fmt"
	"regexp/syntax"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A ruleID names a rule in messages.
type ruleID struct {
	index int
	name  string // may be empty
}

func ruleName(i int, name *gwv1.SectionName) ruleID {
	return ruleID{i, string(valueOr(name, ""))}
}

// field names a field of the rule: `rule "center-rule" filters[0]`, or spec.rules[2].filters[0] if the rule has no name.
func (r ruleID) field(path string) string {
	if r.name != "" {
		return fmt.Sprintf("rule %q %s", r.name, path)
	}
	return fmt.Sprintf("spec.rules[%d].%s", r.index, path)
}

func unsupportedValue(format string, args ...any) *Problem {
	return newProblem(gwv1.RouteReasonUnsupportedValue, format, args...)
}

// invalidRegex: a regular expression has to be one that Envoy takes, which is RE2. Go's package regexp accepts the same.
func invalidRegex(expression string) *Problem {
	if _, err := syntax.Parse(expression, syntax.Perl); err != nil {
		return unsupportedValue("%q is not a regular expression of RE2: %v", expression, err)
	}
	return nil
}

// invalidMatchType checks a type of Exact or RegularExpression, as headers, query parameters and gRPC methods have it,
// and the values that it is about: "Unknown values here must result in the implementation setting the Accepted Condition
// for the Route to status: False, with a Reason of UnsupportedValue."
func invalidMatchType[T ~string](matchType *T, values ...string) *Problem {
	switch t := valueOr(matchType, "Exact"); t {
	case "Exact":
		return nil
	case "RegularExpression":
		for _, v := range values {
			if p := invalidRegex(v); p != nil {
				return p
			}
		}
		return nil
	default:
		return unsupportedValue("type %s is not known", t)
	}
}
