package graph

import (
	"fmt"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var urlRewrite = filterRow{
	filter: gwv1.HTTPRouteFilterURLRewrite, field: "urlRewrite",
	isSet: func(f *gwv1.HTTPRouteFilter) bool { return f.URLRewrite != nil },
	check: func(f *gwv1.HTTPRouteFilter) *Problem { return unsupportedPathModifier(f.URLRewrite.Path) },
}

// unsupportedPathModifier: "Unknown values here must result in the implementation setting the Accepted Condition for the
// Route to status: False, with a Reason of UnsupportedValue" (HTTPPathModifier.Type).
func unsupportedPathModifier(path *gwv1.HTTPPathModifier) *Problem {
	if path == nil {
		return nil
	}
	switch path.Type {
	case gwv1.FullPathHTTPPathModifier:
		if path.ReplaceFullPath == nil {
			return filterWithoutConfig("path.replaceFullPath")
		}
		return brokenLine(*path.ReplaceFullPath)
	case gwv1.PrefixMatchHTTPPathModifier:
		if path.ReplacePrefixMatch == nil {
			return filterWithoutConfig("path.replacePrefixMatch")
		}
		return brokenLine(*path.ReplacePrefixMatch)
	}
	return unsupportedValue("path type %s is not known", path.Type)
}

// prefixNotMatched: "ReplacePrefixMatch is only compatible with a PathPrefix HTTPRouteMatch. Using any other
// HTTPRouteMatch type on the same HTTPRouteRule will result in the implementation setting the Accepted Condition for the
// Route to status: False."
func prefixNotMatched(id ruleID, rule *gwv1.HTTPRouteRule) *Problem {
	if p := prefixNotMatchedBy(rule.Filters, rule.Matches, id.field); p != nil {
		return p
	}
	for i := range rule.BackendRefs {
		if p := prefixNotMatchedBy(rule.BackendRefs[i].Filters, rule.Matches, backendField(id, i)); p != nil {
			return p
		}
	}
	return nil
}

func prefixNotMatchedBy(filters []gwv1.HTTPRouteFilter, matches []gwv1.HTTPRouteMatch, field func(path string) string) *Problem {
	replaces := func(path *gwv1.HTTPPathModifier) bool {
		return path != nil && path.Type == gwv1.PrefixMatchHTTPPathModifier
	}
	for i := range filters {
		f := &filters[i]
		if !(f.URLRewrite != nil && replaces(f.URLRewrite.Path)) && !(f.RequestRedirect != nil && replaces(f.RequestRedirect.Path)) {
			continue
		}
		for j := range matches {
			path := matches[j].Path
			if path != nil && valueOr(path.Type, gwv1.PathMatchPathPrefix) != gwv1.PathMatchPathPrefix {
				return unsupportedValue("ReplacePrefixMatch needs matches of type PathPrefix; matches[%d] has type %s", j, *path.Type).
					in(field(fmt.Sprintf("filters[%d]", i)))
			}
		}
	}
	return nil
}
