package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// says has a replica say that of a number of nodes some are current with what is published now.
func (r *rig) says(replica string, nodes, current, rejecting int) Delivery {
	return Delivery{
		Replica: replica, Scope: gwScope, Version: r.xds.Delivery(gwScope).Version, Nodes: nodes, Current: current, Rejecting: rejecting,
	}
}

func (r *rig) hears(reports ...Delivery) {
	r.engine.SetDeliveries(gwScope, reports)
	synctest.Wait()
}

// notYet is what is said when what is published now is all that is known.
func (r *rig) notYet(generation int) string {
	return fmt.Sprintf("False Pending: Nodes have still to acknowledge version %s, which is the configuration of generation %d",
		r.xds.Delivery(gwScope).Version, generation)
}

// delivered is the condition of the Gateway gw.
func (r *rig) delivered() string {
	r.t.Helper()
	return r.gatewayCondition("gw", status.ConditionDelivered)
}

// passes lets time pass, and what is due then be done.
func (r *rig) passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// writes is how often each object was written.
func (m *memory) writes() map[graph.Key]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	writes := map[graph.Key]int{}
	for _, e := range m.history {
		writes[e.key]++
	}
	return writes
}

// gatewayWrites is how often gw was written.
func (r *rig) gatewayWrites() int { return r.writes()[gatewayKey("gw")] }

const (
	threeServe   = "True Delivered: 3 of 3 nodes serve generation 0"
	oneOfThree   = "False Pending: 1 of 3 nodes have acknowledged the latest configuration of generation 0"
	nobodyServes = "Unknown NoNodes: No node is connected"
)

// TestDelivered follows a Gateway from its first node to its last.
func TestDelivered(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.passes(time.Minute)
		r.check("before there is a node", r.delivered(), "")
		r.write(hostRoute("a"))
		r.check("after a write then", r.delivered(), "")

		r.hears(r.says("x", 2, 2, 0), r.says("y", 1, 1, 0))
		r.check("when nodes have just connected", r.delivered(), "")
		r.passes(deliveryPause)
		r.check("a moment later", r.delivered(), threeServe)

		r.write(hostRoute("b"))
		first := r.notYet(0)
		r.check("when a write returns", r.delivered(), first)
		writes := r.gatewayWrites()
		r.write(hostRoute("c"))
		r.check("writes of the Gateway for another one, for its attachedRoutes", r.gatewayWrites(), writes+1)
		r.check("when that returns", r.delivered(), first)
		r.passes(deliveryPause)
		r.check("while nobody has it", r.delivered(), "False Pending: 0 of 3 nodes have acknowledged the latest configuration of generation 0")
		r.hears(r.says("x", 2, 1, 0), r.says("y", 1, 0, 0))
		r.passes(deliveryPause)
		r.check("when one has it", r.delivered(), oneOfThree)
		r.hears(r.says("x", 2, 2, 0), r.says("y", 1, 1, 0))
		r.passes(deliveryPause)
		r.check("when all have it", r.delivered(), threeServe)

		r.hears(r.says("x", 2, 2, 0), r.says("y", 1, 0, 1))
		r.passes(deliveryPause)
		r.check("when one rejects it", r.delivered(), "False Rejected: 1 of 3 nodes rejected configuration of generation 0")
		r.hears(r.says("x", 2, 2, 0), r.says("y", 1, 1, 0))
		r.passes(deliveryPause)

		r.hears()
		r.passes(deliveryAbsence - time.Second)
		r.check("without nodes, for a while", r.delivered(), threeServe)
		r.passes(time.Second)
		r.check("without nodes", r.delivered(), nobodyServes)
		r.write(hostRoute("d"))
		r.check("after a write then", r.delivered(), nobodyServes)
	})
}

// TestDeliveredLate: a node makes no difference that isn't current, of a replica that doesn't say since when, unless there is one for long.
func TestDeliveredLate(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.hears(r.says("x", 3, 3, 0))
		r.passes(deliveryPause)
		r.hears(r.says("x", 4, 3, 0))
		r.passes(deliveryLag - time.Second)
		r.check("with a node that has just connected", r.delivered(), threeServe)
		r.passes(time.Second)
		r.check("when it is late", r.delivered(), "False Pending: 3 of 4 nodes have acknowledged the latest configuration of generation 0")
	})
}

