package graph

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var corsFilter = filterRow{
	filter: gwv1.HTTPRouteFilterCORS, field: "cors", once: true,
	isSet: func(f *gwv1.HTTPRouteFilter) bool { return f.CORS != nil },
	check: func(f *gwv1.HTTPRouteFilter) *Problem { return unsupportedCORS(f.CORS) },
	warn:  func(f *gwv1.HTTPRouteFilter, field func(string) string) []string { return corsWarnings(f.CORS, field) },
}

// corsOriginForm is that of the schema of v1: "The Origin consists of a scheme and a host, with an optional port, and takes
// the form <scheme>://<host>(:<port>). ... An origin value that includes only the * character indicates requests from all
// Origins are allowed." Versions before 1.5 took any URI.
var corsOriginForm = regexp.MustCompile(`^(?:\*|https?://(?:(?:\*\.)?(?:[a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+|\*)(?::([0-9]{1,5}))?)$`)

// unsupportedCORS finds origins, methods and headers that aren't any.
func unsupportedCORS(c *gwv1.HTTPCORSFilter) *Problem {
	for i, origin := range c.AllowOrigins {
		if !isCORSOrigin(string(origin)) {
			return unsupportedValue("%q is not an origin; it must be of the form scheme://host or scheme://host:port, or *", origin).
				in(fmt.Sprintf("allowOrigins[%d]", i))
		}
	}
	for i, method := range c.AllowMethods {
		if method != "*" && !slices.Contains(httpMethods, gwv1.HTTPMethod(method)) {
			return unsupportedValue("%s is not known", method).in(fmt.Sprintf("allowMethods[%d]", i))
		}
	}
	for _, list := range []struct {
		field string
		names []gwv1.HTTPHeaderName
	}{{"allowHeaders", c.AllowHeaders}, {"exposeHeaders", c.ExposeHeaders}} {
		for i, name := range list.names {
			if !isToken(string(name)) {
				return unsupportedValue("%q is not the name of a header", name).in(fmt.Sprintf("%s[%d]", list.field, i))
			}
		}
	}
	return nil
}

// isCORSOrigin: "Valid values for port are any integer between 1 and 65535".
func isCORSOrigin(origin string) bool {
	parts := corsOriginForm.FindStringSubmatch(origin)
	if parts == nil || parts[1] == "" {
		return parts != nil
	}
	port, err := strconv.Atoi(parts[1])
	return err == nil && 1 <= port && port <= 65535
}

// corsWarnings names what of a CORS filter is not as the specification has it.
func corsWarnings(c *gwv1.HTTPCORSFilter, field func(string) string) []string {
	var warnings []string
	if !valueOr(c.AllowCredentials, false) {
		return nil
	}
	// "If the configuration contains the wildcard * in exposeHeaders and allowCredentials is set to true, the gateway cannot use
	// the * in the Access-Control-Expose-Headers response header."
	if i := slices.Index(c.ExposeHeaders, "*"); i >= 0 {
		warnings = append(warnings, field(fmt.Sprintf("exposeHeaders[%d]", i))+
			" has no effect: * stands for no header where allowCredentials is true; name the headers")
	}
	// "If the Access-Control-Request-Headers header is not present in the request, the gateway must omit the
	// Access-Control-Allow-Headers response header."
	if slices.Contains(c.AllowHeaders, "*") {
		warnings = append(warnings, field("allowHeaders")+
			": to a preflight request without Access-Control-Request-Headers, Envoy answers with an empty Access-Control-Allow-Headers, not with none")
	}
	return warnings
}

// preflightWarnings: a browser asks with an OPTIONS request, which the filters of a rule see only if it matches the rule.
func preflightWarnings(id ruleID, rule *gwv1.HTTPRouteRule, filters ruleFilters) []string {
	cors := has(filters.rule, gwv1.HTTPRouteFilterCORS) || slices.ContainsFunc(filters.backends, func(list []gwv1.HTTPRouteFilter) bool {
		return has(list, gwv1.HTTPRouteFilterCORS)
	})
	takesAny := func(m gwv1.HTTPRouteMatch) bool { return m.Method == nil || *m.Method == http.MethodOptions }
	if !cors || len(rule.Matches) == 0 || slices.ContainsFunc(rule.Matches, takesAny) {
		return nil
	}
	return []string{id.field("matches") + ": no match takes preflight requests, whose method is OPTIONS; add one that does for the CORS filter to answer them"}
}
