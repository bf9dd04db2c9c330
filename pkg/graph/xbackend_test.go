package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// xbackend returns a manifest of an XBackend default/b with more in its spec.
func xbackend(spec string) string {
	return "kind: XBackend\nmetadata: {name: b}\nspec: {type: ExternalHostname, port: {port: 443}, externalHostname: {hostname: b.example.com}" + spec + "}"
}

// routeTo returns a manifest of a route of a kind with one backendRef.
func routeTo(kind Kind, ref string) string {
	return fmt.Sprintf("kind: %s\nmetadata: {name: r}\nspec: {rules: [{backendRefs: [%s]}]}", kind, ref)
}

// TestXBackendRefs has a reason for each kind of route: HTTP, GRPC, TLS, TCP, UDP.
func TestXBackendRefs(t *testing.T) {
	t.Parallel()
	kinds := []Kind{KindHTTPRoute, KindGRPCRoute, KindTLSRoute, KindTCPRoute, KindUDPRoute}
	const plain, udp = "{group: gateway.networking.x-k8s.io, kind: XBackend, name: b}", "UnsupportedProtocol"
	each := func(reason string) []string { return []string{reason, reason, reason, reason, reason} }
	supported := []string{"", "", "", "", udp}
	for _, test := range []struct {
		name, spec, ref string
		want            []string
		backend         string
	}{
		{"derived port", "", plain, supported, "xbackend/default/b:443"},
		{"its port", "", "{group: gateway.networking.x-k8s.io, kind: XBackend, name: b, port: 443}", supported, "xbackend/default/b:443"},
		{"another port", "", "{group: gateway.networking.x-k8s.io, kind: XBackend, name: b, port: 80}", each("BackendNotFound"), "xbackend/default/b:80"},
		{"missing", "", "{group: gateway.networking.x-k8s.io, kind: XBackend, name: c}", each("BackendNotFound"), "xbackend/default/c:0"},
		{"without its group", "", "{kind: XBackend, name: b}", each("InvalidKind"), ""},
		{"not granted", "", "{group: gateway.networking.x-k8s.io, kind: XBackend, name: b, namespace: other}", each("RefNotPermitted"), "xbackend/other/b:0"},
		{"HTTP", ", protocol: HTTP", plain, supported, "xbackend/default/b:443"},
		{"HTTP2", ", protocol: HTTP2", plain, supported, "xbackend/default/b:443"},
		{"H2C", ", protocol: H2C", plain, supported, "xbackend/default/b:443"},
		{"GRPC", ", protocol: GRPC", plain, supported, "xbackend/default/b:443"},
		{"HTTP11", ", protocol: HTTP11", plain, []string{"", udp, "", "", udp}, "xbackend/default/b:443"},
		{"MCP", ", protocol: MCP", plain, []string{"", udp, "", "", udp}, "xbackend/default/b:443"},
		{"TCP", ", protocol: TCP", plain, []string{udp, udp, "", "", udp}, "xbackend/default/b:443"},
		{"not accepted", ", protocol: H2C, tls: {mode: ServerOnly}", plain, each(ReasonInvalidBackend), "xbackend/default/b:443"},
		{"unknown protocol", ", protocol: SCTP", plain, each(ReasonInvalidBackend), "xbackend/default/b:443"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, xbackend(test.spec))
			var got []string
			for _, kind := range kinds {
				apply(t, g, routeTo(kind, test.ref))
				b := g.Route(key(kind, "default/r")).Rules[0].Backends[0]
				got = append(got, reason(b.Problem))
				backend := ""
				if b.Backend != (BackendKey{}) {
					backend = b.Backend.String()
				}
				if backend != test.backend {
					t.Errorf("%s: backend %s, want %s", kind, backend, test.backend)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestXBackendTLS(t *testing.T) {
	t.Parallel()
	pair := keyPairs().a
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "ca"}, Data: map[string]string{"ca.crt": string(pair.chain)}}
	secret := func(namespace string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "c"}, Type: corev1.SecretTypeTLS,
			Data: map[string][]byte{corev1.TLSCertKey: pair.chain, corev1.TLSPrivateKeyKey: pair.key},
		}
	}
	const grant = `
kind: ReferenceGrant
metadata: {name: g, namespace: granted}
spec:
  from: [{group: gateway.networking.x-k8s.io, kind: XBackend, namespace: default}]
  to: [{group: "", kind: Secret}]
---
kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: XBackend, namespace: default}]
  to: [{group: "", kind: Secret}]
`
	const mutual = `, tls: {mode: ClientAndServer, validation: {hostname: a.example, wellKnownCACertificates: System}, clientCertificateRef: `
	for _, test := range []struct {
		name, spec             string
		unaccepted, unresolved string
		hostname, certificate  string // in what is connected with
		system                 bool
		needs                  string
	}{
		{name: "none", spec: ""},
		{name: "mode None", spec: ", tls: {mode: None, validation: {hostname: a.example, wellKnownCACertificates: theirs}}"},
		{name: "by default", spec: ", tls: {mode: ServerOnly}", hostname: "b.example.com", system: true},
		{name: "another name", spec: ", tls: {mode: ServerOnly, validation: {hostname: a.example, wellKnownCACertificates: System}}", hostname: "a.example", system: true},
		{name: "a CA", spec: `, tls: {mode: ServerOnly, validation: {hostname: a.example, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}`,
			hostname: "a.example", needs: "[ConfigMap default/ca]"},
		{name: "a CA without a hostname", spec: `, tls: {mode: ServerOnly, validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}`,
			hostname: "b.example.com", needs: "[ConfigMap default/ca]"},
		{name: "no CA", spec: `, tls: {mode: ServerOnly, validation: {hostname: a.example, caCertificateRefs: [{group: "", kind: ConfigMap, name: none}]}}`,
			unaccepted: "NoValidCACertificate", unresolved: "InvalidCACertificateRef", needs: "[ConfigMap default/none]"},
		{name: "unknown CAs", spec: ", tls: {mode: ServerOnly, validation: {hostname: a.example, wellKnownCACertificates: theirs}}", unaccepted: "Invalid"},
		{name: "unknown mode", spec: ", tls: {mode: Maybe}", unaccepted: "Invalid"},
		{name: "mutual", spec: mutual + "{name: c}}", hostname: "a.example", system: true, certificate: "default/c", needs: "[Secret default/c]"},
		{name: "mutual without", spec: strings.TrimSuffix(mutual, "clientCertificateRef: ") + "}", unaccepted: "InvalidClientCertificateRef", unresolved: "InvalidClientCertificateRef"},
		{name: "mutual, missing", spec: mutual + "{name: d}}", unaccepted: "InvalidClientCertificateRef", unresolved: "InvalidClientCertificateRef", needs: "[Secret default/d]"},
		{name: "mutual, another kind", spec: mutual + "{kind: ConfigMap, name: ca}}", unaccepted: "InvalidClientCertificateRef", unresolved: "InvalidClientCertificateRef"},
		{name: "mutual, granted", spec: mutual + "{name: c, namespace: granted}}", hostname: "a.example", system: true, certificate: "granted/c", needs: "[Secret granted/c]"},
		{name: "mutual, granted to another group", spec: mutual + "{name: c, namespace: other}}", unaccepted: "RefNotPermitted", unresolved: "RefNotPermitted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, grant, xbackend(test.spec))
			for _, obj := range []metav1.Object{config, secret("default"), secret("granted"), secret("other")} {
				g.Apply(obj)
			}
			f := g.XBackend(name("default/b"))
			if reason(f.Unaccepted) != test.unaccepted || reason(f.Unresolved) != test.unresolved {
				t.Errorf("Unaccepted %+v, Unresolved %+v, want %q and %q", f.Unaccepted, f.Unresolved, test.unaccepted, test.unresolved)
			}
			port := g.BackendPort(BackendKey{Key: key(KindBackend, "default/b"), Port: 443})
			if (port == nil) != (test.unaccepted != "") {
				t.Fatalf("port %+v", port)
			}
			if port == nil {
				return
			}
			if (port.TLS == nil) != (test.hostname == "") {
				t.Fatalf("TLS %+v", port.TLS)
			}
			if tls := port.TLS; tls != nil {
				certificate := ""
				if tls.ClientCertificate != nil {
					certificate = tls.ClientCertificate.Secret.String()
				}
				if tls.Hostname != test.hostname || tls.System != test.system || tls.System == (len(tls.Authorities) > 0) || certificate != test.certificate {
					t.Errorf("TLS %+v with %q, want %q (system %t) with %q", tls, certificate, test.hostname, test.system, test.certificate)
				}
			}
			if needs := g.NeededBy(f.Object); test.needs != "" && fmt.Sprint(needs) != test.needs || test.needs == "" && len(needs) > 0 {
				t.Errorf("needs %v, want %s", needs, test.needs)
			}
		})
	}
}

