package translate

import (
	"regexp"
	"regexp/syntax"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func grpcMatch(spec *gwv1.GRPCRouteMatch) match {
	m := match{path: grpcPath(spec.Method), grpc: true}
	for _, h := range spec.Headers {
		m.headers = append(m.headers, valueMatch{
			name:  lowerName(h.Name),
			value: h.Value,
			regex: deref(h.Type, gwv1.GRPCHeaderMatchExact) == gwv1.GRPCHeaderMatchRegularExpression,
		})
	}
	m.headers = firstOfEach(m.headers)
	m.precedence = grpcPrecedence(spec.Method, &m)
	return m
}

// anySegment matches a service or a method of any name.
const anySegment = "[^/]+"

// grpcPath returns the path of a gRPC request, "/service/method", where a service or method that isn't given is any.
func grpcPath(spec *gwv1.GRPCMethodMatch) pathMatch {
	if spec == nil {
		return pathMatch{form: pathSegments}
	}
	service, method := deref(spec.Service, ""), deref(spec.Method, "")
	switch {
	case service == "" && method == "":
		return pathMatch{form: pathSegments}
	case isGRPCRegex(spec):
		return pathMatch{form: pathRegex, value: "/" + segmentRegex(service) + "/" + segmentRegex(method)}
	case service == "":
		return pathMatch{form: pathRegex, value: "/" + anySegment + "/" + regexp.QuoteMeta(method)}
	case method == "":
		return pathMatch{form: pathPrefix, value: "/" + service + "/"}
	default:
		return pathMatch{form: pathExact, value: "/" + service + "/" + method}
	}
}

func isGRPCRegex(spec *gwv1.GRPCMethodMatch) bool {
	return deref(spec.Type, gwv1.GRPCMethodMatchExact) == gwv1.GRPCMethodMatchRegularExpression
}

// segmentRegex makes an expression fit to stand between others.
func segmentRegex(expression string) string {
	if expression == "" {
		return anySegment
	}
	if strings.Contains(expression, `\Q`) {
		// \Q without \E quotes to the end, which would be the end of the whole. The parsed form prints without quoting.
		if parsed, err := syntax.Parse(expression, syntax.Perl); err == nil {
			expression = parsed.String()
		}
	}
	return "(?:" + expression + ")"
}
