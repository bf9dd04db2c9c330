package graph

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMesh(t *testing.T) {
	t.Parallel()
	const services = `
kind: Service
metadata: {name: color, namespace: faces}
spec: {ports: [{name: http, port: 80}, {name: admin, port: 81, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]}
---
kind: Service
metadata: {name: external, namespace: faces}
spec: {type: ExternalName, externalName: example.com, ports: [{port: 80}]}
`
	tests := []struct {
		name, namespace, ref string
		unaccepted           string
		ports                []int32
	}{
		{"every port", "faces", "{name: color}", "", []int32{80, 81}},
		{"by port", "faces", "{name: color, port: 81}", "", []int32{81}},
		{"by section", "faces", "{name: color, sectionName: http}", "", []int32{80}},
		{"by section and port", "faces", "{name: color, sectionName: http, port: 80}", "", []int32{80}},
		{"section and port of two ports", "faces", "{name: color, sectionName: http, port: 81}", "NoMatchingParent", nil},
		{"no such port", "faces", "{name: color, port: 82}", "NoMatchingParent", nil},
		{"a UDP port", "faces", "{name: color, port: 53}", "NoMatchingParent", nil},
		{"ExternalName", "faces", "{name: external}", "NoMatchingParent", nil},
		{"consumer", "other", "{name: color, namespace: faces}", "NotAllowedByListeners", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, services, `
kind: HTTPRoute
metadata: {name: canary, namespace: `+test.namespace+`}
spec: {parentRefs: [{group: "", kind: Service, `+test.ref[1:]+`], rules: [{}]}
`)
			p := g.Route(key(KindHTTPRoute, test.namespace+"/canary")).Parents[0]
			if !p.Managed || p.Service == nil || reason(p.Unaccepted) != test.unaccepted {
				t.Errorf("parent: %+v, want %q", p, test.unaccepted)
			}
			if diff := cmp.Diff(test.ports, p.ServicePorts); diff != "" {
				t.Errorf("ServicePorts (-want +got):\n%s", diff)
			}
			want := []BackendKey{{name("faces/color"), 80}, {name("faces/color"), 81}}
			if diff := cmp.Diff(want, g.MeshHosts()); diff != "" {
				t.Errorf("MeshHosts (-want +got):\n%s", diff)
			}
			var governed []int32
			for _, key := range want {
				if len(g.MeshHost(key).Routes) > 0 {
					governed = append(governed, key.Port)
				}
			}
			if diff := cmp.Diff(test.ports, governed); diff != "" {
				t.Errorf("ports with routes (-want +got):\n%s", diff)
			}
			for _, key := range []BackendKey{{name("faces/color"), 53}, {name("faces/external"), 80}, {name("faces/none"), 80}} {
				if g.MeshHost(key) != nil || g.ServicePort(key) != nil {
					t.Errorf("%s is there", key)
				}
			}
		})
	}
}

func TestServicePort(t *testing.T) {
	t.Parallel()
	g := graphOf(t, `
kind: Service
metadata: {name: s}
spec: {ports: [{name: dns-udp, port: 53, protocol: UDP}, {name: dns, port: 53}]}
---
kind: EndpointSlice
metadata: {name: s-b, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
---
kind: EndpointSlice
metadata: {name: s-a, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
---
kind: EndpointSlice
metadata: {name: s-c, namespace: other, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
---
kind: EndpointSlice
metadata: {name: s-d}
addressType: IPv4
`)
	f := g.ServicePort(BackendKey{name("default/s"), 53})
	if f.Port.Name != "dns" {
		t.Errorf("port: %s, want dns", f.Port.Name)
	}
	var slices []string
	for _, s := range f.Slices {
		slices = append(slices, s.Namespace+"/"+s.Name)
	}
	if diff := cmp.Diff([]string{"default/s-a", "default/s-b"}, slices); diff != "" {
		t.Errorf("Slices (-want +got):\n%s", diff)
	}
}