func TestRefusedHostname(t *testing.T) {
	t.Parallel()
	for hostname, want := range map[string]string{
		"example.com":                "",
		"a.localhost.example.com":    "",
		"localhost.example":          "",
		"db.internal":                "", // a name for private use, which may be anybody's
		"10.example":                 "",
		"localhost":                  "the Envoy itself",
		"LOCALHOST":                  "the Envoy itself",
		"admin.localhost":            "the Envoy itself",
		"ip6-localhost":              "the Envoy itself",
		"host.docker.internal":       "the machine",
		"metadata.google.internal":   "metadata service",
		"a.metadata.google.internal": "metadata service",
		"s.ns.svc.cluster.local":     "inside of the cluster",
		"s.ns.svc":                   "inside of the cluster",
		"kubernetes":                 "fully qualified",
		"instance-data":              "fully qualified",
		"10.0.0.1":                   "an address",
		"127.1":                      "an address",
		"2130706433":                 "an address",
		"0x7f.0x1":                   "an address",
		"0177.0.0.01":                "an address",
		"::1":                        "an address",
	} {
		spec := &gwxv1alpha1.BackendSpec{ExternalHostname: &gwxv1alpha1.ExternalHostnameBackend{Hostname: gwv1.PreciseHostname(hostname)}}
		p := refusedHostname(spec)
		if (p == nil) != (want == "") || p != nil && !strings.Contains(p.Message, want) {
			t.Errorf("%s: %+v, want %q", hostname, p, want)
		}
	}
}

