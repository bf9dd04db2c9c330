package graph

import (
	"fmt"
	"slices"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var httpMethods = []gwv1.HTTPMethod{
	gwv1.HTTPMethodGet, gwv1.HTTPMethodHead, gwv1.HTTPMethodPost, gwv1.HTTPMethodPut, gwv1.HTTPMethodDelete,
	gwv1.HTTPMethodConnect, gwv1.HTTPMethodOptions, gwv1.HTTPMethodTrace, gwv1.HTTPMethodPatch,
}

var redirectStatusCodes = []int{301, 302, 303, 307, 308}

func (g *Graph) httpRules(from Key, route *gwv1.HTTPRoute) []RuleFacts {
	rules := make([]RuleFacts, len(route.Spec.Rules))
	for i := range route.Spec.Rules {
		rules[i] = g.httpRule(from, i, &route.Spec.Rules[i])
	}
	return rules
}

func (g *Graph) httpRule(from Key, i int, rule *gwv1.HTTPRouteRule) RuleFacts {
	id := ruleName(i, rule.Name)
	session, invalidSession := ruleSession(id, rule.SessionPersistence)
	f := RuleFacts{
		Name:    id.name,
		Session: session,
		Dropped: firstProblem(unsupportedHTTPMatch(id, rule), invalidTimeout(id, rule), invalidRetry(id, rule.Retry), invalidSession,
			prefixNotMatched(id, rule)),
		Failing: firstProblem(redirectAndRewrite(id, rule), unsupportedHTTPFilter(id, rule), unsupportedHTTPBackendFilter(id, rule)),
	}
	for j := range rule.BackendRefs {
		f.Backends = append(f.Backends, g.ruleBackend(from, id, j, &rule.BackendRefs[j].BackendRef, session))
	}
	for j := range rule.Filters {
		if mirror := rule.Filters[j].RequestMirror; mirror != nil {
			f.Mirrors = append(f.Mirrors, g.ruleMirror(from, id, j, mirror))
		}
	}
	return f
}

// unsupportedHTTPMatch finds a match that can't be expressed: one of an unknown type, or with an invalid regular
// expression. The rule is dropped, for what it would match isn't known.
func unsupportedHTTPMatch(id ruleID, rule *gwv1.HTTPRouteRule) *Problem {
	for i := range rule.Matches {
		m := &rule.Matches[i]
		in := func(p *Problem, format string, args ...any) *Problem {
			return p.in(id.field(fmt.Sprintf("matches[%d].", i) + fmt.Sprintf(format, args...)))
		}
		if p := invalidPath(m.Path); p != nil {
			return in(p, "path")
		}
		for j := range m.Headers {
			if p := invalidMatchType(m.Headers[j].Type, m.Headers[j].Value); p != nil {
				return in(p, "headers[%d]", j)
			}
		}
		for j := range m.QueryParams {
			if p := invalidMatchType(m.QueryParams[j].Type, m.QueryParams[j].Value); p != nil {
				return in(p, "queryParams[%d]", j)
			}
		}
		if m.Method != nil && !slices.Contains(httpMethods, *m.Method) {
			return in(unsupportedValue("%s is not known", *m.Method), "method")
		}
	}
	return nil
}

// invalidPath: "Unknown values here must result in the implementation setting the Accepted Condition for the Route to
// status: False, with a Reason of UnsupportedValue" (PathMatchType). Envoy refuses an empty regular expression.
func invalidPath(path *gwv1.HTTPPathMatch) *Problem {
	if path == nil {
		return nil
	}
	switch t := valueOr(path.Type, gwv1.PathMatchPathPrefix); t {
	case gwv1.PathMatchExact, gwv1.PathMatchPathPrefix:
		return nil
	case gwv1.PathMatchRegularExpression:
		if path.Value != nil && *path.Value == "" {
			return unsupportedValue("the regular expression is empty")
		}
		return invalidRegex(valueOr(path.Value, "/"))
	default:
		return unsupportedValue("type %s is not known", t)
	}
}

// invalidTimeout: "The value of Request is a Gateway API Duration string as defined by GEP-2257", a subset of Go's
// durations.
func invalidTimeout(id ruleID, rule *gwv1.HTTPRouteRule) *Problem {
	if rule.Timeouts == nil {
		return nil
	}
	check := func(field string, value *gwv1.Duration) *Problem {
		if value == nil {
			return nil
		}
		if _, err := time.ParseDuration(string(*value)); err != nil {
			return unsupportedValue("%q is not a duration", *value).in(id.field("timeouts." + field))
		}
		return nil
	}
	return firstProblem(check("request", rule.Timeouts.Request), check("backendRequest", rule.Timeouts.BackendRequest))
}

// prefixNotMatched: "ReplacePrefixMatch is only compatible with a PathPrefix HTTPRouteMatch. Using any other
// HTTPRouteMatch type on the same HTTPRouteRule will result in the implementation setting the Accepted Condition for the
// Route to status: False."
func prefixNotMatched(id ruleID, rule *gwv1.HTTPRouteRule) *Problem {
	replaces := func(path *gwv1.HTTPPathModifier) bool {
		return path != nil && path.Type == gwv1.PrefixMatchHTTPPathModifier
	}
	for i := range rule.Filters {
		f := &rule.Filters[i]
		if !(f.URLRewrite != nil && replaces(f.URLRewrite.Path)) && !(f.RequestRedirect != nil && replaces(f.RequestRedirect.Path)) {
			continue
		}
		for j := range rule.Matches {
			path := rule.Matches[j].Path
			if path != nil && valueOr(path.Type, gwv1.PathMatchPathPrefix) != gwv1.PathMatchPathPrefix {
				return unsupportedValue("ReplacePrefixMatch needs matches of type PathPrefix; matches[%d] has type %s", j, *path.Type).
					in(id.field(fmt.Sprintf("filters[%d]", i)))
			}
		}
	}
	return nil
}

// redirectAndRewrite: "All filters are expected to be compatible with each other except for the URLRewrite and
// RequestRedirect filters, which may not be combined."
func redirectAndRewrite(id ruleID, rule *gwv1.HTTPRouteRule) *Problem {
	has := func(t gwv1.HTTPRouteFilterType) bool {
		return slices.ContainsFunc(rule.Filters, func(f gwv1.HTTPRouteFilter) bool { return f.Type == t })
	}
	if !has(gwv1.HTTPRouteFilterRequestRedirect) || !has(gwv1.HTTPRouteFilterURLRewrite) {
		return nil
	}
	return newProblem(gwv1.RouteReasonIncompatibleFilters, "RequestRedirect and URLRewrite can't be combined").in(id.field("filters"))
}

// unsupportedHTTPFilter: "Unknown values here must result in the implementation setting the Accepted Condition for the
// Route to status: False, with a Reason of UnsupportedValue" (HTTPRouteFilter.Type), and in what a filter is set to.
func unsupportedHTTPFilter(id ruleID, rule *gwv1.HTTPRouteRule) *Problem {
	seen := map[gwv1.HTTPRouteFilterType]int{}
	for i := range rule.Filters {
		f := &rule.Filters[i]
		p := httpFilter(f)
		if p == nil && f.Type != gwv1.HTTPRouteFilterRequestMirror {
			p = repeatedFilter(seen, f.Type, i)
		}
		if p != nil {
			return p.in(id.field(fmt.Sprintf("filters[%d]", i)))
		}
	}
	return nil
}

func httpFilter(f *gwv1.HTTPRouteFilter) *Problem {
	switch f.Type {
	case gwv1.HTTPRouteFilterRequestHeaderModifier:
		if f.RequestHeaderModifier == nil {
			return filterWithoutConfig("requestHeaderModifier")
		}
		return unsupportedHeaders(f.RequestHeaderModifier, true)
	case gwv1.HTTPRouteFilterResponseHeaderModifier:
		if f.ResponseHeaderModifier == nil {
			return filterWithoutConfig("responseHeaderModifier")
		}
		return unsupportedHeaders(f.ResponseHeaderModifier, false)
	case gwv1.HTTPRouteFilterRequestMirror:
		if f.RequestMirror == nil {
			return filterWithoutConfig("requestMirror")
		}
	case gwv1.HTTPRouteFilterRequestRedirect:
		if f.RequestRedirect == nil {
			return filterWithoutConfig("requestRedirect")
		}
		return unsupportedRedirect(f.RequestRedirect)
	case gwv1.HTTPRouteFilterURLRewrite:
		if f.URLRewrite == nil {
			return filterWithoutConfig("urlRewrite")
		}
		return unsupportedPathModifier(f.URLRewrite.Path)
	default:
		return unsupportedFilter(f.Type, gwv1.HTTPRouteFilterRequestHeaderModifier, gwv1.HTTPRouteFilterResponseHeaderModifier,
			gwv1.HTTPRouteFilterRequestMirror, gwv1.HTTPRouteFilterRequestRedirect, gwv1.HTTPRouteFilterURLRewrite)
	}
	return nil
}

func unsupportedRedirect(r *gwv1.HTTPRequestRedirectFilter) *Problem {
	if r.Scheme != nil && *r.Scheme != "http" && *r.Scheme != "https" {
		return unsupportedValue("scheme %s is not known", *r.Scheme)
	}
	if r.StatusCode != nil && !slices.Contains(redirectStatusCodes, *r.StatusCode) {
		return unsupportedValue("statusCode %d is not a redirect", *r.StatusCode)
	}
	return unsupportedPathModifier(r.Path)
}

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

// unsupportedHTTPBackendFilter: "Filters defined at this level should be executed if and only if the request is being
// forwarded to the backend defined here." Of these, header modifiers are supported.
func unsupportedHTTPBackendFilter(id ruleID, rule *gwv1.HTTPRouteRule) *Problem {
	for i := range rule.BackendRefs {
		seen := map[gwv1.HTTPRouteFilterType]int{}
		for j := range rule.BackendRefs[i].Filters {
			f := &rule.BackendRefs[i].Filters[j]
			var p *Problem
			switch f.Type {
			case gwv1.HTTPRouteFilterRequestHeaderModifier, gwv1.HTTPRouteFilterResponseHeaderModifier:
				p = firstProblem(httpFilter(f), repeatedFilter(seen, f.Type, j))
			default:
				p = unsupportedFilter(f.Type, gwv1.HTTPRouteFilterRequestHeaderModifier, gwv1.HTTPRouteFilterResponseHeaderModifier)
			}
			if p != nil {
				return p.in(id.field(fmt.Sprintf("backendRefs[%d].filters[%d]", i, j)))
			}
		}
	}
	return nil
}
