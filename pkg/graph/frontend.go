package graph

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A frontend is a part of spec.tls.frontend that has clients validated: on a port, or by default.
type frontend struct {
	field      string
	port       gwv1.PortNumber // 0 is the default
	validation *gwv1.FrontendTLSValidation
}

// frontends returns the parts of spec.tls.frontend that ask for validation.
func frontends(gw *gwv1.Gateway) []frontend {
	if gw.Spec.TLS == nil || gw.Spec.TLS.Frontend == nil {
		return nil
	}
	var out []frontend
	config := gw.Spec.TLS.Frontend
	if config.Default.Validation != nil {
		out = append(out, frontend{"spec.tls.frontend.default.validation", 0, config.Default.Validation})
	}
	for i := range config.PerPort {
		if p := &config.PerPort[i]; p.TLS.Validation != nil {
			out = append(out, frontend{fmt.Sprintf("spec.tls.frontend.perPort[%d].tls.validation", i), p.Port, p.TLS.Validation})
		}
	}
	return out
}

// frontendOf returns what applies to the HTTPS listeners of a port, or nil: "Per port configuration ... overrides the
// default configuration for all Listeners handling HTTPS traffic that match this port", be it by asking for nothing.
func frontendOf(gw *gwv1.Gateway, port gwv1.PortNumber) *frontend {
	if gw.Spec.TLS == nil || gw.Spec.TLS.Frontend == nil {
		return nil
	}
	if slices.ContainsFunc(gw.Spec.TLS.Frontend.PerPort, func(p gwv1.TLSPortConfig) bool { return p.Port == port }) {
		return findFrontend(gw, port)
	}
	return findFrontend(gw, 0)
}

func findFrontend(gw *gwv1.Gateway, port gwv1.PortNumber) *frontend {
	for _, f := range frontends(gw) {
		if f.port == port {
			return &f
		}
	}
	return nil
}

// clientValidation finds what a listener asks of its clients' certificates (GEP-91). A reference that doesn't resolve
// is left out: nobody is trusted by it. "If ALL CACertificateRefs are invalid, the implementation MUST also ensure the
// Accepted condition on the listener is set to status: False, with the Reason NoValidCACertificate", so that it is not
// served without the validation that was asked for.
func (g *Graph) clientValidation(gw *gwv1.Gateway, l *ListenerFacts) (facts *ClientValidationFacts, unaccepted, unresolved *Problem) {
	if l.Spec.Protocol != gwv1.HTTPSProtocolType {
		return nil, nil, nil
	}
	f := frontendOf(gw, l.Spec.Port)
	if f == nil {
		return nil, nil, nil
	}
	if p := unknownMode(f); p != nil {
		return nil, p, nil
	}
	var trusted authorities
	var problems []*Problem
	for i, ref := range f.validation.CACertificateRefs {
		certificates, problem := g.clientAuthority(gw.Namespace, ref)
		if problem != nil {
			problems = append(problems, problem.in(fmt.Sprintf("%s.caCertificateRefs[%d]", f.field, i)))
		}
		trusted.add(certificates...)
	}
	if len(problems) > 0 {
		unresolved = newProblem(problems[0].Reason, "%s", joinMessages(problems))
	}
	if len(trusted) == 0 {
		why := fmt.Sprintf("%s.caCertificateRefs is empty", f.field)
		if unresolved != nil {
			why = unresolved.Message
		}
		return nil, newProblem(gwv1.ListenerReasonNoValidCACertificate, "clients cannot be validated: %s", why), unresolved
	}
	return &ClientValidationFacts{Authorities: trusted.pem(), Optional: f.validation.Mode == gwv1.AllowInsecureFallback}, nil, unresolved
}