func TestXBackendWarnings(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"":                                    "spec.tls is not set",
		", tls: {mode: None}":                 "",
		", tls: {mode: ServerOnly}":           "spec.tls.validation is not set",
		", protocol: MCP, tls: {mode: None}":  "spec.protocol: MCP is forwarded as the HTTP that carries it",
		", protocol: HTTP, tls: {mode: None}": "",
		", tls: {mode: None, validation: {hostname: a.example}}": "spec.tls.validation has no effect",
	} {
		f := New().PreviewXBackend(parseOne[*gwxv1alpha1.XBackend](t, xbackend(spec)))
		if want == "" && len(f.Warnings) > 0 || want != "" && (len(f.Warnings) != 1 || !strings.HasPrefix(f.Warnings[0], want)) {
			t.Errorf("%q: %q, want %q", spec, f.Warnings, want)
		}
	}
}

// TestXBackendDirty holds how little a change dirties; TestHistory holds that it is enough.
func TestXBackendDirty(t *testing.T) {
	t.Parallel()
	g := graphOf(t, xbackend(""), routeTo(KindHTTPRoute, "{group: gateway.networking.x-k8s.io, kind: XBackend, name: b}"))
	backend := BackendKey{Key: key(KindBackend, "default/b"), Port: 443}
	route := key(KindHTTPRoute, "default/r")
	set := func(keys ...Key) map[Key]struct{} {
		s := map[Key]struct{}{}
		for _, k := range keys {
			s[k] = struct{}{}
		}
		return s
	}
	backends := map[BackendKey]struct{}{backend: {}}
	for _, step := range []struct {
		what, spec string
		want       Dirty
	}{
		{"nothing", "", Dirty{Statuses: set(backend.Key)}},
		{"TLS of which routes know", ", tls: {mode: ServerOnly}", Dirty{Statuses: set(backend.Key, route), Backends: backends}},
		{"a name of the server", ", tls: {mode: ServerOnly, validation: {hostname: a.example, wellKnownCACertificates: System}}",
			Dirty{Statuses: set(backend.Key), Backends: backends}},
		{"a CA that isn't there", `, tls: {mode: ServerOnly, validation: {hostname: a.example, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}`,
			Dirty{Statuses: set(backend.Key, route), Backends: backends, References: set(key(KindConfigMap, "default/ca"))}},
	} {
		if diff := cmp.Diff(step.want, apply(t, g, xbackend(step.spec))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}
