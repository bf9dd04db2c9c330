package graphtest

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func randomGatewayTLS(c *choices) *gwv1.GatewayTLSConfig {
	tls := &gwv1.GatewayTLSConfig{}
	if c.flip(2) {
		tls.Backend = &gwv1.GatewayBackendTLS{ClientCertificateRef: &gwv1.SecretObjectReference{
			Name: "c", Namespace: maybe[gwv1.Namespace](c, "app", "infra"),
		}}
	}
	if c.flip(2) {
		tls.Frontend = &gwv1.FrontendTLSConfig{Default: randomClientValidation(c)}
		tls.Frontend.PerPort = some(c, 0, 1, func() gwv1.TLSPortConfig {
			return gwv1.TLSPortConfig{Port: pick[gwv1.PortNumber](c, 443, 80), TLS: randomClientValidation(c)}
		})
	}
	return tls
}

func randomClientValidation(c *choices) gwv1.TLSConfig {
	if c.flip(3) {
		return gwv1.TLSConfig{}
	}
	return gwv1.TLSConfig{Validation: &gwv1.FrontendTLSValidation{
		CACertificateRefs: some(c, 1, 2, func() gwv1.ObjectReference {
			return gwv1.ObjectReference{
				Kind: pick[gwv1.Kind](c, "ConfigMap", "ConfigMap", "ConfigMap", "Secret"), Name: "ca", Namespace: maybe[gwv1.Namespace](c, "app", "infra"),
			}
		}),
		Mode: pick(c, "", gwv1.AllowValidOnly, gwv1.AllowInsecureFallback),
	}}
}

func randomConfigMap(c *choices, meta metav1.ObjectMeta) *corev1.ConfigMap {
	pairs := keyPairs()
	a, b := string(pairs[0].chain), string(pairs[1].chain)
	bundle := pick(c, a, b, a+b, "none")
	return &corev1.ConfigMap{ObjectMeta: meta, Data: pick(c, map[string]string{"ca.crt": bundle}, map[string]string{"ca.crt": bundle}, map[string]string{"other": bundle})}
}

func randomTLSPolicy(c *choices, meta metav1.ObjectMeta) *gwv1.BackendTLSPolicy {
	meta.CreationTimestamp = metav1.NewTime(time.Unix(int64(c.n(2)), 0))
	policy := &gwv1.BackendTLSPolicy{ObjectMeta: meta}
	policy.Spec.TargetRefs = some(c, 1, 2, func() gwv1.LocalPolicyTargetReferenceWithSectionName {
		return gwv1.LocalPolicyTargetReferenceWithSectionName{
			LocalPolicyTargetReference: gwv1.LocalPolicyTargetReference{
				Kind: pick[gwv1.Kind](c, "Service", "Service", "Service", "Bucket"), Name: pick[gwv1.ObjectName](c, "s", "s", "s", "missing"),
			},
			SectionName: pick(c, nil, nil, new(gwv1.SectionName("p80")), new(gwv1.SectionName("q81")), new(gwv1.SectionName("other"))),
		}
	})
	policy.Spec.Validation = randomValidation(c)
	return policy
}

func randomValidation(c *choices) gwv1.BackendTLSPolicyValidation {
	var v gwv1.BackendTLSPolicyValidation
	v.Hostname = pick[gwv1.PreciseHostname](c, "a.example.com", "b.example.com")
	switch c.n(6) {
	case 0:
		v.WellKnownCACertificates = new(gwv1.WellKnownCACertificatesSystem)
	case 1:
		v.WellKnownCACertificates = new(gwv1.WellKnownCACertificatesType("example.com/theirs"))
	default:
		v.CACertificateRefs = some(c, 1, 2, func() gwv1.LocalObjectReference {
			return gwv1.LocalObjectReference{Kind: pick[gwv1.Kind](c, "ConfigMap", "ConfigMap", "ConfigMap", "Secret"), Name: pick[gwv1.ObjectName](c, "ca", "ca", "missing")}
		})
	}
	v.SubjectAltNames = some(c, 0, 1, func() gwv1.SubjectAltName {
		return pick(c, gwv1.SubjectAltName{Type: gwv1.URISubjectAltNameType, URI: "spiffe://a/b"}, gwv1.SubjectAltName{Type: gwv1.HostnameSubjectAltNameType, Hostname: "c.example.com"})
	})
	return v
}
