package graph

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// certificates resolves the certificateRefs of a listener that terminates TLS. A reference that doesn't resolve is left out,
// and the first of them is reported.
func (g *Graph) certificates(l *ListenerFacts) ([]CertificateFacts, *Problem) {
	if !terminatesTLS(l) {
		return nil, nil
	}
	if l.Spec.TLS == nil || len(l.Spec.TLS.CertificateRefs) == 0 {
		return nil, newProblem(gwv1.ListenerReasonInvalidCertificateRef, "%s: protocol %s needs at least one",
			l.field("tls.certificateRefs"), l.Spec.Protocol)
	}
	var resolved []CertificateFacts
	var first *Problem
	for i, ref := range l.Spec.TLS.CertificateRefs {
		certificate, problem := g.certificate(l.Key.Parent, ref)
		if problem == nil {
			resolved = append(resolved, certificate)
		} else if first == nil {
			first = problem.in(l.field(fmt.Sprintf("tls.certificateRefs[%d]", i)))
		}
	}
	return resolved, first
}

// certificate resolves one certificateRef: "A CertificateRef is considered invalid when it refers to a nonexistent or
// unsupported resource or kind, or when the data within that resource is malformed. This reason must be used only when
// the reference is allowed ... If the reference is not allowed, the reason RefNotPermitted must be used instead", also
// for a Secret that doesn't exist: what is in a namespace is nobody's business without a grant.
func (g *Graph) certificate(from Key, ref gwv1.SecretObjectReference) (CertificateFacts, *Problem) {
	invalid := func(format string, args ...any) (CertificateFacts, *Problem) {
		return CertificateFacts{}, newProblem(gwv1.ListenerReasonInvalidCertificateRef, format, args...)
	}
	target, known := secretOf(from.Namespace, ref)
	if !known {
		return invalid("kind %s is not supported; refer to a Secret", groupKind(valueOr(ref.Group, ""), valueOr(ref.Kind, gwv1.Kind(KindSecret))))
	}
	if !g.permitted(from.Kind, from.Namespace, target) {
		return CertificateFacts{}, notPermitted(gwv1.ListenerReasonRefNotPermitted, from.Kind, from.Namespace, target)
	}
	secret := g.secrets[target.NamespacedName()]
	if secret == nil {
		return invalid("%s does not exist", target)
	}
	if secret.Type != corev1.SecretTypeTLS {
		return invalid("%s has type %q, not %s", target, secret.Type, corev1.SecretTypeTLS)
	}
	c := CertificateFacts{
		Secret: target.NamespacedName(),
		Chain:  secret.Data[corev1.TLSCertKey],
		Key:    secret.Data[corev1.TLSPrivateKeyKey],
	}
	if err := usableKeyPair(c.Chain, c.Key); err != nil {
		return invalid("%s: %v", target, err)
	}
	return c, nil
}

// minRSABits is the least that Envoy accepts (source/common/tls/context_impl.cc, as are the curves).
const minRSABits = 2048

// usableKeyPair says why Envoy would reject a certificate and its key.
func usableKeyPair(chain, key []byte) error {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return err
	}
	switch public := pair.Leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits {
			return fmt.Errorf("the RSA key has %d bits, fewer than %d", bits, minRSABits)
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P224() {
			return fmt.Errorf("the curve P-224 is not supported; use P-256, P-384 or P-521")
		}
	}
	return nil
}

// sameSecret compares what a certificateRef reads.
func sameSecret(a, b *corev1.Secret) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Type == b.Type &&
		bytes.Equal(a.Data[corev1.TLSCertKey], b.Data[corev1.TLSCertKey]) &&
		bytes.Equal(a.Data[corev1.TLSPrivateKeyKey], b.Data[corev1.TLSPrivateKeyKey])
}
