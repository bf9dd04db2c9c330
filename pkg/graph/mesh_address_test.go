package graph

import (
	"fmt"
	"slices"
	"testing"
)

func TestMeshAddresses(t *testing.T) {
	t.Parallel()
	service := func(name string, age int, spec string) string {
		return fmt.Sprintf("kind: Service\nmetadata: {name: %s, creationTimestamp: 20%02d-01-01T00:00:00Z}\nspec: {ports: [{port: 80}], %s}", name, 20-age, spec)
	}
	for _, tt := range []struct {
		name     string
		services []string
		want     string // those of the Service s
		ipv6     bool
	}{
		{"none", []string{service("s", 0, "")}, "[]", false},
		{"one", []string{service("s", 0, "clusterIP: 10.0.0.1")}, "[10.0.0.1]", false},
		{"two", []string{service("s", 0, `clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, "fd00::1"]`)}, "[10.0.0.1 fd00::1]", true},
		{"headless", []string{service("s", 0, "clusterIP: None, clusterIPs: [None]")}, "[]", false},
		{"ExternalName", []string{service("s", 0, "type: ExternalName, clusterIP: 10.0.0.1")}, "", false},
		{"addresses of no other host", []string{service("s", 0, `clusterIPs: [127.0.0.1, 0.0.0.0, 224.0.0.1, "::1", "fe80::1", x, 10.0.0.1, 10.0.0.1]`)}, "[10.0.0.1]", false},
		{"an IPv4 address in IPv6", []string{service("s", 0, `clusterIPs: ["::ffff:10.0.0.1"]`)}, "[10.0.0.1]", false},
		{"that of a younger Service too", []string{service("s", 1, "clusterIP: 10.0.0.1"), service("a", 0, "clusterIP: 10.0.0.1")}, "[10.0.0.1]", false},
		{"that of an older Service too", []string{service("s", 0, "clusterIPs: [10.0.0.1, 10.0.0.2]"), service("a", 1, "clusterIP: 10.0.0.1")}, "[10.0.0.2]", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, tt.services...)
			got := ""
			if f := g.MeshHost(MeshHostKey{BackendKey: ServiceBackend(name("default/s"), 80)}); f != nil {
				got = fmt.Sprint(f.Addresses)
			}
			if got != tt.want || g.Sidecar().IPv6 != tt.ipv6 {
				t.Errorf("addresses %s, IPv6 %t, want %s, %t", got, g.Sidecar().IPv6, tt.want, tt.ipv6)
			}
		})
	}
}

// TestAddressPassesOn: a Service has an address as soon as the older one leaves it.
func TestAddressPassesOn(t *testing.T) {
	t.Parallel()
	const older = "kind: Service\nmetadata: {name: a, creationTimestamp: 2020-01-01T00:00:00Z}\nspec: {ports: [{port: 80}], clusterIPs: [\"fd00::1\"]}"
	g := graphOf(t, older, "kind: Service\nmetadata: {name: s, creationTimestamp: 2021-01-01T00:00:00Z}\nspec: {ports: [{port: 80}], clusterIPs: [\"fd00::1\"]}")
	key := MeshHostKey{BackendKey: ServiceBackend(name("default/s"), 80)}
	if a := g.MeshHost(key).Addresses; len(a) > 0 {
		t.Errorf("beside an older one: %v", a)
	}
	d := apply(t, g, "kind: Service\nmetadata: {name: a, creationTimestamp: 2020-01-01T00:00:00Z}\nspec: {ports: [{port: 80}]}")
	if !slices.Contains(describe(d), "mesh default/s:80") || len(g.MeshHost(key).Addresses) != 1 {
		t.Errorf("alone: %v, and dirty is %q", g.MeshHost(key).Addresses, describe(d))
	}
	if d := g.Delete(serviceKey(name("default/s"))); !d.Sidecars || g.Sidecar().IPv6 {
		t.Error("no Service has an IPv6 address any more, and sidecars aren't dirty")
	}
}
