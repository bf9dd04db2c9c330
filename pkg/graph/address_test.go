package graph

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// An addressed is a Gateway of the fleet default/edge, as lists of addresses: what it asks for, where "" is any, and what its
// status says. Its age is where it stands in a list of them.
type addressed struct{ spec, status []string }

func addressedGateway(name string, age int, a addressed) *gwv1.Gateway {
	gw := &gwv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(age), 0))},
		Spec: gwv1.GatewaySpec{
			GatewayClassName: "ours",
			Listeners:        []gwv1.Listener{{Name: "http", Port: gwv1.PortNumber(80 + age), Protocol: gwv1.HTTPProtocolType}},
			Infrastructure: &gwv1.GatewayInfrastructure{ParametersRef: &gwv1.LocalParametersReference{
				Group: fleetv1alpha1.GroupName, Kind: "EnvoyFleet", Name: "edge",
			}},
		},
	}
	for _, value := range a.spec {
		gw.Spec.Addresses = append(gw.Spec.Addresses, gwv1.GatewaySpecAddress{Value: value})
	}
	gw.Status.Addresses = statusAddresses(a.status)
	return gw
}

func statusAddresses(values []string) []gwv1.GatewayStatusAddress {
	var list []gwv1.GatewayStatusAddress
	for _, value := range values {
		list = append(list, gwv1.GatewayStatusAddress{Value: value})
	}
	return list
}

func edgeFleet(spec string) string { return "kind: EnvoyFleet\nmetadata: {name: edge}\nspec: " + spec }

func TestFleetAddresses(t *testing.T) {
	t.Parallel()
	const (
		pool   = "{addresses: {pool: [192.0.2.1-192.0.2.2, '2001:db8::7']}}"
		merged = "{mergeGateways: true, addresses: {pool: [192.0.2.1-192.0.2.2, '2001:db8::7']}}"
		shared = "{addresses: {shared: [192.0.2.1, '2001:DB8::7']}}"
	)
	ask := func(values ...string) addressed { return addressed{spec: values} }
	has := func(values ...string) addressed { return addressed{status: values} }
	for _, tc := range []struct {
		name, fleet string
		gateways    []addressed
		want        []string // of each Gateway: its addresses, and what is in its problem
	}{
		{"the first that is free", pool, []addressed{{}, ask(""), {}}, []string{"192.0.2.1", "192.0.2.2", "2001:db8::7"}},
		{"what is asked for", pool, []addressed{{}, ask("192.0.2.1"), ask("2001:DB8::7")}, []string{"192.0.2.2", "192.0.2.1", "2001:db8::7"}},
		{"several", pool, []addressed{ask("", "192.0.2.1", ""), {}}, []string{"192.0.2.2 192.0.2.1 2001:db8::7", "AddressNotAssigned the pool of EnvoyFleet default/edge has no address left"}},
		{"what is in status stays", pool, []addressed{{}, has("192.0.2.1"), has("2001:db8::7")}, []string{"192.0.2.2", "192.0.2.1", "2001:db8::7"}},
		{"but for an older one that asks for it", pool, []addressed{ask("192.0.2.1"), has("192.0.2.1")}, []string{"192.0.2.1", "192.0.2.2"}},
		{"or has it", pool, []addressed{has("192.0.2.1"), has("192.0.2.1")}, []string{"192.0.2.1", "192.0.2.2"}},
		{"a younger one can't have it", pool, []addressed{has("192.0.2.1"), ask("192.0.2.1")}, []string{"192.0.2.1", "AddressNotUsable spec.addresses[0].value: 192.0.2.1 is the address of Gateway default/gw0"}},
		{"nor with another one that it gets", pool, []addressed{ask("192.0.2.1"), ask("192.0.2.1", "")}, []string{"192.0.2.1", "192.0.2.2 AddressNotUsable"}},
		{"not in the pool", pool, []addressed{ask("192.0.2.3", "192.0.2.2")}, []string{"192.0.2.2 AddressNotUsable spec.addresses[0].value: 192.0.2.3 is not in the pool of EnvoyFleet default/edge"}},
		{"not usable anyhow", pool, []addressed{ask("224.0.0.1")}, []string{"AddressNotUsable spec.addresses[0].value: 224.0.0.1 is not in the pool"}},
		{"in status, and not in the pool any more", pool, []addressed{has("192.0.2.9")}, []string{"192.0.2.1"}},
		{"no more than is wanted is kept", pool, []addressed{has("192.0.2.2", "192.0.2.1"), {}}, []string{"192.0.2.2", "192.0.2.1"}},
		{"kept beside what is asked for", pool, []addressed{{spec: []string{"192.0.2.1", ""}, status: []string{"2001:db8::7", "192.0.2.1"}}}, []string{"192.0.2.1 2001:db8::7"}},
		{"exhausted", pool, []addressed{{}, {}, {}, {}}, []string{"192.0.2.1", "192.0.2.2", "2001:db8::7", "AddressNotAssigned the pool of EnvoyFleet default/edge has no address left"}},

		{"merged", merged, []addressed{{}, {}}, []string{"192.0.2.1", "192.0.2.1"}},
		{"merged, and asked for", merged, []addressed{{}, ask("192.0.2.2"), ask("")}, []string{"192.0.2.2", "192.0.2.2", "192.0.2.2"}},
		{"merged, and in status", merged, []addressed{has("2001:db8::7"), ask("192.0.2.2")}, []string{"2001:db8::7", "AddressNotUsable spec.addresses[0].value: EnvoyFleet default/edge merges its Gateways, which are reached at 2001:db8::7"}},
		{"merged, and not in the pool", merged, []addressed{{spec: []string{"192.0.2.9"}, status: []string{"192.0.2.2"}}, {}}, []string{"AddressNotUsable", "192.0.2.1"}},
		{"merged without addresses", "{mergeGateways: true}", []addressed{{}, ask("192.0.2.9"), ask("")}, []string{"", "AddressNotUsable spec.addresses: must not be set", "AddressNotAssigned"}},

		{"shared", shared, []addressed{{}, ask("2001:db8::7"), ask(""), ask("2001:db8::7", "")}, []string{"192.0.2.1 2001:db8::7", "2001:db8::7", "192.0.2.1 2001:db8::7", "2001:db8::7 192.0.2.1"}},
		{"shared, and another one", shared, []addressed{ask("192.0.2.1", "192.0.2.2")}, []string{"192.0.2.1 AddressNotUsable spec.addresses[1].value: 192.0.2.2 is not an address of EnvoyFleet default/edge"}},
		{"none", "{}", []addressed{{}, ask("192.0.2.9"), ask("")}, []string{"", "192.0.2.9", "AddressNotAssigned"}},
		{"while the fleet is wrong", "{bindAddress: nowhere}", []addressed{has("192.0.2.1", "example.com"), ask("192.0.2.9")}, []string{"192.0.2.1 Invalid", "Invalid"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, edgeFleet(tc.fleet))
			for i, a := range slices.Backward(tc.gateways) {
				g.Apply(addressedGateway(fmt.Sprint("gw", i), i, a))
			}
			for i, want := range tc.want {
				f := g.Gateway(name(fmt.Sprint("default/gw", i)))
				got := strings.Join(f.Addresses, " ")
				if f.Unprogrammed != nil {
					got = strings.TrimSpace(got + " " + f.Unprogrammed.Reason + " " + f.Unprogrammed.Message)
				}
				if problem := strings.Contains(want, "A") || strings.Contains(want, "Invalid"); !problem && got != want || !strings.HasPrefix(got, want) {
					t.Errorf("gw%d has %q, want %q", i, got, want)
				}
			}
		})
	}
}

