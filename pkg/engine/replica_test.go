package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
)

// memoryProgress is the Progress of what is in memory.
type memoryProgress struct{ *memory }

func (p memoryProgress) Revisions(context.Context) (map[graph.Kind]uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	revisions := map[graph.Kind]uint64{}
	for _, e := range p.history {
		if !isReferenced(e.key.Kind) {
			revisions[e.key.Kind] = e.version
		}
	}
	return revisions, nil
}

func isReferenced(kind graph.Kind) bool {
	return kind == graph.KindSecret || kind == graph.KindConfigMap
}

// write stores obj as a server does: judged by the model, on top of the status that is stored.
func (r *rig) write(obj runtime.Object) {
	r.t.Helper()
	key := keyOf(obj)
	of := kinds[key.Kind].status
	for {
		next, stored := obj.DeepCopyObject(), r.read(key)
		if stored != nil && of != nil {
			of.copy(next, stored)
		}
		if err := r.engine.Sync(context.Background(), next); err != nil {
			r.t.Fatal(err)
		}
		r.engine.Render(next)
		if written := r.putOver(stored, next); written != nil {
			r.engine.Committed(written)
			return
		}
	}
}

// putOver stores obj, unless something else than before is stored by now.
func (m *memory) putOver(before, obj runtime.Object) runtime.Object {
	m.mu.Lock()
	stored := m.get(keyOf(obj))
	same := before == nil && stored == nil ||
		before != nil && stored != nil && before.(metav1.Object).GetResourceVersion() == stored.(metav1.Object).GetResourceVersion()
	m.mu.Unlock()
	if !same {
		return nil
	}
	return m.put(obj)
}

func httpGateway(name string) *gwv1.Gateway {
	gw := gateway(name)
	gw.Spec.Listeners = []gwv1.Listener{{Name: "http", Port: 80, Protocol: gwv1.HTTPProtocolType}}
	return gw
}

func routeTo(name, gateway string) *gwv1.HTTPRoute {
	route := &gwv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	route.Spec.ParentRefs = []gwv1.ParentReference{{Name: gwv1.ObjectName(gateway)}}
	return route
}

// attached is the stored attachedRoutes of a Gateway with one listener; -1 if there is none.
func (r *rig) attached(gateway string) int32 {
	for _, l := range r.read(gatewayKey(gateway)).(*gwv1.Gateway).Status.Listeners {
		return l.AttachedRoutes
	}
	return -1
}

// inReplicas runs a test of two engines, neither of which leads, with a Gateway gw that nobody has judged yet.
func inReplicas(t *testing.T, test func(a, b *rig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.put(&gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}})
		m.put(httpGateway("gw"))
		a, b := startRig(t, m, memoryProgress{m}), startRig(t, m, memoryProgress{m})
		defer a.stop()
		defer b.stop()
		synctest.Wait()
		test(a, b)
	})
}

// TestLeader: what watches bring is for the leader to settle, and what a replica commits, for that replica.
func TestLeader(t *testing.T) {
	inReplicas(t, func(a, b *rig) {
		a.check("without a leader, attachedRoutes", a.attached("gw"), int32(-1))
		a.engine.SetLeader(true)
		synctest.Wait()
		a.check("when one begins to lead, attachedRoutes", a.attached("gw"), int32(0))

		a.put(routeTo("lost", "gw")) // by a replica that died right after
		synctest.Wait()
		a.check("with a leader, attachedRoutes", a.attached("gw"), int32(1))
		var left int
		if err := b.engine.inspect(context.Background(), func() { left = len(b.engine.left) }); err != nil {
			t.Fatal(err)
		}
		b.check("what the other replica still takes for stale", left, 0)
		a.engine.SetLeader(false)
		a.put(routeTo("late", "gw"))
		synctest.Wait()
		a.check("without a leader again, attachedRoutes", a.attached("gw"), int32(1))
		b.write(routeTo("mine", "gw"))
		a.check("after a write of no leader, attachedRoutes", a.attached("gw"), int32(3))

		a.put(routeTo("later", "gw"))
		synctest.Wait()
		a.stop()
		b.engine.SetLeader(true)
		synctest.Wait()
		a.check("with another leader, attachedRoutes", a.attached("gw"), int32(4))
	})
}

// TestOvertaken: a commit is reported after the watch has brought it. The replica settles it all the same.
func TestOvertaken(t *testing.T) {
	inReplicas(t, func(a, _ *rig) {
		written := a.put(routeTo("r", "gw"))
		synctest.Wait()
		a.check("before, attachedRoutes", a.attached("gw"), int32(-1))
		a.engine.Committed(written)
		a.check("when the write returns, attachedRoutes", a.attached("gw"), int32(1))
	})
}

