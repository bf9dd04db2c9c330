package graph

import (
	"fmt"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// listenerWarnings names what is set in a listener, of a Gateway or a ListenerSet, and does nothing.
func listenerWarnings(l *ListenerFacts) []string {
	var warnings []string
	warn := func(field, why string) {
		warnings = append(warnings, fmt.Sprintf("%s has no effect: %s", l.field(field), why))
	}
	if tls := l.Spec.TLS; tls != nil {
		if len(tls.Options) > 0 {
			warn("tls.options", "no options are known")
		}
		// "The certificateRefs field is ignored in this mode."
		if valueOr(tls.Mode, gwv1.TLSModeTerminate) == gwv1.TLSModePassthrough && len(tls.CertificateRefs) > 0 {
			warn("tls.certificateRefs", "mode is Passthrough, in which backends show their own certificates")
		}
	}
	from, selector := routeNamespaces(l)
	warnings = append(warnings, selectorWithoutEffect(l.field("allowedRoutes.namespaces.selector"), from, selector)...)
	return append(warnings, unchosenCertificates(l)...)
}
