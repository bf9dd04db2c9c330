package garbage

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

const (
	// workers is how many objects are written at once: etcd commits concurrent writes together.
	workers = 8
	// minRetry and maxRetry bound the time after which what failed is tried again; it doubles with each failure.
	minRetry, maxRetry = 20 * time.Millisecond, time.Minute
)

// command is something for the owner of the index to do. It returns the objects to look at.
type command func(*index) []types.UID

// collector connects the index, which Run's goroutine owns, with what feeds it and with the workers.
type collector struct {
	stores   stores
	commands chan command
	queue    workqueue.TypedRateLimitingInterface[types.UID]
}

// Run collects garbage among the objects of all kinds until ctx ends. all are the stores of everything that is served.
func Run(ctx context.Context, all map[schema.GroupKind]*registry.Store) {
	c := &collector{
		stores:   all,
		commands: make(chan command),
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](minRetry, maxRetry)),
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.queue.ShutDown()
	for kind, store := range all {
		wg.Go(func() { feed{ctx, c, kind}.run(store) })
	}
	for range workers {
		wg.Go(func() { c.work(ctx) })
	}
	x := newIndex(c.stores)
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-c.commands: // a change in a store, or a worker's question
			for _, uid := range do(x) {
				c.queue.Add(uid)
			}
		}
	}
}

func (c *collector) do(ctx context.Context, do command) error {
	select {
	case c.commands <- do:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// feed is what a client-go reflector writes the objects of a kind into.
type feed struct {
	ctx  context.Context
	c    *collector
	kind schema.GroupKind
}

func (f feed) run(store *registry.Store) {
	logger := klog.FromContext(f.ctx)
	lw := &cache.ListWatch{ListWithContextFunc: store.ListAll, WatchFuncWithContext: store.WatchAll}
	cache.NewReflectorWithOptions(lw, nil, f, cache.ReflectorOptions{
		Logger: &logger, Name: "garbage", TypeDescription: f.kind.String(),
	}).RunWithContext(f.ctx)
}

func (f feed) Add(obj any) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	o := newObject(f.kind, m)
	return f.c.do(f.ctx, func(x *index) []types.UID { return x.put(o) })
}

func (f feed) Update(obj any) error { return f.Add(obj) }

func (f feed) Delete(obj any) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	uid := m.GetUID()
	return f.c.do(f.ctx, func(x *index) []types.UID { return x.remove(uid) })
}

func (f feed) Replace(list []any, _ string) error {
	objs := make([]*object, len(list))
	for i := range list {
		m, err := meta.Accessor(list[i])
		if err != nil {
			return err
		}
		objs[i] = newObject(f.kind, m)
	}
	return f.c.do(f.ctx, func(x *index) []types.UID { return x.replace(f.kind, objs) })
}

func (f feed) Resync() error { return nil }

func (c *collector) work(ctx context.Context) {
	logger := klog.FromContext(ctx)
	for {
		uid, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		o, err := c.process(ctx, uid)
		switch {
		case err == nil:
			c.queue.Forget(uid)
		case apierrors.IsConflict(err): // somebody else wrote at the same time
			c.queue.AddAfter(uid, minRetry)
		default:
			if c.queue.NumRequeues(uid) == 0 && ctx.Err() == nil {
				logger.Error(err, "Collecting garbage; will try again", "kind", o.kind, "object", o.name)
			}
			c.queue.AddRateLimited(uid)
		}
		c.queue.Done(uid)
	}
}

// view is what the index says of an object.
type view struct {
	*object
	// owner says that it has dependents, blocked that it has to wait for some of them.
	owner, blocked bool
}

// process does what is to be done about the object with a UID.
func (c *collector) process(ctx context.Context, uid types.UID) (*object, error) {
	answer := make(chan view, 1)
	if err := c.do(ctx, func(x *index) []types.UID {
		o := x.objects[uid]
		answer <- view{object: o, owner: len(x.dependents[uid]) > 0, blocked: o != nil && o.phase == waiting && x.blocked(o)}
		return nil
	}); err != nil {
		return nil, err
	}
	v := <-answer
	ctx = context.WithoutCancel(ctx) // what has begun is finished
	if v.object == nil {
		return nil, nil
	}
	switch v.phase {
	case alive:
		return v.object, c.collect(ctx, v)
	case orphaning:
		return v.object, c.orphan(ctx, v.object)
	case waiting:
		if !v.blocked {
			return v.object, c.finalize(ctx, v.object, metav1.FinalizerDeleteDependents)
		}
	}
	return v.object, nil
}
