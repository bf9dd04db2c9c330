package graph

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// tlsValidation is what the validation of a BackendTLSPolicy, or of an XBackend, comes to.
type tlsValidation struct {
	tls *BackendTLSFacts // nil if invalid is not
	// invalid: Invalid, NoValidCACertificate. "For an invalid BackendTLSPolicy, implementations MUST NOT fall back to
	// unencrypted (plaintext) connections. Instead, the corresponding TLS connection MUST fail, and the client MUST
	// receive an HTTP 5xx error response."
	invalid    *Problem
	unresolved *Problem
}

func (g *Graph) validatePolicy(policy *gwv1.BackendTLSPolicy) tlsValidation {
	v := g.validateTLS(&policy.Spec.Validation, policy.Namespace, "spec.validation")
	if v.tls != nil {
		v.tls.Policy = namespacedName(policy)
	}
	return v
}

// validateTLS reads a validation, which is a field of an object in a namespace.
func (g *Graph) validateTLS(spec *gwv1.BackendTLSPolicyValidation, namespace, field string) tlsValidation {
	wellKnown := valueOr(spec.WellKnownCACertificates, "")
	tls := &BackendTLSFacts{
		Hostname:        string(spec.Hostname),
		SubjectAltNames: spec.SubjectAltNames,
		System:          wellKnown == gwv1.WellKnownCACertificatesSystem,
	}
	var v tlsValidation
	var trusted authorities
	trusted, v.unresolved = g.backendAuthorities(spec, namespace, field)
	v.invalid = firstProblem(
		whomToTrust(spec, field),
		unknownWellKnown(wellKnown, field),
		addressAsServerName(spec, field),
		unknownSubjectAltName(spec, field),
		noValidCACertificate(spec, trusted, v.unresolved),
	)
	if v.invalid == nil {
		if !tls.System {
			tls.Authorities = trusted.pem()
		}
		v.tls = tls
	}
	return v
}

// backendAuthorities resolves caCertificateRefs, all of which are in the namespace of their object. Those that don't
// resolve are left out: "Connections using an invalid CACertificateRef MUST fail", since nobody is trusted by it.
func (g *Graph) backendAuthorities(spec *gwv1.BackendTLSPolicyValidation, namespace, field string) (authorities, *Problem) {
	var trusted authorities
	var problems []*Problem
	for i, ref := range spec.CACertificateRefs {
		field := fmt.Sprintf("%s.caCertificateRefs[%d]", field, i)
		if !isLocalConfigMap(ref) {
			problems = append(problems, newProblem(gwv1.BackendTLSPolicyReasonInvalidKind,
				"kind %s is not supported; refer to a ConfigMap", groupKind(ref.Group, ref.Kind)).in(field))
			continue
		}
		certificates, err := g.authority(types.NamespacedName{Namespace: namespace, Name: string(ref.Name)})
		if err != nil {
			problems = append(problems, newProblem(gwv1.BackendTLSPolicyReasonInvalidCACertificateRef, "%v", err).in(field))
			continue
		}
		trusted.add(certificates...)
	}
	if len(problems) == 0 {
		return trusted, nil
	}
	return trusted, newProblem(problems[0].Reason, "%s", joinMessages(problems))
}

func isLocalConfigMap(ref gwv1.LocalObjectReference) bool {
	return ref.Group == corev1.GroupName && ref.Kind == gwv1.Kind(KindConfigMap)
}

// whomToTrust: "If WellKnownCACertificates is unspecified or empty (""), then CACertificateRefs must be specified with at
// least one entry for a valid configuration. Only one of CACertificateRefs or WellKnownCACertificates may be specified,
// not both." The schema says so too; what was stored by other rules is judged here.
func whomToTrust(spec *gwv1.BackendTLSPolicyValidation, field string) *Problem {
	if (len(spec.CACertificateRefs) > 0) != (valueOr(spec.WellKnownCACertificates, "") != "") {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "%s: set either caCertificateRefs or wellKnownCACertificates", field)
}

// unknownWellKnown: "If ... the supplied value is not recognized, the implementation MUST ensure the Accepted Condition on
// the BackendTLSPolicy is set to status: False, with a Reason Invalid."
func unknownWellKnown(value gwv1.WellKnownCACertificatesType, field string) *Problem {
	if value == "" || value == gwv1.WellKnownCACertificatesSystem {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "%s.wellKnownCACertificates: %s is not known; use %s, or caCertificateRefs",
		field, value, gwv1.WellKnownCACertificatesSystem)
}

// addressAsServerName: "Hostname MUST be used as the SNI to connect to the backend (RFC 6066)", which permits no
// addresses; nor does PreciseHostname, though its pattern lets those of IPv4 pass.
func addressAsServerName(spec *gwv1.BackendTLSPolicyValidation, field string) *Problem {
	if _, err := netip.ParseAddr(string(spec.Hostname)); err != nil {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "%s.hostname: %s is an address, not a name that a server can be asked for",
		field, spec.Hostname)
}

// unknownSubjectAltName refuses what can't be compared: leaving it out could leave nothing that is.
func unknownSubjectAltName(spec *gwv1.BackendTLSPolicyValidation, field string) *Problem {
	for i, name := range spec.SubjectAltNames {
		switch {
		case name.Type == gwv1.HostnameSubjectAltNameType && name.Hostname != "":
		case name.Type == gwv1.URISubjectAltNameType && name.URI != "":
		default:
			return newProblem(gwv1.PolicyReasonInvalid, "%s.subjectAltNames[%d]: set type %s and hostname, or type %s and uri",
				field, i, gwv1.HostnameSubjectAltNameType, gwv1.URISubjectAltNameType)
		}
	}
	return nil
}

// noValidCACertificate: "If ALL CACertificateRefs are invalid, the implementation MUST also ensure the Accepted Condition
// on the BackendTLSPolicy is set to status: False, with a Reason NoValidCACertificate."
func noValidCACertificate(spec *gwv1.BackendTLSPolicyValidation, trusted authorities, unresolved *Problem) *Problem {
	if len(spec.CACertificateRefs) == 0 || len(trusted) > 0 {
		return nil
	}
	return newProblem(gwv1.BackendTLSPolicyReasonNoValidCACertificate, "no CA certificate can be used, so that connections fail: %s",
		unresolved.Message)
}