// clientAuthority resolves a caCertificateRef: "It refers to a resource that cannot be resolved ... or is misconfigured ...
// InvalidCACertificateRef. ... It refers to an unknown or unsupported kind of resource. ... InvalidCACertificateKind. ...
// It refers to a resource in another namespace UNLESS there is a ReferenceGrant in the target namespace ...
// RefNotPermitted."
func (g *Graph) clientAuthority(namespace string, ref gwv1.ObjectReference) ([][]byte, *Problem) {
	target, known := configMapOf(namespace, ref)
	if !known {
		return nil, newProblem(gwv1.ListenerReasonInvalidCACertificateKind, "kind %s is not supported; refer to a ConfigMap",
			groupKind(ref.Group, ref.Kind))
	}
	if !g.permitted(KindGateway, namespace, target) {
		return nil, notPermitted(gwv1.ListenerReasonRefNotPermitted, KindGateway, namespace, target)
	}
	certificates, err := g.authority(target.NamespacedName())
	if err != nil {
		return nil, newProblem(gwv1.ListenerReasonInvalidCACertificateRef, "%v", err)
	}
	return certificates, nil
}

// unknownMode: what a mode that isn't known asks for isn't known either, and must not be less than is given.
func unknownMode(f *frontend) *Problem {
	switch f.validation.Mode {
	case "", gwv1.AllowValidOnly, gwv1.AllowInsecureFallback:
		return nil
	}
	return newProblem(gwv1.ListenerReasonUnsupportedValue, "%s.mode: %s is not known; use %s", f.field, f.validation.Mode, gwv1.AllowValidOnly)
}

// insecureFrontend: InsecureFrontendValidationMode "is true when the Gateway FrontendValidationModeType is configured to
// allow insecure fallback behavior", "either at the Gateway level or via a per-port override".
func insecureFrontend(gw *gwv1.Gateway) *Problem {
	var fields []string
	for _, f := range frontends(gw) {
		if f.validation.Mode == gwv1.AllowInsecureFallback {
			fields = append(fields, f.field+".mode")
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return newProblem(gwv1.GatewayReasonConfigurationChanged,
		"%s: %s serves clients without a valid certificate too; %s serves no others",
		strings.Join(fields, ", "), gwv1.AllowInsecureFallback, gwv1.AllowValidOnly)
}

// unusedFrontends names the parts of spec.tls.frontend that no listener comes under, be it one of the Gateway or of a
// ListenerSet.
func unusedFrontends(gw *GatewayFacts) []string {
	used := map[string]bool{}
	for _, l := range gw.Listeners {
		if l.Spec.Protocol == gwv1.HTTPSProtocolType {
			if f := frontendOf(gw.Object, l.Spec.Port); f != nil {
				used[f.field] = true
			}
		}
	}
	var warnings []string
	for _, f := range frontends(gw.Object) {
		if !used[f.field] {
			warnings = append(warnings, f.field+" has no effect: no HTTPS listener has a port that it applies to")
		}
	}
	return warnings
}

func clientCertificateRef(gw *gwv1.Gateway) *gwv1.SecretObjectReference {
	if gw.Spec.TLS == nil || gw.Spec.TLS.Backend == nil {
		return nil
	}
	return gw.Spec.TLS.Backend.ClientCertificateRef
}

// clientCertificate resolves the certificate that a Gateway shows to backends that use TLS (GEP-3155). If it can't be
// used, "the ResolvedRefs condition on the Gateway MUST be set to False with the Reason InvalidClientCertificateRef", or
// RefNotPermitted, and backends are connected to without it: those that need it refuse, and nobody is trusted who
// wouldn't be.
func (g *Graph) clientCertificate(gw *gwv1.Gateway) (*CertificateFacts, *Problem) {
	ref := clientCertificateRef(gw)
	if ref == nil {
		return nil, nil
	}
	c, problem := g.certificate(gatewayKey(namespacedName(gw)), *ref)
	if problem == nil {
		return &c, nil
	}
	if problem.Reason != string(gwv1.ListenerReasonRefNotPermitted) {
		problem = newProblem(gwv1.GatewayReasonInvalidClientCertificateRef, "%s", problem.Message)
	}
	problem.Message += "; backends are connected to without a client certificate"
	return nil, problem.in("spec.tls.backend.clientCertificateRef")
}

// ClientCertificateSecret names the Secret with the certificate that a Gateway shows to backends, without a name if there is none.
func (f *GatewayFacts) ClientCertificateSecret() types.NamespacedName {
	if f == nil || f.ClientCertificate == nil {
		return types.NamespacedName{}
	}
	return f.ClientCertificate.Secret
}