// TestAddressesSettle holds that writing into status what is found of addresses changes nothing of what is found, whichever
// Gateway is first, and that no address is given twice.
func TestAddressesSettle(t *testing.T) {
	t.Parallel()
	values := []string{"", "", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "198.51.100.1"}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		some := func(most int) (list []string) {
			for range random.IntN(most + 1) {
				list = append(list, values[random.IntN(len(values))])
			}
			return list
		}
		merged := random.IntN(3) == 0
		g := graphOf(t, ourClass, edgeFleet(fmt.Sprintf("{mergeGateways: %t, addresses: {pool: [192.0.2.1-192.0.2.%d]}}", merged, 1+random.IntN(6))))
		gateways := map[types.NamespacedName]*gwv1.Gateway{}
		for i := range 6 {
			gw := addressedGateway(fmt.Sprint("gw", i), random.IntN(3), addressed{some(2), slices.DeleteFunc(some(3), func(v string) bool { return v == "" })})
			gateways[namespacedName(gw)] = gw
			g.Apply(gw)
		}
		found := map[types.NamespacedName][]any{}
		holders := map[string]types.NamespacedName{}
		for n := range gateways {
			f := g.Gateway(n)
			found[n] = []any{f.Addresses, f.Unprogrammed}
			for _, ip := range f.Addresses {
				if other, held := holders[ip]; held && !merged {
					t.Errorf("seed %d: %s and %s have %s", seed, n, other, ip)
				}
				holders[ip] = n
			}
		}
		if merged && len(holders) > 1 {
			t.Errorf("seed %d: a merged fleet has %v", seed, slices.Collect(maps.Keys(holders)))
		}
		for n, gw := range gateways { // in another order each time
			settled := gw.DeepCopy()
			settled.Status.Addresses = statusAddresses(g.Gateway(n).Addresses)
			g.Apply(settled)
			for n, before := range found {
				f := g.Gateway(n)
				if diff := cmp.Diff(before, []any{f.Addresses, f.Unprogrammed}); diff != "" {
					t.Fatalf("seed %d: writing the status of %s changes %s:\n%s", seed, namespacedName(gw), n, diff)
				}
			}
		}
	}
}

// TestPoolCursor holds that a pool is gone through once, in its order.
func TestPoolCursor(t *testing.T) {
	t.Parallel()
	p := pool{mustRange("192.0.2.1-192.0.2.2"), mustRange("192.0.2.2"), mustRange("2001:db8::/127"), mustRange("192.0.2.0")}
	taken := map[netip.Addr]bool{netip.MustParseAddr("2001:db8::"): true}
	c := poolCursor{rest: p}
	var got []string
	for range 6 {
		addr := c.free(func(a netip.Addr) bool { return taken[a] })
		taken[addr] = true
		got = append(got, addr.String())
	}
	want := []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.0", "invalid IP", "invalid IP"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("free addresses (-want +got):\n%s", diff)
	}
}