// TestRace: two replicas write a route each, of which the other doesn't know yet, and one writes an attachedRoutes that is
// too low. The leader puts it right, and then all is quiet.
func TestRace(t *testing.T) {
	for name, leads := range map[string]func(a, b *rig) *rig{
		"the first leads":  func(a, _ *rig) *rig { return a },
		"the second leads": func(_, b *rig) *rig { return b },
	} {
		t.Run(name, func(t *testing.T) {
			inReplicas(t, func(a, b *rig) {
				leads(a, b).engine.SetLeader(true)
				synctest.Wait()
				resume := a.pause()
				for _, r := range []*rig{a, b} {
					route := routeTo(fmt.Sprintf("%p", r), "gw")
					r.engine.Render(route)
					r.engine.Committed(r.put(route))
				}
				a.check("meanwhile, attachedRoutes", a.attached("gw"), int32(1))
				resume()
				synctest.Wait()
				a.check("attachedRoutes", a.attached("gw"), int32(2))
				writes := a.version
				time.Sleep(time.Hour)
				a.check("writes afterwards", a.version-writes, uint64(0))
			})
		})
	}
}

// TestRevisions: a write is judged by what another replica has stored, if the watch brings it soon.
func TestRevisions(t *testing.T) {
	inReplicas(t, func(a, b *rig) {
		wait := func() (time.Duration, bool) {
			start, route := time.Now(), routeTo("r", "gw")
			if err := b.engine.Sync(context.Background(), route); err != nil {
				t.Fatal(err)
			}
			b.engine.Render(route)
			return time.Since(start), len(route.Status.Parents) > 0
		}
		check := func(what string, wantTime time.Duration, wantOurs bool) {
			t.Helper()
			took, ours := wait()
			b.check(what+", a write waits", took, wantTime)
			b.check(what+", the Gateway is ours", ours, wantOurs)
		}
		check("with nothing new", 0, true)
		resume := a.pause()
		a.write(&gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: gwv1.GatewayClassSpec{ControllerName: "example.com/other"}})
		time.AfterFunc(200*time.Millisecond, resume)
		check("with a change", 200*time.Millisecond, false)
		a.write(&gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}})
		check("with a change back", 0, true)

		resume = a.pause()
		a.engine.Deleted(a.remove(gatewayKey("gw")))
		time.AfterFunc(200*time.Millisecond, resume)
		check("with a deletion", 200*time.Millisecond, false)

		a.pause()
		a.write(httpGateway("gw"))
		check("with a watch that is stuck", syncBound, false)
	})
}

// TestReplicaHistories has two replicas write random histories. They fall behind, die and take turns to lead. Once they have
// caught up, all statuses are what an engine says that has seen nothing but the objects, and so is what both publish.
func TestReplicaHistories(t *testing.T) {
	t.Parallel()
	for seed := range histories() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testReplicaHistory(t, graphtest.New(graphtest.Random(uint64(seed), 2000))) })
		})
	}
}

func testReplicaHistory(t *testing.T, history *graphtest.History) {
	m := newMemory()
	replicas := []*rig{startRig(t, m, memoryProgress{m}), startRig(t, m, memoryProgress{m})}
	defer func() {
		for _, r := range replicas {
			r.stop()
		}
	}()
	leader, resume := 0, func() {}
	replicas[leader].engine.SetLeader(true)
	for change := range history.Changes() {
		i := history.Choose(2)
		r := replicas[i]
		switch history.Choose(8) {
		case 0:
			resume()
			resume = m.pause()
			time.AfterFunc(time.Second, resume)
		case 1:
			resume()
		case 2:
			replicas[leader].engine.SetLeader(false)
			leader = 1 - leader
			replicas[leader].engine.SetLeader(true)
		case 3: // it dies after it has stored something, and is started again
			if change.Object != nil {
				m.put(change.Object.(runtime.Object))
			}
			resume()
			r.stop()
			replicas[i] = startRig(t, m, memoryProgress{m})
			replicas[i].engine.SetLeader(leader == i)
			continue
		}
		switch {
		case change.Object == nil:
			if deleted := m.read(change.Key); deleted != nil {
				r.engine.Deleted(m.remove(change.Key))
			}
		case isReferenced(change.Key.Kind):
			m.put(change.Object.(runtime.Object))
		default:
			r.write(change.Object.(runtime.Object))
		}
	}
	resume()
	time.Sleep(2 * retryMax)
	synctest.Wait()

	fresh := startRig(t, m, memoryProgress{m})
	defer fresh.stop()
	time.Sleep(time.Minute)
	synctest.Wait()
	for _, key := range graphtest.Keys() {
		stored := m.read(key)
		if stored == nil || kinds[key.Kind].status == nil {
			continue
		}
		due := stored.DeepCopyObject()
		fresh.engine.Render(due)
		if diff := cmp.Diff(due, stored, cmpopts.IgnoreTypes(metav1.Time{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s as it is due (-) and as it is stored (+):\n%s", key, diff)
		}
	}
	for i, r := range replicas {
		if diff := cmp.Diff(fresh.published(), r.published()); diff != "" {
			t.Errorf("what is published afresh (-) and by replica %d (+):\n%s", i, diff)
		}
	}
}

// published returns the versions of all resources.
func (r *rig) published() map[string]string {
	all := map[string]string{}
	for _, scope := range scopes() {
		for _, published := range r.xds.Resources(scope) {
			all[scope+" "+published.TypeURL()+" "+published.Name()] = published.Version()
		}
	}
	return all
}
