package graph

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// tlsValidation is what spec.validation of a BackendTLSPolicy comes to.
type tlsValidation struct {
	tls *BackendTLSFacts // nil if invalid is not
	// invalid: Invalid, NoValidCACertificate. "For an invalid BackendTLSPolicy, implementations MUST NOT fall back to
	// unencrypted (plaintext) connections. Instead, the corresponding TLS connection MUST fail, and the client MUST
	// receive an HTTP 5xx error response."
	invalid    *Problem
	unresolved *Problem
}

func (g *Graph) validateTLS(policy *gwv1.BackendTLSPolicy) tlsValidation {
	spec := &policy.Spec.Validation
	wellKnown := valueOr(spec.WellKnownCACertificates, "")
	tls := &BackendTLSFacts{
		Hostname:        string(spec.Hostname),
		SubjectAltNames: spec.SubjectAltNames,
		System:          wellKnown == gwv1.WellKnownCACertificatesSystem,
	}
	var v tlsValidation
	var trusted authorities
	trusted, v.unresolved = g.backendAuthorities(policy)
	v.invalid = firstProblem(
		whomToTrust(spec),
		unknownWellKnown(wellKnown),
		addressAsServerName(spec),
		unknownSubjectAltName(spec),
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

// backendAuthorities resolves the caCertificateRefs of a policy, all of which are in its namespace. Those that don't
// resolve are left out: "Connections using an invalid CACertificateRef MUST fail", since nobody is trusted by it.
func (g *Graph) backendAuthorities(policy *gwv1.BackendTLSPolicy) (authorities, *Problem) {
	var trusted authorities
	var problems []*Problem
	for i, ref := range policy.Spec.Validation.CACertificateRefs {
		field := fmt.Sprintf("spec.validation.caCertificateRefs[%d]", i)
		if !isLocalConfigMap(ref) {
			problems = append(problems, newProblem(gwv1.BackendTLSPolicyReasonInvalidKind,
				"kind %s is not supported; refer to a ConfigMap", groupKind(ref.Group, ref.Kind)).in(field))
			continue
		}
		certificates, err := g.authority(types.NamespacedName{Namespace: policy.Namespace, Name: string(ref.Name)})
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
func whomToTrust(spec *gwv1.BackendTLSPolicyValidation) *Problem {
	if (len(spec.CACertificateRefs) > 0) != (valueOr(spec.WellKnownCACertificates, "") != "") {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "spec.validation: set either caCertificateRefs or wellKnownCACertificates")
}

// unknownWellKnown: "If ... the supplied value is not recognized, the implementation MUST ensure the Accepted Condition on
// the BackendTLSPolicy is set to status: False, with a Reason Invalid."
func unknownWellKnown(value gwv1.WellKnownCACertificatesType) *Problem {
	if value == "" || value == gwv1.WellKnownCACertificatesSystem {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "spec.validation.wellKnownCACertificates: %s is not known; use %s, or caCertificateRefs",
		value, gwv1.WellKnownCACertificatesSystem)
}

// addressAsServerName: "Hostname MUST be used as the SNI to connect to the backend (RFC 6066)", which permits no
// addresses; nor does PreciseHostname, though its pattern lets those of IPv4 pass.
func addressAsServerName(spec *gwv1.BackendTLSPolicyValidation) *Problem {
	if _, err := netip.ParseAddr(string(spec.Hostname)); err != nil {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "spec.validation.hostname: %s is an address, not a name that a server can be asked for",
		spec.Hostname)
}

// unknownSubjectAltName refuses what can't be compared: leaving it out could leave nothing that is.
func unknownSubjectAltName(spec *gwv1.BackendTLSPolicyValidation) *Problem {
	for i, name := range spec.SubjectAltNames {
		switch {
		case name.Type == gwv1.HostnameSubjectAltNameType && name.Hostname != "":
		case name.Type == gwv1.URISubjectAltNameType && name.URI != "":
		default:
			return newProblem(gwv1.PolicyReasonInvalid, "spec.validation.subjectAltNames[%d]: set type %s and hostname, or type %s and uri",
				i, gwv1.HostnameSubjectAltNameType, gwv1.URISubjectAltNameType)
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