// rollingFleet is a fleet of which all nodes have what is published, but for one that has just connected: another one in each report.
func (r *rig) rollingFleet() Delivery {
	d := r.says("x", 10000, 9999, 0)
	d.New = 1
	return d
}

const rollingServe = "True Delivered: 9999 of 9999 nodes serve generation 0"

// TestDeliveredNew: in a large fleet there is always a node that has just connected. It keeps nobody from being delivered, nor makes
// what is delivered undelivered, until it is late.
func TestDeliveredNew(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		for range 3 {
			r.hears(r.rollingFleet())
			r.passes(time.Second)
		}
		r.check("with one that has just connected", r.delivered(), rollingServe)
		before := r.gatewayWrites()
		for i := range 60 {
			d := r.rollingFleet()
			d.Nodes, d.New = d.Nodes+i%3, d.New+i%3
			r.hears(d)
			r.passes(time.Second)
			r.check("with another one each time", r.delivered(), rollingServe)
		}
		r.check("writes meanwhile", r.gatewayWrites()-before, 0)

		late := r.rollingFleet()
		late.New, late.Late = 0, 1
		r.hears(late)
		r.passes(deliveryPause)
		r.check("with one that is late", r.delivered(), "False Pending: 9999 of 10000 nodes have acknowledged the latest configuration of generation 0")
		for range 3 {
			r.hears(r.rollingFleet())
			r.passes(time.Second)
		}
		r.check("when it is gone", r.delivered(), rollingServe)

		r.write(hostRoute("a"))
		r.check("after a write", r.delivered(), r.notYet(0))
		for range 60 {
			lacks := r.rollingFleet()
			lacks.Current--
			r.hears(lacks)
			r.passes(time.Second)
			if c := r.delivered(); c == rollingServe {
				t.Fatalf("while a node that was current has still to acknowledge it: %s", c)
			}
		}
		r.hears(r.rollingFleet())
		r.passes(deliveryPause)
		r.check("when that one has it", r.delivered(), rollingServe)
	})
}

// TestDeliveredNewAlone: of nodes that are all new, nothing is said before one of them is current, or late.
func TestDeliveredNewAlone(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		d := r.says("x", 3, 0, 0)
		d.New = 3
		r.hears(d)
		r.passes(deliveryPause)
		r.check("when all have just connected", r.delivered(), "")
		d.New, d.Late = 0, 3
		r.hears(d)
		r.passes(deliveryPause)
		r.check("when all are late", r.delivered(), "False Pending: 0 of 3 nodes have acknowledged the latest configuration of generation 0")
		d.Current, d.Late = 3, 0
		r.hears(d)
		r.passes(deliveryPause)
		r.check("when all have it", r.delivered(), threeServe)
	})
}

// TestDeliveredGeneration: a write of the Gateway that changes nothing for its nodes has its generation served when it returns.
func TestDeliveredGeneration(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.hears(r.says("x", 3, 3, 0))
		r.passes(deliveryPause)
		gw := r.read(gatewayKey("gw")).(*gwv1.Gateway)
		gw.Generation = 2
		gw.Spec.Listeners[0].AllowedRoutes = &gwv1.AllowedRoutes{Namespaces: &gwv1.RouteNamespaces{From: new(gwv1.NamespacesFromAll)}}
		r.write(gw)
		r.check("of what changes nothing for nodes", r.delivered(), "True Delivered: 3 of 3 nodes serve generation 2")
		gw.Generation = 3
		gw.Spec.Listeners[0].Port = 8080
		r.write(gw)
		r.check("of another port", r.delivered(), r.notYet(3))
	})
}

