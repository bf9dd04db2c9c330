package graph

import (
	"bytes"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func caConfigMap(namespaced, bundle string) *corev1.ConfigMap {
	n := name(namespaced)
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.Namespace, Name: n.Name}, Data: map[string]string{"ca.crt": bundle},
	}
}

func TestParseCertificates(t *testing.T) {
	t.Parallel()
	pairs := keyPairs()
	a, b, key := string(pairs.a.chain), string(pairs.b.chain), string(pairs.a.key)
	tests := []struct {
		name, bundle, want string
		err                string
	}{
		{"one", a, a, ""},
		{"two", a + b, a + b, ""},
		{"one twice", a + b + a, a + b, ""},
		{"comments", "# a\n" + a + "\n# b\n" + strings.ReplaceAll(b, "\n", "\r\n"), a + b, ""},
		{"empty", "", "", "no certificate"},
		{"text", "certificate", "", "no certificate"},
		{"a key", key, "", "a PEM block is a PRIVATE KEY"},
		{"a key after a certificate", a + key, "", "a PEM block is a PRIVATE KEY"},
		{"not base64", a + strings.Replace(b, "MI", "--", 1), "", "malformed"},
		{"cut off", a + b[:len(b)/2], "", "malformed"},
		{"no certificate inside", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "", "certificate 1: x509"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			certificates, err := parseCertificates([]byte(test.bundle))
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			var all authorities
			all.add(certificates...)
			if err == nil && !bytes.Equal(all.pem(), []byte(test.want)) {
				t.Errorf("got\n%s\nwant\n%s", all.pem(), test.want)
			}
		})
	}
}
