package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// TestDeliveredAround: the leader has heard that the Gateway isn't delivered, and not of the route that is why.
func TestDeliveredAround(t *testing.T) {
	inReplicas(t, func(a, b *rig) {
		a.engine.SetLeader(true)
		hear := func() {
			for _, r := range []*rig{a, b} {
				r.hears(a.says("x", 3, 3, 0))
			}
			a.passes(deliveryDoubt)
		}
		hear()
		a.check("when all have it", a.delivered(), threeServe)
		resume := a.pause(graph.KindHTTPRoute)
		b.write(hostRoute("r"))
		want := b.notYet(0)
		a.check("when the write returns", a.delivered(), want)
		a.passes(time.Minute)
		a.check("while the leader lacks the route", a.delivered(), want)
		resume()
		synctest.Wait()
		a.passes(2 * deliveryDoubt)
		a.check("when it has it", a.delivered(), "False Pending: 0 of 3 nodes have acknowledged the latest configuration of generation 0")
		hear()
		a.passes(deliveryPause)
		a.check("when all have that", a.delivered(), threeServe)
	})
}

// slowProgress is a Progress whose answers are kept back.
type slowProgress struct {
	Progress
	hold chan chan struct{} // has what is closed when the next answer may be given
}

func (p slowProgress) Revisions(ctx context.Context) (map[graph.Kind]uint64, error) {
	revisions, err := p.Progress.Revisions(ctx)
	select {
	case until := <-p.hold:
		<-until
	default:
	}
	return revisions, err
}

// TestDeliveredMeanwhile: a write returns between the leader's question, whether it has everything, and the write that it asks for.
func TestDeliveredMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.put(&gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}})
		m.put(httpGateway("gw"))
		hold := make(chan chan struct{}, 1)
		a, b := startRig(t, m, slowProgress{memoryProgress{m}, hold}), startRig(t, m, memoryProgress{m})
		defer a.stop()
		defer b.stop()
		a.engine.SetLeader(true)
		synctest.Wait()
		hear := func() {
			a.hears(a.says("x", 3, 3, 0))
			b.hears(b.says("x", 3, 3, 0))
		}
		hear()
		a.passes(deliveryDoubt)
		a.check("when all have it", a.delivered(), threeServe)
		for _, tt := range []struct {
			name string
			// heard is how long before the first write the leader has heard something, and after how long after it the second one is.
			heard, after time.Duration
		}{
			{"at once", 0, 0},
			{"before the leader asks", 0, deliveryDoubt - time.Millisecond},
			{"while the leader asks", 0, deliveryDoubt + time.Millisecond},
			{"when the leader would ask if it had seen nothing", time.Second, deliveryPause - time.Second + time.Millisecond},
		} {
			a.hears(a.says("x", 4, 4, 0))
			a.passes(tt.heard)
			b.write(hostRoute("first-" + strings.ReplaceAll(tt.name, " ", "-")))
			synctest.Wait()
			hear()
			answer := make(chan struct{})
			hold <- answer
			a.passes(tt.after)
			resume := a.pause(graph.KindHTTPRoute, graph.KindGateway)
			second := hostRoute("second-" + strings.ReplaceAll(tt.name, " ", "-"))
			second.Spec.ParentRefs = append(second.Spec.ParentRefs, second.Spec.ParentRefs[0]) // of no use: its route counts once
			b.write(second)
			close(answer)
			a.passes(syncBound - 10*time.Millisecond)
			if a.delivered() == threeServe {
				t.Errorf("a second write, %s: delivered, though the leader lacks it", tt.name)
			}
			a.passes(time.Minute)
			if a.delivered() == threeServe {
				t.Errorf("a second write, %s: delivered in the end, though the leader lacks it", tt.name)
			}
			resume()
			synctest.Wait()
			select {
			case <-hold:
			default:
			}
			hear()
			a.passes(3 * deliveryDoubt)
			a.check("when all have the second write, "+tt.name, a.delivered(), threeServe)
		}
	})
}

// TestDeliveredUnasked: as long as etcd doesn't answer, nothing is said that isn't known.
func TestDeliveredUnasked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.put(&gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}})
		m.put(httpGateway("gw"))
		progress := &countedProgress{Progress: memoryProgress{m}, err: errors.New("no leader")}
		r := startRig(t, m, progress)
		defer r.stop()
		r.engine.SetLeader(true)
		synctest.Wait()
		r.hears(r.says("x", 3, 3, 0))
		r.passes(time.Minute)
		r.check("without an answer", r.delivered(), "")
		progress.set(nil)
		r.passes(deliveryPause)
		r.check("with one", r.delivered(), threeServe)
		asked := progress.set(nil)
		r.hears(r.says("x", 4, 4, 0))
		r.passes(time.Minute)
		r.check("later", r.delivered(), "True Delivered: 4 of 4 nodes serve generation 0")
		r.check("questions of what was True before", progress.set(nil)-asked, 0)
	})
}

// countedProgress counts questions, and fails if it is to.
type countedProgress struct {
	Progress
	mu    sync.Mutex
	asked int
	err   error
}

func (p *countedProgress) Revisions(ctx context.Context) (map[graph.Kind]uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.err != nil {
		return nil, p.err
	}
	return p.Progress.Revisions(ctx)
}

// set says how questions fail from now on, and returns how many there were.
func (p *countedProgress) set(err error) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	return p.asked
}
