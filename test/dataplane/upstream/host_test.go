package upstream

import (
	"errors"
	"maps"
	"net/netip"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
)

func TestRoundRobin(t *testing.T) {
	t.Parallel()
	const a, b, c = "127.0.0.1:80", "127.0.0.1:81", "[::1]:80"
	for name, tt := range map[string]struct {
		weights map[string]uint32
		picks   int
		want    map[string]int
	}{
		"without weights":  {map[string]uint32{a: 0, b: 0, c: 0}, 9, map[string]int{a: 3, b: 3, c: 3}},
		"equal weights":    {map[string]uint32{a: 5, b: 5, c: 5}, 9, map[string]int{a: 3, b: 3, c: 3}},
		"unequal weights":  {map[string]uint32{a: 1, b: 2, c: 6}, 90, map[string]int{a: 10, b: 20, c: 60}},
		"no weight is one": {map[string]uint32{a: 0, b: 3}, 40, map[string]int{a: 10, b: 30}},
		"one host":         {map[string]uint32{a: 7}, 3, map[string]int{a: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := newCluster(t, eds())
			var hosts []string
			for _, h := range []string{a, b, c} {
				if _, ok := tt.weights[h]; ok {
					hosts = append(hosts, h)
				}
			}
			hosts = append(hosts, a) // an address counts once
			if err := cluster.Update(weighted(tt.weights, hosts...)); err != nil {
				t.Fatal(err)
			}
			got, run, longest := map[string]int{}, map[string]int{}, 0
			var last string
			for range tt.picks {
				h := pick(t, cluster).Address().String()
				got[h]++
				if h != last {
					run[h] = 0
				}
				run[h]++
				longest, last = max(longest, run[h]), h
			}
			// A start by chance shifts what falls into a cycle by no more than one.
			for h, want := range tt.want {
				if d := got[h] - want; d < -1 || d > 1 {
					t.Errorf("picked %v, want %v", got, tt.want)
				}
			}
			if len(tt.weights) == 3 && longest > 4 {
				t.Errorf("a host was picked %d times in a row: they aren't spread", longest)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	c := newCluster(t, eds())
	select {
	case <-c.Ready():
		t.Error("it is ready without endpoints having come")
	default:
	}
	if _, err := c.Pick(Choice{}); !errors.Is(err, ErrNoHealthyUpstream) {
		t.Errorf("picking of none: %v", err)
	}
	if err := c.Update(assignment("127.0.0.1:80", "127.0.0.1:81")); err != nil {
		t.Fatal(err)
	}
	<-c.Ready()
	picked := map[string]*Host{}
	for range 2 {
		h := pick(t, c)
		picked[h.Address().String()] = h
	}
	if err := c.Update(assignment("127.0.0.1:81", "127.0.0.1:82")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-picked["127.0.0.1:80"].Gone():
	default:
		t.Error("a host went away, and doesn't say so")
	}
	now := map[string]*Host{}
	for range 2 {
		h := pick(t, c)
		now[h.Address().String()] = h
	}
	if now["127.0.0.1:81"] != picked["127.0.0.1:81"] || now["127.0.0.1:82"] == nil || len(now) != 2 {
		t.Errorf("hosts %v, of which :81 was %p", now, picked["127.0.0.1:81"])
	}
	c.Close()
	select {
	case <-now["127.0.0.1:82"].Gone():
	default:
		t.Error("a cluster was closed, and its host doesn't say so")
	}
	if _, err := c.Pick(Choice{}); !errors.Is(err, ErrNoHealthyUpstream) {
		t.Errorf("picking of a closed cluster: %v", err)
	}
}

func TestOverride(t *testing.T) {
	t.Parallel()
	c := newCluster(t, eds(), "127.0.0.1:80", "127.0.0.1:81", "[::1]:80")
	for range 4 {
		if h, err := c.Pick(Choice{Override: "[::1]:80"}); err != nil || h.Address().String() != "[::1]:80" {
			t.Errorf("the session is with [::1]:80, picked was %v (%v)", h.Address(), err)
		}
	}
	for _, override := range []string{"127.0.0.1:82", "rubbish"} {
		seen := map[netip.AddrPort]bool{}
		for range 3 {
			h, err := c.Pick(Choice{Override: override})
			if err != nil {
				t.Fatal(err)
			}
			seen[h.Address()] = true
		}
		if len(seen) != 3 {
			t.Errorf("session with %s: only %v are picked", override, seen)
		}
	}
}

func TestOriginalDestination(t *testing.T) {
	t.Parallel()
	c := newCluster(t, &clusterv3.Cluster{
		Name:                 "test",
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
	})
	<-c.Ready()
	if _, err := c.Pick(Choice{}); !errors.Is(err, ErrNoHealthyUpstream) {
		t.Errorf("without a destination: %v", err)
	}
	to := netip.MustParseAddrPort("127.0.0.9:99")
	first, err := c.Pick(Choice{OriginalDst: to})
	if err != nil || first.Address() != to {
		t.Fatal(first.Address(), err)
	}
	if again, err := c.Pick(Choice{OriginalDst: to}); err != nil || again != first {
		t.Errorf("the same destination is another host (%v)", err)
	}
	c.expire() // it was used
	if again, _ := c.Pick(Choice{OriginalDst: to}); again != first {
		t.Error("a host that was just used is gone")
	}
	c.expire()
	c.expire()
	select {
	case <-first.Gone():
	default:
		t.Error("a host stays, though nobody used it")
	}
	if again, err := c.Pick(Choice{OriginalDst: to}); err != nil || again == first {
		t.Errorf("a host that is gone is picked (%v)", err)
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	c := newCluster(t, &clusterv3.Cluster{
		Name:                 "test",
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment:       assignment("127.0.0.1:80", "127.0.0.1:81"),
	})
	<-c.Ready()
	got := map[string]int{}
	for range 4 {
		got[pick(t, c).Address().String()]++
	}
	if want := (map[string]int{"127.0.0.1:80": 2, "127.0.0.1:81": 2}); !maps.Equal(got, want) {
		t.Errorf("picked %v, want %v", got, want)
	}
}
