package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// tlsBase is a Gateway that forwards to ports 443 and 8443 of Service s, and other Services that it doesn't forward to.
const tlsBase = ourClass + `
---
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: ours, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: gw}]
  rules:
  - backendRefs: [{name: s, port: 443}, {name: missing, port: 443}, {name: s, namespace: other, port: 443}]
  - filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s, port: 8443}}}]
    backendRefs: [{name: plain, port: 80}]
---
kind: Service
metadata: {name: s}
spec: {ports: [{name: https, port: 443}, {name: other, port: 8443}, {name: unused, port: 9443}]}
---
kind: Service
metadata: {name: plain}
spec: {ports: [{port: 80}]}
---
kind: Service
metadata: {name: unused}
spec: {ports: [{name: tcp, port: 443}, {name: udp, port: 443, protocol: UDP}]}
---
kind: Service
metadata: {name: udp}
spec: {ports: [{port: 443, protocol: UDP}]}
---
kind: Service
metadata: {name: external}
spec: {type: ExternalName, externalName: example.com, ports: [{port: 443}]}
---
kind: Service
metadata: {name: s, namespace: other}
spec: {ports: [{name: https, port: 443}]}
`

func tlsPolicy(name, targets, validation string) string {
	return fmt.Sprintf("kind: BackendTLSPolicy\nmetadata: {name: %s}\nspec: {targetRefs: [%s], validation: {%s}}\n", name, targets, validation)
}

const (
	targetS     = `{group: "", kind: Service, name: s}`
	fromSystem  = "hostname: a.example, wellKnownCACertificates: System"
	fromMissing = `hostname: a.example, caCertificateRefs: [{group: "", kind: ConfigMap, name: none}]`
)

func TestTLSPolicyValidation(t *testing.T) {
	t.Parallel()
	a, b := string(keyPairs().a.chain), string(keyPairs().b.chain)
	type want struct {
		CAs                    string // names of certificates
		Unaccepted, Unresolved string
	}
	refs := func(refs string) string { return "hostname: a.example, caCertificateRefs: [" + refs + "]" }
	const ca = `{group: "", kind: ConfigMap, name: a}`
	tests := []struct {
		name, validation string
		want             want
	}{
		{"system", fromSystem, want{CAs: "system"}},
		{"one CA", refs(ca), want{CAs: "a"}},
		{"several", refs(`{group: "", kind: ConfigMap, name: b}, ` + ca), want{CAs: "ba"}},
		{"missing", fromMissing, want{Unaccepted: "NoValidCACertificate", Unresolved: "InvalidCACertificateRef"}},
		{"malformed", refs(`{group: "", kind: ConfigMap, name: malformed}`), want{Unaccepted: "NoValidCACertificate", Unresolved: "InvalidCACertificateRef"}},
		{"a kind that never was", refs(`{group: "", kind: ConfigMapReference, name: a}`), want{Unaccepted: "NoValidCACertificate", Unresolved: "InvalidKind"}},
		{"another group", refs(`{group: example.com, kind: ConfigMap, name: a}`), want{Unaccepted: "NoValidCACertificate", Unresolved: "InvalidKind"}},
		{"some", refs(`{group: "", kind: Secret, name: a}, {group: "", kind: ConfigMap, name: none}, ` + ca), want{CAs: "a", Unresolved: "InvalidKind"}},
		{"another set of CAs", "hostname: a.example, wellKnownCACertificates: example.com/theirs", want{Unaccepted: "Invalid"}},
		{"both", refs(ca) + ", wellKnownCACertificates: System", want{Unaccepted: "Invalid"}},
		{"neither", "hostname: a.example", want{Unaccepted: "Invalid"}},
		{"an address", "hostname: 10.0.0.1, wellKnownCACertificates: System", want{Unaccepted: "Invalid"}},
		{"names", fromSystem + ", subjectAltNames: [{type: URI, uri: 'spiffe://a/b'}, {type: Hostname, hostname: a.example}]", want{CAs: "system"}},
		{"an unknown type of name", fromSystem + ", subjectAltNames: [{type: Email}]", want{Unaccepted: "Invalid"}},
		{"a name of another type", fromSystem + ", subjectAltNames: [{type: Hostname, uri: 'spiffe://a/b'}]", want{Unaccepted: "Invalid"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, tlsBase)
			for name, bundle := range map[string]string{"default/a": a, "default/b": b, "default/malformed": "x"} {
				g.Apply(caConfigMap(name, bundle))
			}
			apply(t, g, tlsPolicy("p", targetS, test.validation))
			f := g.BackendTLSPolicy(name("default/p"))
			got := want{Unaccepted: reason(f.Ancestors[0].Unaccepted), Unresolved: reason(f.Unresolved)}
			tls := g.BackendPort(ServiceBackend(name("default/s"), 443)).TLS
			if tls != nil {
				got.CAs = strings.NewReplacer(a, "a", b, "b").Replace(string(tls.Authorities))
				if tls.System {
					got.CAs += "system"
				}
				if tls.Hostname != "a.example" || len(tls.SubjectAltNames) != strings.Count(test.validation, "type:") {
					t.Errorf("%+v", tls)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}

			// A policy that isn't valid must not be as if there were none.
			backend := g.Route(key(KindHTTPRoute, "default/r")).Rules[0].Backends[0]
			failing := ""
			if test.want.Unaccepted != "" {
				failing = ReasonInvalidBackendTLSPolicy
			}
			if !backend.TLS || reason(backend.Problem) != failing {
				t.Errorf("the backend: %+v, Problem %+v, want %q", backend, backend.Problem, failing)
			}
		})
	}
}