// TestDeliveredRate: however much changes, the condition makes no more than one write a second.
func TestDeliveredRate(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.write(hostRoute("a"))
		r.hears(r.says("x", 3, 3, 0))
		r.passes(deliveryPause)
		before := r.gatewayWrites()
		const seconds = 60
		for i := range seconds * 10 {
			route := hostRoute("a")
			route.Generation = int64(i)
			route.Spec.Hostnames = append(route.Spec.Hostnames, gwv1.Hostname(fmt.Sprintf("v%d.example.com", i%7)))
			if i%25 < 20 { // and then nothing for long enough
				r.write(route)
			}
			r.hears(r.says("x", 3, 3, 0))
			r.passes(100 * time.Millisecond)
		}
		if n := r.gatewayWrites() - before; n > seconds || n < 2 {
			t.Errorf("%d writes in %d seconds", n, seconds)
		}
	})
}

// TestDeliveredHeard: nodes have heard of a write, and a report says so, before it could be said that they still have to acknowledge it.
func TestDeliveredHeard(t *testing.T) {
	for name, leads := range map[string]bool{"by the leader": true, "by another replica": false} {
		t.Run(name, func(t *testing.T) {
			inReplicas(t, func(a, b *rig) {
				a.engine.SetLeader(leads)
				b.engine.SetLeader(!leads)
				hear := func(reports ...Delivery) {
					a.hears(reports...)
					b.hears(reports...)
				}
				synctest.Wait()
				a.write(hostRoute("a"))
				synctest.Wait()
				next := a.says("x", 2, 1, 0)
				other := hostRoute("a")
				other.Spec.Hostnames = []gwv1.Hostname{"other.example.com"}
				a.write(other)
				synctest.Wait()
				hear(a.says("x", 2, 2, 0))
				a.passes(2 * deliveryDoubt)
				a.check("when all have it", a.delivered(), "True Delivered: 2 of 2 nodes serve generation 0")

				hear(next)
				a.write(hostRoute("a"))
				a.check("version", a.xds.Delivery(gwScope).Version, next.Version)
				a.check("when the write returns", a.delivered(), a.notYet(0))
				next.Current = 2
				hear(next)
				a.passes(2 * deliveryDoubt)
				a.check("when all have that", a.delivered(), "True Delivered: 2 of 2 nodes serve generation 0")
			})
		})
	}
}

// TestDeliveredAfterRestart: the condition stays what it is when everything restarts, until something else is published.
func TestDeliveredAfterRestart(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.hears(r.says("x", 3, 3, 0))
		r.passes(deliveryPause)
		r.stop()
		writes := r.gatewayWrites()
		next := startRig(t, r.memory, nil)
		defer next.stop()
		next.engine.SetLeader(true)
		next.passes(deliveryAbsence - 2*time.Second)
		next.hears(next.says("x", 1, 0, 0))
		next.passes(time.Second)
		next.hears(next.says("x", 3, 3, 0))
		next.passes(time.Minute)
		next.check("when the nodes are back", next.delivered(), threeServe)
		next.check("writes", next.gatewayWrites(), writes)

		next.stop()
		third := startRig(t, r.memory, nil)
		defer third.stop()
		synctest.Wait()
		third.write(hostRoute("a"))
		third.check("after a write of which no node has said anything", third.delivered(), third.notYet(0))
		third.engine.SetLeader(true)
		third.passes(deliveryAbsence)
		third.check("when none comes back", third.delivered(), nobodyServes)
	})
}

// TestDeliveredOnReplicas: every replica says that its own writes are still to be delivered, and the leader the rest.
func TestDeliveredOnReplicas(t *testing.T) {
	inReplicas(t, func(a, b *rig) {
		a.engine.SetLeader(true)
		both := func(reports ...Delivery) {
			a.hears(reports...)
			b.hears(reports...)
		}
		synctest.Wait()
		both(a.says("x", 3, 3, 0))
		a.passes(deliveryDoubt)
		a.check("when all have it", a.delivered(), threeServe)
		writes := a.gatewayWrites()
		b.write(hostRoute("r"))
		a.check("when a write by another replica returns", a.delivered(), b.notYet(0))
		a.check("writes, for attachedRoutes and this", a.gatewayWrites(), writes+1)
		synctest.Wait()
		both(a.says("x", 3, 3, 0))
		a.passes(deliveryDoubt)
		a.check("when all have that", a.delivered(), threeServe)
		a.check("writes", a.gatewayWrites(), writes+2)

		a.engine.SetLeader(false)
		both(a.says("x", 4, 4, 0))
		a.passes(time.Minute)
		a.check("without a leader", a.delivered(), threeServe)
		b.engine.SetLeader(true)
		synctest.Wait()
		a.check("with another leader", a.delivered(), "True Delivered: 4 of 4 nodes serve generation 0")
	})
}

