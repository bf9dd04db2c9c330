package graph

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// certificateFor is a certificate with the key of one of keyPairs; its subject is of no consequence.
func certificateFor(t *testing.T, private any, public any, names ...string) keyPair {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "common.example.com"}, DNSNames: names,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	pair, err := newKeyPair(template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func TestOverlappingTLSConfig(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]keyPair{
		"wild": certificateFor(t, private, private.Public(), "*.example.com"),
		"a":    certificateFor(t, private, private.Public(), "a.example.com", "a.example.org"),
		"ab":   certificateFor(t, private, private.Public(), "x.a.example.com", "A.example.org"),
		"b":    certificateFor(t, private, private.Public(), "b.example.com"),
		"none": certificateFor(t, private, private.Public()),
	}
	const hostnames, certificates = "OverlappingHostnames", "OverlappingCertificates"
	type listener struct{ port, protocol, hostname, certificate string }
	tests := []struct {
		name      string
		listeners []listener
		want      []string
	}{
		{"apart", []listener{{"443", "HTTPS", "a.example.com", "a"}, {"443", "HTTPS", "b.example.com", "b"}}, []string{"", ""}},
		{"hostnames", []listener{{"443", "HTTPS", "a.example.com", "a"}, {"443", "HTTPS", "*.example.com", "b"}, {"443", "HTTPS", "example.com", "none"}}, []string{hostnames, hostnames, ""}},
		{"wildcards", []listener{{"443", "HTTPS", "*.a.example.com", "a"}, {"443", "HTTPS", "*.example.com", "b"}}, []string{hostnames, hostnames}},
		{"wildcards apart", []listener{{"443", "HTTPS", "*.a.example.com", "a"}, {"443", "HTTPS", "*.b.example.com", "b"}}, []string{"", ""}},
		{"every hostname", []listener{{"443", "HTTPS", "", "a"}, {"443", "HTTPS", "b.example.com", "b"}, {"443", "HTTPS", "com", "none"}}, []string{hostnames, hostnames, hostnames}},
		{"the same certificate", []listener{{"443", "HTTPS", "a.example.com", "wild"}, {"443", "HTTPS", "b.example.com", "wild"}}, []string{certificates, certificates}},
		{"a wildcard and a name", []listener{{"443", "HTTPS", "x.example.org", "wild"}, {"443", "HTTPS", "y.example.org", "a"}}, []string{certificates, certificates}},
		{"a wildcard is one label", []listener{{"443", "HTTPS", "x.example.org", "wild"}, {"443", "HTTPS", "y.example.org", "ab"}}, []string{"", ""}},
		{"a name in another case", []listener{{"443", "HTTPS", "x.example.org", "a"}, {"443", "HTTPS", "y.example.org", "ab"}}, []string{certificates, certificates}},
		{"no names but the subject", []listener{{"443", "HTTPS", "x.example.org", "none"}, {"443", "HTTPS", "y.example.org", "none"}}, []string{"", ""}},
		{"certificates before hostnames", []listener{{"443", "HTTPS", "*.example.com", "wild"}, {"443", "HTTPS", "a.example.com", "a"}}, []string{certificates, certificates}},
		{"other ports", []listener{{"443", "HTTPS", "", "wild"}, {"444", "HTTPS", "a.example.com", "wild"}}, []string{"", ""}},
		{"TLS", []listener{{"443", "HTTPS", "*.example.com", "b"}, {"443", "TLS", "a.example.com", "a"}, {"443", "Passthrough", "x.example.com", ""}}, []string{hostnames, hostnames, hostnames}},
		{"not accepted", []listener{{"443", "HTTPS", "", "a"}, {"443", "HTTPS", "*.example.com", "a"}, {"443", "TCP", "", ""}}, []string{"", "", ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var listeners []string
			for i, l := range test.listeners {
				switch l.protocol {
				case "TCP":
					listeners = append(listeners, fmt.Sprintf("{name: l%d, port: %s, protocol: TCP}", i, l.port))
				case "Passthrough":
					listeners = append(listeners, fmt.Sprintf("{name: l%d, port: %s, protocol: TLS, hostname: %q, tls: {mode: Passthrough}}", i, l.port, l.hostname))
				default:
					listeners = append(listeners, fmt.Sprintf("{name: l%d, port: %s, protocol: %s, hostname: %q, tls: {certificateRefs: [{name: %s}]}}", i, l.port, l.protocol, l.hostname, l.certificate))
				}
			}
			// All of them in a Gateway, and the first in a Gateway and the others in ListenerSets.
			together, apart := graphOf(t, ourClass), graphOf(t, ourClass)
			for name, pair := range secrets {
				together.Apply(tlsSecret("default/"+name, pair))
				apart.Apply(tlsSecret("default/"+name, pair))
			}
			const gw = "kind: Gateway\nmetadata: {name: gw}\nspec: {gatewayClassName: ours, allowedListeners: {namespaces: {from: All}}, listeners: ["
			apply(t, together, gw+strings.Join(listeners, ", ")+"]}")
			apply(t, apart, gw+listeners[0]+"]}")
			for i, l := range listeners[1:] {
				apply(t, apart, setOf(fmt.Sprintf("default/set%d", i), 0, l))
			}
			for _, g := range []*Graph{together, apart} {
				if g == apart && test.name == "not accepted" {
					continue // the first one is, there
				}
				var got []string
				for _, l := range g.Gateway(name("default/gw")).Listeners {
					got = append(got, reason(l.Overlapping))
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestDescribeOthers: a message names few of many, and of those that stand elsewhere no more than where.
func TestDescribeOthers(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, openGateway)
	for i := range maxNamed + 2 {
		apply(t, g, setOf(fmt.Sprintf("default/set%02d", i), i, fmt.Sprintf("{name: secret, port: 443, protocol: TLS, hostname: h%d.example.com, tls: {mode: Passthrough}}", i)))
	}
	apply(t, g, setOf("default/wild", 59, `{name: wild, port: 443, protocol: TLS, hostname: "*.example.com", tls: {mode: Passthrough}}`))
	message := g.ListenerSet(name("default/wild")).Listeners[0].Overlapping.Message
	if !strings.Contains(message, "ListenerSet default/set00 and ") || !strings.Contains(message, " and others on port 443") || strings.Contains(message, "set09") || strings.Contains(message, "secret") {
		t.Error(message)
	}
}

func TestUnchosenCertificates(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]keyPair{
		"ec":      certificateFor(t, ec, ec.Public(), "a.example.com", "b.example.com"),
		"ec-a":    certificateFor(t, ec, ec.Public(), "a.example.com"),
		"ec-more": certificateFor(t, ec, ec.Public(), "b.example.com", "c.example.com"),
		"rsa":     certificateFor(t, rsaKey, rsaKey.Public(), "a.example.com"),
		"none":    certificateFor(t, ec, ec.Public()),
	}
	tests := []struct {
		name, refs string
		want       []string
	}{
		{"one", "{name: ec}", nil},
		{"key types", "{name: ec-a}, {name: rsa}", nil},
		{"more names", "{name: ec}, {name: ec-more}", nil},
		{"no new name", "{name: ec}, {name: rsa}, {name: ec-a}", []string{"default/ec-a"}},
		{"names of two", "{name: ec-a}, {name: ec-more}, {name: ec}", []string{"default/ec"}},
		{"twice", "{name: ec}, {name: ec}", []string{"default/ec"}},
		{"without names", "{name: none}, {name: ec}, {name: none}", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass)
			for name, pair := range secrets {
				g.Apply(tlsSecret("default/"+name, pair))
			}
			apply(t, g, `
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: ours, listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [`+test.refs+`]}}]}
`)
			warnings := g.Gateway(name("default/gw")).Warnings
			if len(warnings) != len(test.want) {
				t.Fatalf("warnings %q, want %d", warnings, len(test.want))
			}
			for i, secret := range test.want {
				if !strings.Contains(warnings[i], "Secret "+secret+" has no effect") {
					t.Errorf("%s; want Secret %s", warnings[i], secret)
				}
			}
		})
	}
}