func TestTLSPolicyAncestors(t *testing.T) {
	t.Parallel()
	const valid = fromSystem
	tests := []struct {
		name, targets string
		others        string // manifests of other policies
		want          []string
		warnings      int
	}{
		{"a backend", targetS, "", []string{"Gateway default/gw"}, 0},
		{"a port", `{group: "", kind: Service, name: s, sectionName: https}`, "", []string{"Gateway default/gw"}, 0},
		{"the port of a mirror", `{group: "", kind: Service, name: s, sectionName: other}`, "", []string{"Gateway default/gw"}, 0},
		{"a port that isn't used", `{group: "", kind: Service, name: s, sectionName: unused}`, "", []string{"Service default/s unused"}, 0},
		{"a port that isn't there", `{group: "", kind: Service, name: s, sectionName: none}`, "", []string{"Service default/s none: TargetNotFound"}, 0},
		{"a Service that is used and missing", `{group: "", kind: Service, name: missing}`, "", []string{"Gateway default/gw: TargetNotFound"}, 0},
		{"a Service that is missing", `{group: "", kind: Service, name: none}`, "", []string{"Service default/none: TargetNotFound"}, 0},
		{"a Service that isn't used, with a UDP port", `{group: "", kind: Service, name: unused}`, "", []string{"Service default/unused"}, 1},
		{"a UDP port", `{group: "", kind: Service, name: unused, sectionName: udp}`, "", []string{"Service default/unused udp: Invalid"}, 0},
		{"UDP", `{group: "", kind: Service, name: udp}`, "", []string{"Service default/udp: Invalid"}, 0},
		{"ExternalName", `{group: "", kind: Service, name: external}`, "", []string{"Service default/external: TargetNotFound"}, 0},
		{"another kind", `{group: core, kind: service, name: s}`, "", []string{"service default/s: TargetNotFound"}, 0},
		{"several", targetS + `, {group: "", kind: Service, name: plain}, {group: "", kind: Service, name: none}`, "",
			[]string{"Gateway default/gw", "Service default/none: TargetNotFound"}, 0},
		{"several of a Gateway, one of which isn't there", `{group: "", kind: Service, name: plain}, {group: "", kind: Service, name: missing}`, "",
			[]string{"Gateway default/gw: TargetNotFound"}, 0},

		{"a younger rival", targetS, policyAt("a", 2, targetS), []string{"Gateway default/gw"}, 0},
		{"an older rival", targetS, policyAt("z", 0, targetS), []string{"Gateway default/gw: Conflicted"}, 0},
		{"a rival with an earlier name", targetS, policyAt("o", 1, targetS), []string{"Gateway default/gw: Conflicted"}, 0},
		{"a rival with a later name", targetS, policyAt("q", 1, targetS), []string{"Gateway default/gw"}, 0},
		{"an older one for a port", targetS, policyAt("z", 0, `{group: "", kind: Service, name: s, sectionName: https}`), []string{"Gateway default/gw"}, 0},
		{"an older one for all ports", `{group: "", kind: Service, name: s, sectionName: https}`, policyAt("z", 0, targetS), []string{"Gateway default/gw"}, 0},
		{"an older rival for a port", `{group: "", kind: Service, name: s, sectionName: https}`,
			policyAt("z", 0, `{group: "", kind: Service, name: s, sectionName: https}`), []string{"Gateway default/gw: Conflicted"}, 0},
		{"an older rival of one target", `{group: "", kind: Service, name: plain}, ` + targetS, policyAt("z", 0, targetS), []string{"Gateway default/gw: Conflicted"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, tlsBase, test.others, policyAt("p", 1, test.targets))
			f := g.BackendTLSPolicy(name("default/p"))
			var got []string
			for _, a := range f.Ancestors {
				line := fmt.Sprintf("%s %s/%s", *a.Ref.Kind, *a.Ref.Namespace, a.Ref.Name)
				if a.Ref.SectionName != nil {
					line += " " + string(*a.Ref.SectionName)
				}
				if a.Unaccepted != nil {
					line += ": " + a.Unaccepted.Reason
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(f.Warnings) != test.warnings {
				t.Errorf("warnings %q", f.Warnings)
			}
		})
	}
	t.Run("no grant", func(t *testing.T) {
		t.Parallel()
		g := graphOf(t, tlsBase, strings.Replace(policyAt("p", 1, targetS), "name: p,", "name: p, namespace: other,", 1))
		if a := g.BackendTLSPolicy(name("other/p")).Ancestors; len(a) != 1 || *a[0].Ref.Kind != "Service" {
			t.Errorf("ancestors %+v", a)
		}
	})
	t.Run("options", func(t *testing.T) {
		t.Parallel()
		g := graphOf(t, tlsBase, "kind: BackendTLSPolicy\nmetadata: {name: p}\nspec: {targetRefs: ["+targetS+"], validation: {"+valid+"}, options: {example.com/b: x, example.com/a: y}}")
		want := []string{"spec.options[example.com/a] has no effect: no options are known", "spec.options[example.com/b] has no effect: no options are known"}
		if diff := cmp.Diff(want, g.BackendTLSPolicy(name("default/p")).Warnings); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// policyAt is a valid policy that was made at a second.
func policyAt(name string, second int, targets string) string {
	return fmt.Sprintf("kind: BackendTLSPolicy\nmetadata: {name: %s, creationTimestamp: '2026-01-01T00:00:0%dZ'}\nspec: {targetRefs: [%s], validation: {%s}}\n",
		name, second, targets, "hostname: "+name+".example, wellKnownCACertificates: System")
}

// TestTLSPolicyOfPort: which policy rules a port.
func TestTLSPolicyOfPort(t *testing.T) {
	t.Parallel()
	https := `{group: "", kind: Service, name: s, sectionName: https}`
	tests := []struct {
		name        string
		policies    []string
		https, rest string // hostnames
	}{
		{"none", nil, "", ""},
		{"for all ports", []string{policyAt("a", 1, targetS)}, "a.example", "a.example"},
		{"for one port", []string{policyAt("a", 1, https)}, "a.example", ""},
		{"the port before the rest", []string{policyAt("a", 0, targetS), policyAt("b", 1, https)}, "b.example", "a.example"},
		{"the older", []string{policyAt("a", 1, targetS), policyAt("b", 0, targetS)}, "b.example", "b.example"},
		{"the first by name", []string{policyAt("b", 1, https), policyAt("a", 1, https)}, "a.example", ""},
		{"the older, though it isn't valid", []string{policyAt("a", 1, targetS),
			strings.Replace(policyAt("b", 0, targetS), "System", "example.com/x", 1)}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, append([]string{tlsBase}, test.policies...)...)
			hostname := func(port int32) string {
				if tls := g.BackendPort(ServiceBackend(name("default/s"), port)).TLS; tls != nil {
					return tls.Hostname
				}
				return ""
			}
			if hostname(443) != test.https || hostname(8443) != test.rest {
				t.Errorf("https %q, the rest %q", hostname(443), hostname(8443))
			}
			if ruled := g.MeshHost(MeshHostKey{BackendKey: ServiceBackend(name("default/s"), 443)}).TLS; ruled != (len(test.policies) > 0) {
				t.Errorf("mesh: TLS %t", ruled)
			}
		})
	}
}

func TestTLSAppProtocols(t *testing.T) {
	t.Parallel()
	g := graphOf(t, backendServices, tlsPolicy("p", targetS, fromSystem))
	for port, want := range map[int][2]string{
		80: {}, 81: {}, 85: {}, // none, h2c, grpc
		82: {"", "UnsupportedProtocol"}, 83: {"", "UnsupportedProtocol"}, // ws, wss
		86: {}, // https
	} {
		for i, kind := range []Kind{KindHTTPRoute, KindGRPCRoute} {
			apply(t, g, fmt.Sprintf("kind: %s\nmetadata: {name: r}\nspec: {rules: [{backendRefs: [{name: s, port: %d}]}]}", kind, port))
			if b := g.Route(key(kind, "default/r")).Rules[0].Backends[0]; reason(b.Problem) != want[i] || !b.TLS {
				t.Errorf("%s, port %d: %+v, Problem %+v, want %q", kind, port, b, b.Problem, want[i])
			}
		}
	}
	upper := strings.Replace(backendServices, "appProtocol: https", "appProtocol: HTTPS", 1)
	if f := graphOf(t, upper, tlsPolicy("p", targetS, fromSystem)).PreviewRoute(parseOne[*gwv1.HTTPRoute](t,
		"kind: HTTPRoute\nmetadata: {name: r}\nspec: {rules: [{backendRefs: [{name: s, port: 86}]}]}")); f.Unresolved != nil {
		t.Errorf("HTTPS in upper case: %+v", f.Unresolved)
	}
}

// TestTLSInMesh: rules that forward to a backend with a policy can't be executed by proxyless clients.
func TestTLSInMesh(t *testing.T) {
	t.Parallel()
	for weight, needsProxy := range map[int]bool{0: false, 1: true} {
		g := graphOf(t, tlsBase, tlsPolicy("p", targetS, fromSystem), fmt.Sprintf(`
kind: GRPCRoute
metadata: {name: mesh}
spec:
  parentRefs: [{group: "", kind: Service, name: plain}]
  rules: [{name: it, backendRefs: [{name: plain, port: 80}, {name: s, port: 443, weight: %d}]}]
`, weight))
		f := g.Route(key(KindGRPCRoute, "default/mesh"))
		p := f.MeshRules[0].NeedsProxy
		if (p != nil) != needsProxy || (f.Parents[0].NeedsProxy != nil) != needsProxy || f.Parents[0].Unaccepted != nil {
			t.Errorf("weight %d: NeedsProxy %+v, of the parent %+v", weight, p, f.Parents[0])
		}
		if p != nil && !strings.HasPrefix(p.Message, `rule "it" backendRefs[1]: a BackendTLSPolicy applies to Service default/s`) {
			t.Error(p.Message)
		}
	}
}

// TestTLSDirty holds how little a change dirties; TestHistory holds that it is enough.
func TestTLSDirty(t *testing.T) {
	t.Parallel()
	const policy = `
kind: BackendTLSPolicy
metadata: {name: p}
spec: {targetRefs: [{group: "", kind: Service, name: s, sectionName: https}], validation: {hostname: %s, caCertificateRefs: [{group: "", kind: ConfigMap, name: a}]}}
`
	const frontend = `
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: ours, tls: {backend: {clientCertificateRef: {name: %s}}}, listeners: [{name: http, port: 80, protocol: HTTP}]}
`
	status := "status BackendTLSPolicy default/p"
	tests := []struct {
		name   string
		change func(t *testing.T, g *Graph) Dirty
		want   []string
	}{
		{"another hostname", manifest(fmt.Sprintf(policy, "b.example")), []string{"backend default/s:443", status}},
		{"the same policy", manifest(fmt.Sprintf(policy, "a.example")), []string{status}},
		{"a policy gone", deletion(key(KindBackendTLSPolicy, "default/p")),
			[]string{"backend default/s:443", "host 80/ *", "mesh default/s:443", "reference ConfigMap default/a", status, "status HTTPRoute default/r"}},
		{"a policy for another Service", manifest(tlsPolicy("q", `{group: "", kind: Service, name: unused}`, fromSystem)),
			[]string{"backend default/unused:443", "mesh default/unused:443", "status BackendTLSPolicy default/q"}},
		{"a rival", manifest(tlsPolicy("q", targetS, fromSystem)),
			[]string{"backend default/s:8443", "backend default/s:9443", "host 80/ *", "mesh default/s:8443", "mesh default/s:9443",
				status, "status BackendTLSPolicy default/q", "status HTTPRoute default/r"}},
		{"another CA", func(_ *testing.T, g *Graph) Dirty {
			return g.Apply(caConfigMap("default/a", string(keyPairs().b.chain)))
		},
			[]string{"backend default/s:443", status}},
		{"a comment to a CA", func(_ *testing.T, g *Graph) Dirty {
			return g.Apply(caConfigMap("default/a", "# a\n"+string(keyPairs().a.chain)))
		}, nil},
		{"a CA gone", deletion(key(KindConfigMap, "default/a")),
			[]string{"backend default/s:443", "host 80/ *", status, "status HTTPRoute default/r"}},
		{"a ConfigMap that nobody refers to", func(_ *testing.T, g *Graph) Dirty { return g.Apply(caConfigMap("default/b", "")) }, nil},
		{"a port that loses the policy with its name", manifest("kind: Service\nmetadata: {name: s}\nspec: {ports: [{name: web, port: 443}, {name: other, port: 8443}, {name: unused, port: 9443}]}"),
			[]string{"backend default/s:443", "backend default/s:8443", "backend default/s:9443", "host 80/ *", "mesh default/s:443",
				status, "status HTTPRoute default/r"}},
		{"an invalid policy after another", func(t *testing.T, g *Graph) Dirty {
			apply(t, g, tlsPolicy("a", `{group: "", kind: Service, name: plain}`, fromMissing)+"---\n"+tlsPolicy("b", `{group: "", kind: Service, name: plain}`, fromMissing))
			return g.Delete(key(KindBackendTLSPolicy, "default/a"))
		}, []string{"host 80/ *", "status BackendTLSPolicy default/a", "status BackendTLSPolicy default/b", "status HTTPRoute default/r"}},
		{"a route that uses the Service too", manifest("kind: HTTPRoute\nmetadata: {name: q}\nspec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 443}]}]}"),
			[]string{"host 80/ *", "status Gateway default/gw", "status HTTPRoute default/q"}},
		{"a route that uses another Service", manifest("kind: HTTPRoute\nmetadata: {name: q}\nspec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: unused, port: 443}]}]}"),
			[]string{"host 80/ *", "status Gateway default/gw", "status HTTPRoute default/q"}},
		{"the last use gone", deletion(key(KindHTTPRoute, "default/r")),
			[]string{"host 80/ *", status, "status Gateway default/gw", "status HTTPRoute default/r"}},
		{"a client certificate", manifest(fmt.Sprintf(frontend, "c")),
			[]string{"scope Gateway default/gw", "host 80/ *", "reference Secret default/c", "status Gateway default/gw"}},
		{"a client certificate that is missing", manifest(fmt.Sprintf(frontend, "none")),
			[]string{"scope Gateway default/gw", "reference Secret default/none", "status Gateway default/gw"}},
		{"a client certificate renewed", func(t *testing.T, g *Graph) Dirty {
			apply(t, g, fmt.Sprintf(frontend, "c"))
			return g.Apply(tlsSecret("default/c", keyPairs().b))
		}, []string{"scope Gateway default/gw", "status Gateway default/gw"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, tlsBase)
			g.Apply(caConfigMap("default/a", string(keyPairs().a.chain)))
			g.Apply(tlsSecret("default/c", keyPairs().a))
			apply(t, g, fmt.Sprintf(policy, "a.example"))
			if diff := cmp.Diff(slices.Sorted(slices.Values(test.want)), describe(test.change(t, g))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
