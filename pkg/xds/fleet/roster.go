package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

const (
	// writesPerSecond and burst are how many writes of EnvoyNodes a replica affords.
	writesPerSecond, burst = 100, 200
	// workers is how many of them are under way at a time: etcd commits concurrent writes together.
	workers = 4
	// sweepEvery is how often it is looked for EnvoyNodes that nobody has removed, besides when a replica goes.
	sweepEvery = time.Minute
	// clearedAtOnce is how many EnvoyNodes that a replica has left behind are removed before it is looked again which there are:
	// all other replicas remove them, too, and that one may come back.
	clearedAtOnce = 100
)

// node is what there is one EnvoyNode for.
type node struct{ id, scope string }

// entry is what is known of a node that is, or was a moment ago, connected to this replica.
type entry struct {
	info server.NodeInfo
	// gone is when it was disconnected. Zero if it is connected.
	gone time.Time
	// object is the name of its EnvoyNode, which says written. Empty and nil if it has none yet.
	object  string
	written *fleetv1alpha1.EnvoyNodeStatus
	// routine is when it was last written anew.
	routine time.Time
}

// roster keeps the EnvoyNodes.
type roster struct {
	pace
	config Config
	queue  workqueue.TypedDelayingInterface[node]
	budget *rate.Limiter
	sweeps chan struct{} // has an entry when it is to be looked for what replicas have left behind
	// left are the replicas that have left something behind, since it was noticed. It is the sweep's.
	left map[string]time.Time

	mu      sync.Mutex
	nodes   map[node]*entry
	present map[string]struct{} // the replicas; nil if they aren't known yet
	failing bool                // the last write has failed
}

func newRoster(pace pace, config Config) *roster {
	return &roster{
		pace: pace, config: config,
		queue:  workqueue.NewTypedDelayingQueue[node](),
		budget: rate.NewLimiter(writesPerSecond, burst),
		sweeps: make(chan struct{}, 1),
		left:   map[string]time.Time{},
		nodes:  map[node]*entry{},
	}
}

// run keeps the EnvoyNodes until ctx ends. Those of this replica stay then: their nodes come to other replicas, or back to this one.
func (r *roster) run(ctx context.Context) {
	defer r.forget()
	var running sync.WaitGroup
	defer running.Wait()
	defer r.queue.ShutDown()
	if r.config.Nodes != nil {
		defer r.config.Nodes.Follow(r.changed)()
	}
	for range workers {
		running.Go(func() { r.work(ctx) })
	}
	timer := time.NewTimer(sweepEvery)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.sweeps:
		}
		next, err := r.sweep(ctx)
		if err != nil {
			next = retryAfter
			if !failing && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Looking for EnvoyNodes of replicas that are gone; will try again")
			}
		}
		failing = err != nil
		timer.Reset(next)
	}
}

// forget takes this replica's nodes out of the metrics.
func (r *roster) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, e := range r.nodes {
		if e.gone.IsZero() {
			count(e.info, -1)
		}
		delete(r.nodes, n)
	}
}

// changed takes in what a server says of a node. What is news to people is written at once. What a node has acknowledged changes
// all the time: it is written a moment later, when all of it is there, and not that often.
func (r *roster) changed(info server.NodeInfo, gone bool) {
	n := node{info.ID, info.Scope}
	r.queue.AddAfter(n, r.note(n, info, gone, time.Now()))
}

// note returns after what time the EnvoyNode is to be written.
func (r *roster) note(n node, info server.NodeInfo, gone bool, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, known := r.nodes[n]
	if !known {
		e = &entry{gone: now}
		r.nodes[n] = e
	}
	before, wasGone := e.info, !e.gone.IsZero()
	if !wasGone {
		count(before, -1)
	}
	if gone {
		e.gone = now
		return r.linger
	}
	e.info, e.gone = info, time.Time{}
	count(info, 1)
	if wasGone || !alike(before, info) {
		return 0
	}
	return max(r.interval, e.routine.Add(5*r.interval).Sub(now))
}

// rewrite has all EnvoyNodes of this replica written anew.
func (r *roster) rewrite() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, e := range r.nodes {
		e.written = nil
		r.queue.Add(n)
	}
}

// work looks at one node after the other.
func (r *roster) work(ctx context.Context) {
	for {
		n, shutdown := r.queue.Get()
		if shutdown {
			return
		}
		again, err := r.process(ctx, n)
		r.report(ctx, err)
		if err != nil {
			again = retryAfter
		}
		r.queue.Done(n)
		if again > 0 {
			r.queue.AddAfter(n, again)
		}
	}
}

// report logs the first of several failures.
func (r *roster) report(ctx context.Context, err error) {
	r.mu.Lock()
	first := err != nil && !r.failing
	r.failing = err != nil
	r.mu.Unlock()
	if first && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "Writing EnvoyNodes; will try again")
	}
}

