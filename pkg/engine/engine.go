package engine

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

const (
	// maxBatch bounds how many commands share one publication, so that a flood of changes cannot delay it for long.
	maxBatch = 64
	// settleBound is how long a write waits for the statuses of its dependents.
	settleBound = 2 * time.Second
	// settlers is how many statuses are written at a time.
	settlers = 8
)

// StatusWriter writes the status of stored objects of one kind.
type StatusWriter interface {
	// UpdateStatus calls update with a copy of the stored object and writes what update made of its status, or nothing
	// if update left it as it was. It returns the object as it is stored then. On a conflict update is called again.
	UpdateStatus(ctx context.Context, name types.NamespacedName, update func(obj runtime.Object)) (runtime.Object, error)
}

// Engine is made by New and works while Run does.
type Engine struct {
	logger   klog.Logger
	writers  map[graph.Kind]StatusWriter
	commands chan command
	// synced is closed once every feed has delivered its first list and all of it is published.
	synced chan struct{}
	queue  workqueue.TypedRateLimitingInterface[graph.Key]

	// What follows belongs to the goroutine of Run.
	graph     *graph.Graph
	feeds     map[graph.Kind]*feed
	publisher *publisher
	dirty     graph.Dirty                  // not yet published
	waiting   map[graph.Key][]chan<- error // who waits for a status to be written
}

// command is something to do with the graph. done is closed after it was done and what it changed is published.
type command struct {
	do   func()
	done chan struct{}
}

// New makes an engine that publishes to xds. writers are for the kinds that have a status of ours.
func New(xds *cache.Cache, logger klog.Logger) *Engine {
	return &Engine{
		logger:    logger,
		commands:  make(chan command, maxBatch),
		synced:    make(chan struct{}),
		queue:     workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[graph.Key]()),
		graph:     graph.New(),
		feeds:     map[graph.Kind]*feed{},
		publisher: newPublisher(xds),
		waiting:   map[graph.Key][]chan<- error{},
	}
}

// Run feeds the graph from the sources until ctx ends. writers write the statuses of dependents, by kind.
func (e *Engine) Run(ctx context.Context, sources map[graph.Kind]Source, writers map[graph.Kind]StatusWriter) {
	e.writers = writers
	for kind, source := range sources {
		f := &feed{engine: e, kind: kind, applied: map[types.NamespacedName]uint64{}}
		e.feeds[kind] = f
		go f.run(ctx, source)
	}
	for range settlers {
		go e.settleStatuses(ctx)
	}
	defer e.queue.ShutDown()

	// One case does all the work: every access to the graph is a command, be it an object from a feed, one that was
	// just committed, a preview or the preparation of a status. The other case ends the engine.
	for {
		select {
		case c := <-e.commands:
			e.perform(c)
		case <-ctx.Done():
			return
		}
	}
}

// perform does c and the commands that wait behind it, and publishes once what all of them changed.
func (e *Engine) perform(c command) {
	batch := []command{c}
	c.do()
	for len(batch) < maxBatch {
		select {
		case c = <-e.commands:
			c.do()
			batch = append(batch, c)
			continue
		default:
		}
		break
	}
	if e.hasSynced() {
		e.publisher.publish(e.graph, e.dirty)
		e.dirty = graph.Dirty{}
	}
	for _, c := range batch {
		close(c.done)
	}
}

// do has the engine's goroutine run f, and waits until what f changed is published.
func (e *Engine) do(ctx context.Context, f func()) error {
	c := command{do: f, done: make(chan struct{})}
	select {
	case e.commands <- c:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// HasSynced says that the graph, the statuses known to it and the Envoy configuration are those of everything stored.
func (e *Engine) HasSynced() bool { return e.hasSynced() }

func (e *Engine) hasSynced() bool {
	select {
	case <-e.synced:
		return true
	default:
		return false
	}
}

// Sync implements registry.Model. Committed returns after its object is in the graph and every write goes through this
// process, so all there is to wait for is the first list of every feed.
func (e *Engine) Sync(ctx context.Context) error {
	select {
	case <-e.synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the model to load what is stored: %w", context.Cause(ctx))
	}
}

// applied takes note of what a change to the graph made dirty. It runs in the engine's goroutine, and returns the
// statuses that are no longer what is stored.
func (e *Engine) changed(d graph.Dirty) []graph.Key {
	e.dirty.Merge(d)
	if !e.hasSynced() {
		return nil
	}
	var stale []graph.Key
	for key := range d.Statuses {
		if e.staleStatus(key) != nil {
			stale = append(stale, key)
		}
	}
	return stale
}

// loaded is called by a feed that has delivered its first list. After the last one everything is published, and
// statuses that changed while the server was down are settled.
func (e *Engine) loaded() {
	for _, f := range e.feeds {
		if !f.listed {
			return
		}
	}
	if e.hasSynced() {
		return
	}
	close(e.synced)
	for key := range e.dirty.Statuses {
		if e.staleStatus(key) != nil {
			e.queue.Add(key)
		}
	}
}
