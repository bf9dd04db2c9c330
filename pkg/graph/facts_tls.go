package graph

import (
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ClientValidationFacts is what an HTTPS listener asks of the certificates of its clients (GEP-91).
type ClientValidationFacts struct {
	// Authorities are the CA certificates that clients are trusted by, in PEM, each once; there is at least one.
	Authorities []byte
	// Optional: clients without a certificate, or with one that fails validation, are served too (AllowInsecureFallback).
	Optional bool
}

// BackendTLSFacts is how connections to a port of a Service are secured, as a valid BackendTLSPolicy wants it (GEP-1897), or
// those to an XBackend.
type BackendTLSFacts struct {
	// Policy is the BackendTLSPolicy; without a name for an XBackend, which says it itself.
	Policy types.NamespacedName
	// Hostname is the server name that is asked for (SNI).
	Hostname string
	// SubjectAltNames are the names of which the backend's certificate must have one. Without any, it must have Hostname.
	SubjectAltNames []gwv1.SubjectAltName
	// System says that the CAs that the operating system of the client trusts are to be trusted.
	System bool
	// Authorities are the CA certificates that backends are trusted by if not System, in PEM, each once.
	Authorities []byte
	// ClientCertificate is what an XBackend is shown; nil if nothing is. A Service is shown that of the Gateway.
	ClientCertificate *CertificateFacts
}

// BackendTLSPolicyFacts is what is true of a BackendTLSPolicy.
type BackendTLSPolicyFacts struct {
	Object *gwv1.BackendTLSPolicy
	// Unresolved: InvalidKind, InvalidCACertificateRef. The reason is that of the first CA certificate that isn't resolved.
	Unresolved *Problem
	// Ancestors are what the policy has an effect for: the Gateways that forward to a target, sorted, and then those of
	// spec.targetRefs to which none does.
	Ancestors []PolicyAncestorFacts
	// Warnings name fields that have no effect, and why.
	Warnings []string
}