var (
	errTaken = errors.New("the name is that of another node's EnvoyNode")
	errKept  = errors.New("the EnvoyNode is not out of date")
)

// newerError says that a node has connected to another replica since.
type newerError struct{ replica string }

func (e *newerError) Error() string {
	return "the node has connected to replica " + e.replica + " since"
}

// process brings the EnvoyNode of a node up to date. It returns after which time to look at it again, if that is not 0.
func (r *roster) process(ctx context.Context, n node) (again time.Duration, err error) {
	r.mu.Lock()
	e, known := r.nodes[n]
	if !known {
		r.mu.Unlock()
		return 0, nil
	}
	now, seen := time.Now(), *e
	r.mu.Unlock()
	if !seen.gone.IsZero() {
		if wait := seen.gone.Add(r.linger).Sub(now); wait > 0 {
			return wait, nil
		}
		return 0, r.remove(ctx, n, seen)
	}
	status := statusOf(r.config.Replica, seen.info)
	if seen.written != nil && equality.Semantic.DeepEqual(status, *seen.written) {
		return 0, nil
	}
	return r.write(ctx, n, seen, status)
}

// write writes the EnvoyNode of a node that is connected to this replica.
func (r *roster) write(ctx context.Context, n node, seen entry, status fleetv1alpha1.EnvoyNodeStatus) (again time.Duration, err error) {
	candidates := names(n)
	if seen.object != "" {
		candidates = []string{seen.object}
	}
	for _, name := range candidates {
		err = r.put(ctx, name, &status)
		switch _, newer := errors.AsType[*newerError](err); {
		case errors.Is(err, errTaken):
			continue
		case newer:
			return 3 * r.linger, nil // if that one goes, this one counts
		case err != nil:
			return 0, fmt.Errorf("writing EnvoyNode %s: %w", name, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if e, ok := r.nodes[n]; ok {
			e.object, e.written = name, &status
			if seen.written != nil {
				e.routine = time.Now()
			}
		}
		return 0, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.nodes[n]; ok {
		e.object = "" // another one next time
	}
	return r.linger, nil
}

// put writes an EnvoyNode. One with a newer connection is replaced if the replica that wrote it is gone: should that replica be on
// the point of coming back, it writes its EnvoyNodes anew as soon as it is present.
func (r *roster) put(ctx context.Context, name string, status *fleetv1alpha1.EnvoyNodeStatus) error {
	gone := ""
	for {
		err := r.afford(ctx, func(ctx context.Context) error {
			return r.config.Objects.Put(ctx, types.NamespacedName{Name: name}, func(obj runtime.Object) error { return update(obj, status, gone) })
		})
		newer, ok := errors.AsType[*newerError](err)
		if !ok {
			return err
		}
		switch present, asking := r.isPresent(ctx, newer.replica); {
		case asking != nil:
			return asking
		case present:
			return err
		}
		gone = newer.replica
	}
}

// update gives an EnvoyNode, which may be a new one, another status, unless the one that it has is another node's, or newer and
// not that of a replica which is gone.
func update(obj runtime.Object, status *fleetv1alpha1.EnvoyNodeStatus, gone string) error {
	o, ok := obj.(*fleetv1alpha1.EnvoyNode)
	if !ok {
		return fmt.Errorf("%T is no EnvoyNode", obj)
	}
	has := &o.Status
	switch {
	case has.Replica == "": // a new one
	case has.NodeID != status.NodeID || has.Scope != status.Scope:
		return errTaken
	case has.Replica != status.Replica && has.Replica != gone && has.ConnectedSince.After(status.ConnectedSince.Time):
		return &newerError{has.Replica}
	}
	status.DeepCopyInto(has)
	return nil
}

// remove removes the EnvoyNode of a node that was connected to this replica, unless another one has taken it over.
func (r *roster) remove(ctx context.Context, n node, seen entry) error {
	if seen.object != "" {
		err := r.afford(ctx, func(ctx context.Context) error {
			return r.config.Objects.Remove(ctx, types.NamespacedName{Name: seen.object}, func(obj runtime.Object) error {
				if o, ok := obj.(*fleetv1alpha1.EnvoyNode); !ok || o.Status.Replica != r.config.Replica {
					return errKept
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, errKept) {
			return fmt.Errorf("removing EnvoyNode %s: %w", seen.object, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.nodes[n]
	switch {
	case !ok:
	case e.gone.IsZero(): // it is back
		e.object, e.written = "", nil
		r.queue.Add(n)
	default:
		delete(r.nodes, n)
	}
	return nil
}

// afford does a write when the budget allows it.
func (r *roster) afford(ctx context.Context, write func(context.Context) error) error {
	if err := r.budget.Wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return write(ctx)
}
