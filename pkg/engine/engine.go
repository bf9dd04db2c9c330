package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	// retryMin and retryMax bound how soon a status that could not be written is tried again.
	retryMin, retryMax = 100 * time.Millisecond, time.Minute
	// settlers is how many statuses are written at a time.
	settlers = 8
)

// StatusWriter writes the status of stored objects of one kind.
type StatusWriter interface {
	// UpdateStatus calls update with a copy of the stored object and writes what update made of its status, or nothing
	// if update left it as it was. It returns the object as it is stored then. On a conflict update is called again.
	UpdateStatus(ctx context.Context, name types.NamespacedName, update func(obj runtime.Object)) (runtime.Object, error)
}

// Progress says how far the stores have come.
type Progress interface {
	// Revisions returns the last revision at which each kind was changed by anyone, deletions included, as of the moment
	// of the call or later. A kind that isn't in the map is none of its business. It works while ctx lives.
	Revisions(ctx context.Context) (map[graph.Kind]uint64, error)
}

// Inputs are what an engine works with.
type Inputs struct {
	// Sources are what the graph is fed from, by kind.
	Sources map[graph.Kind]Source
	// Referenced are the kinds that are followed object by object, each while something refers to it that is permitted to.
	Referenced map[graph.Kind]NamedSource
	// Writers write the statuses of dependents. A kind without one has no status.
	Writers map[graph.Kind]StatusWriter
	// Progress is nil if all writes go through this process.
	Progress Progress
}

// Engine is made by New and works while Run does.
type Engine struct {
	logger   klog.Logger
	writers  map[graph.Kind]StatusWriter
	commands chan command
	// synced is closed once every feed has delivered its first list and all of it is published, stopped when Run ends.
	synced, stopped chan struct{}
	queue           workqueue.TypedRateLimitingInterface[graph.Key]

	// What follows belongs to the goroutine of Run.
	graph     *graph.Graph
	loaded    bool // every feed has delivered its first list
	feeds     map[graph.Kind]*feed
	publisher *publisher
	dirty     graph.Dirty                  // not yet published
	waiting   map[graph.Key][]chan<- error // who waits for a status to be written
	unsettled map[graph.Key]int            // how often a status was enqueued since it was last up to date
}

// command is something to do with the graph. done is closed after it was done and what it changed is published.
type command struct {
	do   func()
	done chan struct{}
}

// New makes an engine that publishes to xds.
func New(xds *cache.Cache, logger klog.Logger) *Engine {
	registerMetrics()
	return &Engine{
		logger:    logger,
		commands:  make(chan command, maxBatch),
		synced:    make(chan struct{}),
		stopped:   make(chan struct{}),
		queue:     workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[graph.Key](retryMin, retryMax)),
		graph:     graph.New(),
		feeds:     map[graph.Kind]*feed{},
		publisher: newPublisher(xds),
		waiting:   map[graph.Key][]chan<- error{},
		unsettled: map[graph.Key]int{},
	}
}

// Run feeds the graph from the sources until ctx ends, and returns when nothing of the engine uses the sources or the
// writers any more. writers write the statuses of dependents, by kind. Run panics if a source is of a kind that the graph
// does not hold.
func (e *Engine) Run(ctx context.Context, in Inputs) {
	for kind := range in.Sources {
		if _, ok := kinds[kind]; !ok {
			panic(fmt.Sprintf("engine: no row for the source of kind %s", kind))
		}
	}
	e.writers = in.Writers
	var wg sync.WaitGroup
	defer wg.Wait()
	for kind, source := range in.Sources {
		f := &feed{engine: e, kind: kind, applied: map[types.NamespacedName]uint64{}}
		e.feeds[kind] = f
		wg.Go(func() { f.run(ctx, source) })
	}
	for range settlers {
		wg.Go(func() { e.settleStatuses(ctx) })
	}
	defer close(e.stopped)
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
	if e.loaded {
		e.publish()
		if !e.HasSynced() {
			close(e.synced)
		}
	}
	for _, c := range batch {
		close(c.done)
	}
}

// publish brings the Envoy configuration up to date, if anything is dirty.
func (e *Engine) publish() {
	d := e.dirty
	e.dirty = graph.Dirty{}
	if len(d.Gateways)+len(d.VirtualHosts)+len(d.MeshHosts)+len(d.Backends) == 0 {
		return
	}
	start := time.Now()
	e.publisher.publish(e.graph, d)
	publicationSeconds.Observe(time.Since(start).Seconds())
}

// errStopped is why nothing can be asked of an engine whose Run has ended.
var errStopped = errors.New("the engine has stopped")

// do has the engine's goroutine run f, and waits until what f changed is published.
func (e *Engine) do(ctx context.Context, f func()) error {
	c := command{do: f, done: make(chan struct{})}
	select {
	case e.commands <- c:
	case <-e.stopped:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-c.done:
		return nil
	case <-e.stopped:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// SetLeader says whether this engine settles the statuses that other replicas and the watches leave behind.
func (e *Engine) SetLeader(bool) {}

// HasSynced says that everything that was stored when the engine started is in the graph and in the Envoy
// configuration.
func (e *Engine) HasSynced() bool {
	select {
	case <-e.synced:
		return true
	default:
		return false
	}
}

// Sync implements registry.Model. Committed returns after its object is in the graph and every write goes through this
// process, so all there is to wait for is the first list of every feed.
func (e *Engine) Sync(ctx context.Context, _ runtime.Object) error { return e.WaitForSync(ctx) }

// WaitForSync waits until HasSynced.
func (e *Engine) WaitForSync(ctx context.Context) error {
	select {
	case <-e.synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the model to load what is stored: %w", context.Cause(ctx))
	}
}

// changed takes note of what a change to the graph made dirty. It runs in the engine's goroutine, and returns the
// statuses that are no longer what is stored.
func (e *Engine) changed(d graph.Dirty) []graph.Key {
	e.dirty.Merge(d)
	if !e.loaded {
		return nil
	}
	return e.stale(d)
}

// stale returns the dirty statuses that are not what is stored, or might not be: one that is being written now is written
// as it should have been before.
func (e *Engine) stale(d graph.Dirty) []graph.Key {
	var keys []graph.Key
	for key := range d.Statuses {
		if e.unsettled[key] > 0 || e.staleStatus(key) != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// enqueue has statuses written.
func (e *Engine) enqueue(keys []graph.Key) {
	for _, key := range keys {
		e.unsettled[key]++
		e.queue.Add(key)
	}
}

// listed is called by a feed that has delivered its first list. After the last one, statuses that changed while the
// server was down are settled, and perform publishes everything.
func (e *Engine) listed() {
	for _, f := range e.feeds {
		if !f.listed {
			return
		}
	}
	if e.loaded {
		return
	}
	e.loaded = true
	e.enqueue(e.stale(e.dirty))
}
