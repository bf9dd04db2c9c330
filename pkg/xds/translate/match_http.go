package translate

import (
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func httpMatch(spec *gwv1.HTTPRouteMatch) match {
	m := match{path: httpPath(spec.Path), method: string(deref(spec.Method, ""))}
	for _, h := range spec.Headers {
		m.headers = append(m.headers, valueMatch{
			name:  lowerName(h.Name),
			value: h.Value,
			regex: deref(h.Type, gwv1.HeaderMatchExact) == gwv1.HeaderMatchRegularExpression,
		})
	}
	for _, q := range spec.QueryParams {
		m.query = append(m.query, valueMatch{
			name:  string(q.Name), // "This must be an exact string match."
			value: q.Value,
			regex: deref(q.Type, gwv1.QueryParamMatchExact) == gwv1.QueryParamMatchRegularExpression,
		})
	}
	m.headers, m.query = firstOfEach(m.headers), firstOfEach(m.query)
	m.precedence = httpPrecedence(&m)
	return m
}

// httpPath returns the path of a match, by default that of every request. Of a PathPrefix, "a trailing / is ignored".
func httpPath(spec *gwv1.HTTPPathMatch) pathMatch {
	if spec == nil {
		return pathMatch{form: pathSegments}
	}
	value := deref(spec.Value, "/")
	switch deref(spec.Type, gwv1.PathMatchPathPrefix) {
	case gwv1.PathMatchExact:
		return pathMatch{form: pathExact, value: value}
	case gwv1.PathMatchRegularExpression:
		return pathMatch{form: pathRegex, value: value}
	default:
		return pathMatch{form: pathSegments, value: strings.TrimRight(value, "/")}
	}
}
