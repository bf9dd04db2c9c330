package graph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestGatewayClass(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec string
		managed    bool
		unaccepted string
	}{
		{"ours", "{controllerName: gateway-apiserver.dev/controller}", true, ""},
		{"another controller's", "{controllerName: example.com/other, parametersRef: {group: '', kind: ConfigMap, name: p}}", false, ""},
		{"with parameters", "{controllerName: gateway-apiserver.dev/controller, parametersRef: {group: '', kind: ConfigMap, name: p}}", true, "InvalidParameters"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, "kind: GatewayClass\nmetadata: {name: c}\nspec: "+test.spec, `
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}
`)
			f := g.GatewayClass("c")
			if f.Managed != test.managed || reason(f.Unaccepted) != test.unaccepted {
				t.Errorf("managed %v, unaccepted %+v; want %v, %q", f.Managed, f.Unaccepted, test.managed, test.unaccepted)
			}
			gw := g.Gateway(name("default/gw"))
			if gw.Managed != test.managed || reason(gw.Unaccepted) != test.unaccepted {
				t.Errorf("a Gateway of the class is managed: %v, unaccepted %+v; want %v, %q", gw.Managed, gw.Unaccepted, test.managed, test.unaccepted)
			}
			var want []types.NamespacedName
			if test.managed {
				want = append(want, name("default/gw"))
			}
			if diff := cmp.Diff(want, g.Gateways()); diff != "" {
				t.Errorf("Gateways (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGateway(t *testing.T) {
	t.Parallel()
	const (
		http = "listeners: [{name: http, port: 80, protocol: HTTP}]"
		bad  = "listeners: [{name: other, port: 80, protocol: example.com/QUIC}]"
	)
	type want struct {
		Unaccepted, SomeListenersInvalid, Unprogrammed, Unresolved string
		Listener                                                   string // Unprogrammed of the first listener
		Addresses                                                  []string
		Warnings                                                   int
	}
	tests := []struct {
		name, spec string
		want       want
	}{
		{"valid", http, want{}},
		{"no listener", "listeners: []", want{Unaccepted: "ListenersNotValid", Unprogrammed: "Invalid"}},
		{"no listener valid", bad, want{Unaccepted: "ListenersNotValid", Unprogrammed: "Invalid", Listener: "Invalid"}},
		{"some listeners invalid", "listeners: [{name: http, port: 80, protocol: HTTP}, {name: other, port: 81, protocol: example.com/QUIC}]",
			want{SomeListenersInvalid: "ListenersNotValid"}},
		{"no listener resolved", "listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: none}]}}]",
			want{Unprogrammed: "Invalid", Unresolved: "ListenersNotResolved", Listener: "Invalid"}},
		{"parameters", http + "\n  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: p}}",
			want{Unaccepted: "InvalidParameters", Unprogrammed: "Invalid", Listener: "Pending"}},
		{"parameters before listeners", bad + "\n  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: p}}",
			want{Unaccepted: "InvalidParameters", Unprogrammed: "Invalid", Listener: "Invalid"}},

		{"addresses", http + "\n  addresses: [{value: 10.0.0.1}, {type: IPAddress, value: '2001:DB8:0::1'}, {value: '::ffff:10.0.0.1'}]",
			want{Addresses: []string{"10.0.0.1", "2001:db8::1"}}},
		{"address of another type", http + "\n  addresses: [{value: 10.0.0.1}, {type: Hostname, value: a.example.com}]",
			want{Unaccepted: "UnsupportedAddress", Unprogrammed: "Invalid", Listener: "Pending"}},
		{"address without value", http + "\n  addresses: [{type: IPAddress}]", want{Unprogrammed: "AddressNotAssigned", Listener: "Pending"}},
		{"unspecified address", http + "\n  addresses: [{value: 0.0.0.0}]", want{Unprogrammed: "AddressNotUsable", Listener: "Pending"}},
		{"multicast address", http + "\n  addresses: [{value: 'ff02::1'}]", want{Unprogrammed: "AddressNotUsable", Listener: "Pending"}},
		{"broadcast address", http + "\n  addresses: [{value: 255.255.255.255}]", want{Unprogrammed: "AddressNotUsable", Listener: "Pending"}},
		{"link-local address", http + "\n  addresses: [{value: 'fe80::1'}]", want{Unprogrammed: "AddressNotUsable", Listener: "Pending"}},
		{"address with a zone", http + "\n  addresses: [{value: 'fe80::1%eth0'}]", want{Unprogrammed: "AddressNotUsable", Listener: "Pending"}},
		{"not an address", http + "\n  addresses: [{value: localhost}]", want{Unprogrammed: "AddressNotUsable", Listener: "Pending"}},

		{"labels and annotations", http + "\n  infrastructure: {labels: {a: b}, annotations: {c: d}}", want{Warnings: 2}},
		{"client certificate that is missing", http + "\n  tls: {backend: {clientCertificateRef: {name: c}}}", want{Unresolved: "InvalidClientCertificateRef"}},
		{"no client certificate", http + "\n  tls: {backend: {}}", want{}},
		{"client validation without HTTPS", http + "\n  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}", want{Warnings: 1}},
		{"client validation of a port without HTTPS", http + "\n  tls: {frontend: {default: {}, perPort: [{port: 80, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}]}}", want{Warnings: 1}},
		{"ListenerSets", http + "\n  allowedListeners: {namespaces: {from: Same}}", want{}},
		{"no ListenerSets", http + "\n  allowedListeners: {namespaces: {from: None}}", want{}},
		{"default scope", http + "\n  defaultScope: All", want{}},
		{"no default scope", http + "\n  defaultScope: None", want{}},
		{"TLS options", "listeners: [{name: https, port: 443, protocol: HTTPS, tls: {options: {example.com/min: '1.3'}}}]",
			want{Unprogrammed: "Invalid", Unresolved: "ListenersNotResolved", Listener: "Invalid", Warnings: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, "kind: Gateway\nmetadata: {name: gw}\nspec:\n  gatewayClassName: ours\n  "+test.spec)
			f := g.Gateway(name("default/gw"))
			got := want{
				Unaccepted: reason(f.Unaccepted), SomeListenersInvalid: reason(f.SomeListenersInvalid),
				Unprogrammed: reason(f.Unprogrammed), Unresolved: reason(f.Unresolved),
				Addresses: f.Addresses, Warnings: len(f.Warnings),
			}
			if len(f.Listeners) > 0 {
				got.Listener = reason(f.Listeners[0].Unprogrammed)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if f.Unprogrammed != nil && len(g.VirtualHosts(key(KindGateway, "default/gw"))) > 0 {
				t.Error("a Gateway that isn't programmed has virtual hosts")
			}
			for _, w := range f.Warnings {
				if !strings.HasPrefix(w, "spec.") || !strings.Contains(w, " has no effect: ") {
					t.Errorf("warning %q names no field", w)
				}
			}
		})
	}
}

func TestPreviewGatewayCountsRoutes(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, `
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: ours, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
kind: HTTPRoute
metadata: {name: twice}
spec:
  parentRefs: [{name: gw, sectionName: http}, {name: gw, sectionName: other}]
  rules: [{}]
---
kind: HTTPRoute
metadata: {name: invalid}
spec:
  parentRefs: [{name: gw}]
  rules: [{filters: [{type: ExtensionRef}]}]
`)
	if diff := cmp.Diff([]int32{1}, g.Gateway(name("default/gw")).AttachedRoutes); diff != "" {
		t.Errorf("AttachedRoutes (-want +got):\n%s", diff)
	}
	f := g.PreviewGateway(parseOne[*gwv1.Gateway](t, `
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: ours
  listeners:
  - {name: other, port: 8080, protocol: HTTP}
  - {name: http, port: 80, protocol: HTTP}
  - {name: foreign, port: 81, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}
`))
	if diff := cmp.Diff([]int32{1, 1, 0}, f.AttachedRoutes); diff != "" {
		t.Errorf("AttachedRoutes of the preview (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int32{1}, g.Gateway(name("default/gw")).AttachedRoutes); diff != "" {
		t.Errorf("AttachedRoutes after the preview (-want +got):\n%s", diff)
	}
}
