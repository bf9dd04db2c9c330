package graph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClientValidation(t *testing.T) {
	t.Parallel()
	pairs := keyPairs()
	a, b := string(pairs.a.chain), string(pairs.b.chain)
	type want struct {
		CAs                    string // names of certificates
		Optional               bool
		Unaccepted, Unresolved string
	}
	refs := func(refs string) string { return "default: {validation: {caCertificateRefs: [" + refs + "]}}" }
	const ca = "{group: '', kind: ConfigMap, name: a}"
	invalid := func(unresolved string) want { return want{"", false, "NoValidCACertificate", unresolved} }
	tests := []struct {
		name, frontend string
		want           want
	}{
		{"nothing asked for", "default: {}", want{}},
		{"one CA", refs(ca), want{CAs: "a"}},
		{"several, each once", refs("{group: '', kind: ConfigMap, name: both}, " + ca), want{CAs: "ab"}},
		{"AllowValidOnly", "default: {validation: {mode: AllowValidOnly, caCertificateRefs: [" + ca + "]}}", want{CAs: "a"}},
		{"AllowInsecureFallback", "default: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [" + ca + "]}}", want{CAs: "a", Optional: true}},
		{"an unknown mode", "default: {validation: {mode: Maybe, caCertificateRefs: [" + ca + "]}}", want{Unaccepted: "UnsupportedValue"}},
		{"by port", "default: {validation: {caCertificateRefs: [" + ca + "]}}, perPort: [{port: 443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: b}]}}}]",
			want{CAs: "b"}},
		{"by port, nothing", "default: {validation: {caCertificateRefs: [" + ca + "]}}, perPort: [{port: 443, tls: {}}]", want{}},
		{"by another port", "default: {validation: {caCertificateRefs: [" + ca + "]}}, perPort: [{port: 444, tls: {}}]", want{CAs: "a"}},
		{"no references", refs(""), invalid("")},
		{"missing", refs("{group: '', kind: ConfigMap, name: none}"), invalid("InvalidCACertificateRef")},
		{"missing, with fallback", "default: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: '', kind: ConfigMap, name: none}]}}", invalid("InvalidCACertificateRef")},
		{"malformed", refs("{group: '', kind: ConfigMap, name: malformed}"), invalid("InvalidCACertificateRef")},
		{"another key", refs("{group: '', kind: ConfigMap, name: key}"), invalid("InvalidCACertificateRef")},
		{"another kind", refs("{group: '', kind: Secret, name: a}"), invalid("InvalidCACertificateKind")},
		{"another group", refs("{group: example.com, kind: ConfigMap, name: a}"), invalid("InvalidCACertificateKind")},
		{"granted", refs("{group: '', kind: ConfigMap, name: a, namespace: granted}"), want{CAs: "a"}},
		{"not granted", refs("{group: '', kind: ConfigMap, name: a, namespace: other}"), invalid("RefNotPermitted")},
		{"not granted and missing", refs("{group: '', kind: ConfigMap, name: none, namespace: other}"), invalid("RefNotPermitted")},
		{"some", refs("{group: '', kind: Secret, name: a}, {group: '', kind: ConfigMap, name: none}, " + ca), want{CAs: "a", Unresolved: "InvalidCACertificateKind"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, grantTo(KindConfigMap), `
kind: ConfigMap
metadata: {name: key}
data: {tls.crt: x}
`)
			for name, bundle := range map[string]string{"default/a": a, "default/b": b, "default/both": a + b, "default/malformed": "x", "granted/a": a, "other/a": a} {
				g.Apply(caConfigMap(name, bundle))
			}
			g.Apply(tlsSecret("default/c", pairs.a))
			apply(t, g, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: ours
  tls: {frontend: {`+test.frontend+`}}
  listeners:
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}
  - {name: http, port: 80, protocol: HTTP}
`)
			f := g.Gateway(name("default/gw"))
			l := f.Listeners[0]
			got := want{Unaccepted: reason(l.Unaccepted), Unresolved: reason(l.Unresolved)}
			if v := l.ClientValidation; v != nil {
				got.Optional = v.Optional
				got.CAs = strings.NewReplacer(a, "a", b, "b").Replace(string(v.Authorities))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if served := l.Unprogrammed == nil; served != (test.want.Unaccepted == "") {
				t.Errorf("served: %t", served)
			}
			if insecure := strings.Contains(test.frontend, "AllowInsecureFallback"); insecure != (f.InsecureFrontend != nil) {
				t.Errorf("InsecureFrontend %+v", f.InsecureFrontend)
			}
			if http := f.Listeners[1]; http.ClientValidation != nil || http.Unprogrammed != nil || http.Unresolved != nil {
				t.Errorf("the HTTP listener is concerned too: %+v", http)
			}
		})
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, ref, want, unresolved string }{
		{"a Secret", "{name: c}", "default/c", ""},
		{"granted", "{name: c, namespace: granted}", "granted/c", ""},
		{"not granted", "{name: c, namespace: other}", "", "RefNotPermitted"},
		{"missing", "{name: none}", "", "InvalidClientCertificateRef"},
		{"another kind", "{kind: ConfigMap, name: c}", "", "InvalidClientCertificateRef"},
		{"malformed", "{name: malformed}", "", "InvalidClientCertificateRef"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, grantTo(KindSecret), `
kind: HTTPRoute
metadata: {name: r}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 443}]}]}
`)
			for _, name := range []string{"default/c", "granted/c", "other/c"} {
				g.Apply(tlsSecret(name, keyPairs().a))
			}
			g.Apply(tlsSecret("default/malformed", keyPairs().mixed))
			apply(t, g, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: ours
  tls: {backend: {clientCertificateRef: `+test.ref+`}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
`)
			f := g.Gateway(name("default/gw"))
			if reason(f.Unresolved) != test.unresolved || f.Unaccepted != nil || f.Unprogrammed != nil {
				t.Errorf("Unresolved %+v, want %q; Unaccepted %+v, Unprogrammed %+v", f.Unresolved, test.unresolved, f.Unaccepted, f.Unprogrammed)
			}
			host := g.VirtualHost(g.VirtualHosts(key(KindGateway, "default/gw"))[0])
			got := ""
			if host.ClientCertificate.Name != "" {
				got = host.ClientCertificate.String()
			}
			if got != test.want || (f.ClientCertificate == nil) != (test.want == "") {
				t.Errorf("%q is presented, want %q; the facts say %+v", got, test.want, f.ClientCertificate)
			}
		})
	}
}
