package graph

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestCertificates(t *testing.T) {
	t.Parallel()
	pairs := keyPairs()
	opaque := tlsSecret("default/opaque", pairs.a)
	opaque.Type = corev1.SecretTypeOpaque
	secrets := []*corev1.Secret{
		tlsSecret("default/a", pairs.a), tlsSecret("default/b", pairs.b), tlsSecret("default/rsa1024", pairs.rsa1024), tlsSecret("default/p224", pairs.p224),
		tlsSecret("default/ed25519", pairs.ed25519),
		tlsSecret("default/mixed", pairs.mixed), tlsSecret("default/malformed", keyPair{[]byte("x"), pairs.a.key}), opaque,
		tlsSecret("granted/a", pairs.a), tlsSecret("other/a", pairs.a),
	}
	tests := []struct {
		name, refs string
		resolved   []string
		unresolved string
	}{
		{"one", "[{name: a}]", []string{"default/a"}, ""},
		{"several, in their order", "[{group: '', kind: Secret, name: b}, {name: a, namespace: default}]", []string{"default/b", "default/a"}, ""},
		{"none", "[]", nil, "InvalidCertificateRef"},
		{"another kind", "[{kind: ConfigMap, name: a}]", nil, "InvalidCertificateRef"},
		{"another group", "[{group: example.com, kind: Secret, name: a}]", nil, "InvalidCertificateRef"},
		{"missing", "[{name: none}]", nil, "InvalidCertificateRef"},
		{"another type", "[{name: opaque}]", nil, "InvalidCertificateRef"},
		{"malformed", "[{name: malformed}]", nil, "InvalidCertificateRef"},
		{"the key of another certificate", "[{name: mixed}]", nil, "InvalidCertificateRef"},
		{"a small RSA key", "[{name: rsa1024}]", nil, "InvalidCertificateRef"},
		{"a small curve", "[{name: p224}]", nil, "InvalidCertificateRef"},
		{"neither RSA nor ECDSA", "[{name: ed25519}, {name: a}]", []string{"default/a"}, "InvalidCertificateRef"},
		{"granted", "[{name: a, namespace: granted}]", []string{"granted/a"}, ""},
		{"granted, but missing", "[{name: none, namespace: granted}]", nil, "InvalidCertificateRef"},
		{"not granted", "[{name: a, namespace: other}]", nil, "RefNotPermitted"},
		{"not granted and missing", "[{name: none, namespace: other}]", nil, "RefNotPermitted"},
		{"the kind before the grant", "[{kind: ConfigMap, name: a, namespace: other}]", nil, "InvalidCertificateRef"},
		{"some", "[{name: none}, {name: a}, {name: a, namespace: other}]", []string{"default/a"}, "InvalidCertificateRef"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, grantTo(KindSecret))
			for _, s := range secrets {
				g.Apply(s)
			}
			apply(t, g, `
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: ours, listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: `+test.refs+`}}]}
`)
			l := g.Gateway(name("default/gw")).Listeners[0]
			var resolved []string
			for _, c := range l.Certificates {
				resolved = append(resolved, c.Secret.String())
				secret := g.secrets[c.Secret]
				if string(c.Chain) != string(secret.Data["tls.crt"]) || string(c.Key) != string(secret.Data["tls.key"]) {
					t.Errorf("certificate %s is not the Secret's", c.Secret)
				}
			}
			if diff := cmp.Diff(test.resolved, resolved); diff != "" {
				t.Errorf("Certificates (-want +got):\n%s", diff)
			}
			if got := reason(l.Unresolved); got != test.unresolved {
				t.Errorf("Unresolved: %+v, want %q", l.Unresolved, test.unresolved)
			}
			if served := l.Unprogrammed == nil; served != (len(test.resolved) > 0) {
				t.Errorf("Unprogrammed: %+v with %d certificates", l.Unprogrammed, len(test.resolved))
			}
		})
	}
}

func TestListenerWithoutTLS(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, `
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: ours, listeners: [{name: https, port: 443, protocol: HTTPS}]}
`)
	l := g.Gateway(name("default/gw")).Listeners[0]
	if reason(l.Unresolved) != "InvalidCertificateRef" || reason(l.Unprogrammed) != "Invalid" {
		t.Errorf("Unresolved: %+v, Unprogrammed: %+v", l.Unresolved, l.Unprogrammed)
	}
}
