package graph

import (
	"fmt"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var externalAuth = filterRow{
	filter: gwv1.HTTPRouteFilterExternalAuth, field: "externalAuth", once: true,
	isSet: func(f *gwv1.HTTPRouteFilter) bool { return f.ExternalAuth != nil },
	check: func(f *gwv1.HTTPRouteFilter) *Problem { return unsupportedAuth(f.ExternalAuth) },
	warn: func(f *gwv1.HTTPRouteFilter, field func(string) string) []string {
		return authWarnings(f.ExternalAuth, field)
	},
	target: &filterTarget{
		ref: func(f *gwv1.HTTPRouteFilter) *gwv1.BackendObjectReference { return &f.ExternalAuth.BackendRef },
		check: func(f *gwv1.HTTPRouteFilter, b BackendFacts) *Problem {
			return unsupportedAuthProtocol(f.ExternalAuth, b)
		},
		// "If there is any problem communicating with the external service, this filter MUST fail closed."
		keep: func(f *FilterFacts, i int, b BackendFacts) {
			f.ExternalAuth = &ExternalAuthFacts{Filter: i, BackendFacts: b}
		},
	},
}

func unsupportedAuth(a *gwv1.HTTPExternalAuthFilter) *Problem {
	switch a.ExternalAuthProtocol {
	case gwv1.HTTPRouteExternalAuthGRPCProtocol, gwv1.HTTPRouteExternalAuthHTTPProtocol:
	default:
		return unsupportedValue("protocol %s is not known", a.ExternalAuthProtocol)
	}
	if a.HTTPAuthConfig != nil {
		return unsupportedAuthPath(a.HTTPAuthConfig.Path)
	}
	return nil
}

// unsupportedAuthPath: "Valid values are the same as the value regex for path values in the match stanza. ... Even with the
// validation, implementations MUST sanitize this input before using it directly." What the rules of HTTPPathMatch refuse and
// the schema doesn't could lead an authorization server to take the path for another one.
func unsupportedAuthPath(path string) *Problem {
	lower := strings.ToLower(path)
	unsafe := strings.ContainsAny(path, "?#") || strings.Contains(path, "//") || strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c")
	for segment := range strings.SplitSeq(strings.ReplaceAll(lower, "%2e", "."), "/") {
		unsafe = unsafe || segment == "." || segment == ".."
	}
	if unsafe {
		return unsupportedValue(`%q must not contain "//", "%%2f", "%%5c" or segments "." and ".."`, path).in("http.path")
	}
	return brokenLine(path)
}

// unsupportedAuthProtocol: "The backend must speak the selected protocol (GRPC or HTTP) on the referenced port."
func unsupportedAuthProtocol(a *gwv1.HTTPExternalAuthFilter, b BackendFacts) *Problem {
	if a.ExternalAuthProtocol == gwv1.HTTPRouteExternalAuthGRPCProtocol {
		return unsupportedBackendProtocol(KindGRPCRoute, b)
	}
	return nil
}

// UncopiedHeaders are those of a response of an authorization server that are never copied into the request to the backend:
// "all headers from the authorization server except Authority or Host", and except those that tell how the response itself
// is framed and sent, which would break the request. They are in lower case, and sorted.
var UncopiedHeaders = slices.Sorted(slices.Values(append([]string{":authority", ":status", "host"}, hopHeaders...)))

func authWarnings(a *gwv1.HTTPExternalAuthFilter, field func(string) string) []string {
	var warnings []string
	// "Bodies over that size must be rejected with a 4xx series error (413 or 403 are common examples), and fail processing of
	// the filter" (ForwardBody), and also "must be truncated to maxSize bytes" (MaxSize): both can't be. To authorize what the
	// server has seen a part of only would be the less safe of the two.
	if a.ForwardBody != nil && a.ForwardBody.MaxSize > 0 {
		warnings = append(warnings, field("forwardBody.maxSize")+": requests with a larger body are answered with 413; their bodies are not truncated")
	}
	if a.HTTPAuthConfig != nil {
		for i, name := range a.HTTPAuthConfig.AllowedResponseHeaders {
			if slices.Contains(UncopiedHeaders, strings.ToLower(name)) {
				warnings = append(warnings, field(fmt.Sprintf("http.allowedResponseHeaders[%d]", i))+
					" has no effect: "+name+" of one message cannot be that of another")
			}
		}
	}
	return warnings
}
