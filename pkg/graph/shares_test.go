package graph

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUDPRouteBackend follows what a UDPRoute sends to, taken together, through changes to what it depends on.
func TestUDPRouteBackend(t *testing.T) {
	t.Parallel()
	const route = `
kind: UDPRoute
metadata: {name: r}
spec: {rules: [{backendRefs: [{name: a, port: 53, weight: %d}, {name: none, port: 53, weight: 0}, {name: b, port: 53}]}, {backendRefs: [{name: c, port: 53}]}]}
`
	const service = "kind: Service\nmetadata: {name: %s}\nspec: {ports: [{port: 53, protocol: UDP}, {port: 54, protocol: UDP}]}"
	const slice = "kind: EndpointSlice\nmetadata: {name: %[1]s-1, labels: {kubernetes.io/service-name: %[1]s}}\naddressType: IPv4\nendpoints: [{addresses: [%[2]s]}]"
	r := key(KindUDPRoute, "default/r")
	backend := UDPRouteBackend(r)
	g := graphOf(t)
	shares := func() []string {
		f := g.BackendPort(backend)
		if f == nil {
			return nil
		}
		var got []string
		for _, s := range f.Shares {
			line := fmt.Sprintf("%d dropped", s.Weight)
			if s.Port != nil {
				line = fmt.Sprintf("%d %s %d", s.Weight, s.Port.Key, len(s.Port.Slices))
			}
			got = append(got, line)
		}
		return got
	}
	for _, step := range []struct {
		name   string
		change func(t *testing.T, g *Graph) Dirty
		want   []string
	}{
		{"a route", manifest(fmt.Sprintf(route, 3)), []string{"3 dropped", "1 dropped"}},
		{"a Service", manifest(fmt.Sprintf(service, "a")), []string{"3 default/a:53/udp 0", "1 dropped"}},
		{"endpoints", manifest(fmt.Sprintf(slice, "a", "10.0.0.1")), []string{"3 default/a:53/udp 1", "1 dropped"}},
		{"other endpoints", manifest(fmt.Sprintf(slice, "a", "10.0.0.2")), []string{"3 default/a:53/udp 1", "1 dropped"}},
		{"another Service", manifest(fmt.Sprintf(service, "b")), []string{"3 default/a:53/udp 1", "1 default/b:53/udp 0"}},
		{"another weight", manifest(fmt.Sprintf(route, 5)), []string{"5 default/a:53/udp 1", "1 default/b:53/udp 0"}},
		{"no Service", deletion(key(KindService, "default/a")), []string{"5 dropped", "1 default/b:53/udp 0"}},
		{"no route", deletion(r), nil},
	} {
		dirty := step.change(t, g)
		if _, marked := dirty.Backends[backend]; !marked {
			t.Errorf("%s: %s is not dirty", step.name, backend)
		}
		if diff := cmp.Diff(step.want, shares()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}