// TestDeliveredOfNobody: what is said of a scope without Gateways is forgotten when nothing is said of it any more.
func TestDeliveredOfNobody(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		const gone = "gateway/ns/gone"
		r.engine.SetDeliveries(gone, []Delivery{{Replica: "x", Scope: gone, Nodes: 1}})
		r.passes(time.Minute)
		r.engine.SetDeliveries(gone, nil)
		r.passes(time.Minute)
		var kept map[string]*delivery
		if err := r.engine.inspect(context.Background(), func() { kept = r.engine.deliveries }); err != nil {
			t.Fatal(err)
		}
		r.check("scopes of which something is kept", len(kept), 0)
		r.check("of a Gateway whose nodes nobody knows", r.delivered(), "")
	})
}

// TestDeliveredRateOfReplicas: a replica that doesn't lead says again that something else is published, now and then, so that three
// replicas through which a Gateway is changed all the time make no more than one write a second for the condition.
func TestDeliveredRateOfReplicas(t *testing.T) {
	for name, tt := range map[string]struct {
		current int  // of three nodes
		quiet   bool // every now and then, so that they have it
	}{"never": {2, false}, "now and then": {3, true}, "always": {3, false}} {
		t.Run("delivered "+name, func(t *testing.T) {
			inReplicas(t, func(a, b *rig) {
				c := startRig(t, a.memory, memoryProgress{a.memory})
				defer c.stop()
				a.engine.SetLeader(true)
				synctest.Wait()
				all := []*rig{a, b, c}
				b.write(hostRoute("a"))
				synctest.Wait()
				hear := func(current int) {
					for _, r := range all {
						r.hears(r.says("x", 3, current, 0))
					}
				}
				hear(3)
				a.passes(2 * deliveryDoubt)
				a.check("before", a.delivered(), threeServe)
				before, trues := a.gatewayWrites(), 0
				const seconds = 60
				for i := range seconds * 5 {
					for j, r := range all {
						route := hostRoute("a")
						route.Generation = int64(3*i + j)
						route.Spec.Hostnames = append(route.Spec.Hostnames, gwv1.Hostname(fmt.Sprintf("v%d.example.com", (3*i+j)%7)))
						if !tt.quiet || i%25 < 3 {
							r.write(route)
						}
					}
					hear(tt.current)
					a.passes(200 * time.Millisecond)
					if a.delivered() == threeServe {
						trues++
					}
				}
				if n := a.gatewayWrites() - before; n > seconds || n < 2 {
					t.Errorf("%d writes in %d seconds", n, seconds)
				}
				if tt.quiet && trues == 0 || tt.current < 3 && trues > 0 {
					t.Errorf("True was seen %d times", trues)
				}
			})
		})
	}
}

// TestDeliveredCount: in a large fleet, nodes come and go all the time.
func TestDeliveredCount(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.hears(r.says("x", 10000, 10000, 0))
		r.passes(deliveryPause)
		const full = "True Delivered: 10000 of 10000 nodes serve generation 0"
		r.check("with a fleet", r.delivered(), full)
		before := r.gatewayWrites()
		for i := range 600 {
			n := 10000 - i%3
			r.hears(r.says("x", n, n-i%2, 0))
			r.passes(500 * time.Millisecond)
		}
		r.check("writes while connections come and go", r.gatewayWrites()-before, 0)
		r.hears(r.says("x", 10001, 10001, 0))
		r.passes(deliveryCount - time.Second)
		r.check("for a while", r.delivered(), full)
		r.passes(time.Second)
		r.check("with a number that stays", r.delivered(), "True Delivered: 10001 of 10001 nodes serve generation 0")
		r.hears(r.says("x", 9000, 9000, 0))
		r.passes(deliveryPause)
		r.check("with many less", r.delivered(), "True Delivered: 9000 of 9000 nodes serve generation 0")
		r.check("writes", r.gatewayWrites()-before, 2)
	})
}
