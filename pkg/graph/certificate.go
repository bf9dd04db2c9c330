package graph

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
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
	pair := g.keyPairs[target.NamespacedName()]
	if pair.err != nil {
		return invalid("%s: %v", target, pair.err)
	}
	return pair.facts, nil
}

// secretKeyPair is what a Secret of type kubernetes.io/tls says. It is read once, however many listeners refer to it and
// however often they are looked at: reading takes longer than all the rest.
type secretKeyPair struct {
	facts CertificateFacts
	err   error // why it can't be used
}

// readKeyPair returns nil for a Secret of another type.
func readKeyPair(secret *corev1.Secret) *secretKeyPair {
	if secret == nil || secret.Type != corev1.SecretTypeTLS {
		return nil
	}
	chain, key := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	leaf, err := usableKeyPair(chain, key)
	if err != nil {
		return &secretKeyPair{err: err}
	}
	facts := CertificateFacts{Secret: namespacedName(secret), Chain: chain, Key: key, KeyType: leaf.PublicKeyAlgorithm}
	for _, name := range leaf.DNSNames {
		facts.Names = append(facts.Names, strings.ToLower(name))
	}
	facts.Names = sorted(facts.Names, strings.Compare)
	return &secretKeyPair{facts: facts}
}

// minRSABits is the least that Envoy accepts (source/common/tls/context_impl.cc, as are the curves).
const minRSABits = 2048

// usableKeys are those that every build of Envoy accepts.
const usableKeys = "use RSA with 2048 bits or more, or ECDSA with P-256, P-384 or P-521"

// usableKeyPair returns the certificate itself, the first of its chain, or says why Envoy would reject it or its key. Keys of
// other types than RSA and ECDSA, which is to say Ed25519, are refused by builds of Envoy for FIPS. Others take them for RSA
// when they choose a certificate, and so show them to clients that can't check them, as browsers can't.
func usableKeyPair(chain, key []byte) (*x509.Certificate, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	switch public := pair.Leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits, fewer than %d; %s", bits, minRSABits, usableKeys)
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P224() {
			return nil, fmt.Errorf("the curve P-224 is not supported; %s", usableKeys)
		}
	default:
		return nil, fmt.Errorf("%s keys are not supported; %s", pair.Leaf.PublicKeyAlgorithm, usableKeys)
	}
	return pair.Leaf, nil
}

// unchosenCertificates names the certificates of a listener that are never shown. Of those that cover the server name that a
// client asks for, Envoy shows one whose key is of a type that the client can check; "when there are duplicate names, prefer the
// earlier one" (source/common/tls/default_tls_certificate_selector.cc). The first is shown also to clients whose server name is in none.
func unchosenCertificates(l *ListenerFacts) []string {
	type choice struct {
		name    string
		keyType x509.PublicKeyAlgorithm
	}
	taken := map[choice]bool{}
	var warnings []string
	for i, c := range l.Certificates {
		chosen := i == 0 || len(c.Names) == 0
		for _, name := range c.Names {
			chosen = chosen || !taken[choice{name, c.KeyType}]
			taken[choice{name, c.KeyType}] = true
		}
		if !chosen {
			warnings = append(warnings, fmt.Sprintf("%s: Secret %s has no effect: each name of its certificate is one of an earlier certificate with an %s key too",
				l.field("tls.certificateRefs"), c.Secret, c.KeyType))
		}
	}
	return warnings
}

func (g *Graph) setSecret(name types.NamespacedName, secret *corev1.Secret, d *Dirty) {
	old := g.secrets[name]
	put(g.secrets, name, secret)
	if sameSecret(old, secret) {
		return
	}
	put(g.keyPairs, name, readKeyPair(secret))
	g.refreshListeners(g.listenersBySecret[name], d)
	g.refreshXBackends(g.xbackendsByReference[Key{Kind: KindSecret, Namespace: name.Namespace, Name: name.Name}], d)
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
