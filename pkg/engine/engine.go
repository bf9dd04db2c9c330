package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

const (
	// settleBound is how long a write waits for the statuses of its dependents.
	settleBound = 2 * time.Second
	// retryMin and retryMax bound how soon a status that could not be written, or an object that could not be read, is tried
	// again.
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
	// Revisions returns the revision at which each kind was last changed by anyone, deletions included: not before the call,
	// as etcd has it. Kinds that are not stored there are not in the map.
	Revisions(ctx context.Context) (map[graph.Kind]uint64, error)
}

// Inputs are what an engine works with.
type Inputs struct {
	// Sources are what the graph is fed from, by kind.
	Sources map[graph.Kind]Source
	// Referenced are the kinds that are followed object by object, each for as long as something refers to it that is
	// permitted to.
	Referenced map[graph.Kind]NamedSource
	// Writers write the statuses of dependents. A kind without one has no status.
	Writers map[graph.Kind]StatusWriter
	// Progress is nil if all writes go through this process.
	Progress Progress
	// Infrastructure is nil if Gateways get no objects in a cluster. The leader asks for them.
	Infrastructure Infrastructure
	// LintXDS has all that a scope holds looked at after each of its publications, which takes time in proportion to that, and
	// what is wrong logged.
	LintXDS bool
}

// Engine is made by New and works while Run does.
type Engine struct {
	logger   klog.Logger
	inputs   Inputs                     // those of Run
	named    map[graph.Kind]NamedSource // those of inputs.Sources that can be asked for single objects
	commands chan command
	// synced is closed once every feed has delivered its first list and all of it is published, stopped when Run ends.
	synced, stopped chan struct{}
	queue           workqueue.TypedRateLimitingInterface[graph.Key]
	inbox           *inbox

	// What follows belongs to the goroutine of Run.
	graph     *graph.Graph
	loaded    bool // every feed has delivered its first list
	feeds     map[graph.Kind]*feed
	publisher *publisher
	dirty     graph.Dirty // not yet published
	gate      gate
	// references are the objects of Inputs.Referenced that are followed.
	references map[graph.Key]*reference
	// start runs f beside the engine until its context ends, which cancel does, and Run at the latest.
	start      func(f func(context.Context)) (cancel context.CancelFunc)
	conditions []*condition                 // that Syncs wait for
	waiting    map[graph.Key][]chan<- error // who waits for a status to be written
	unsettled  map[graph.Key]int            // how often a status was enqueued since it was last up to date
	batches    map[graph.Key]*batch         // of statuses that are being written, or were a moment ago
	leader     bool
	left       map[graph.Key]struct{} // statuses that are stale, and for the leader to write
	// verdicts are what nodes have rejected, and deliveries how far they have come, both by scope of the cache.
	verdicts   map[string]*verdicts
	deliveries map[string]*delivery
	// unproven are those of deliveries for which etcd is to be asked next, and asking says that it is being asked.
	unproven map[string]*delivery
	asking   bool
	// provisioning is nil unless this replica is the leader, and Gateways get objects in a cluster.
	provisioning *provisioning
}

// New makes an engine that publishes to xds.
func New(xds *cache.Cache, logger klog.Logger) *Engine {
	registerMetrics()
	return &Engine{
		logger:     logger,
		commands:   make(chan command, maxBatch),
		synced:     make(chan struct{}),
		stopped:    make(chan struct{}),
		queue:      workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[graph.Key](retryMin, retryMax)),
		inbox:      newInbox(),
		graph:      graph.New(),
		feeds:      map[graph.Kind]*feed{},
		publisher:  newPublisher(xds),
		gate:       gate{awaited: map[graph.Key]struct{}{}},
		references: map[graph.Key]*reference{},
		waiting:    map[graph.Key][]chan<- error{},
		unsettled:  map[graph.Key]int{},
		batches:    map[graph.Key]*batch{},
		left:       map[graph.Key]struct{}{},
		verdicts:   map[string]*verdicts{},
		deliveries: map[string]*delivery{},
		unproven:   map[string]*delivery{},
	}
}

// Run feeds the graph until ctx ends, and returns when nothing of the engine uses what it was given any more. Run panics if
// it is to feed the graph with a kind that the graph does not hold.
func (e *Engine) Run(ctx context.Context, in Inputs) {
	for kind := range in.Sources {
		mustHold(kind)
	}
	for kind := range in.Referenced {
		mustHold(kind)
	}
	if in.Infrastructure != nil {
		e.graph.EnableProvisioning()
	}
	if in.LintXDS {
		e.publisher.lint = newLinter(e.publisher.xds, e.logger)
	}
	e.inputs, e.named = in, map[graph.Kind]NamedSource{}
	var wg sync.WaitGroup
	defer wg.Wait()
	e.start = func(f func(context.Context)) context.CancelFunc {
		ctx, cancel := context.WithCancel(ctx)
		wg.Go(func() { f(ctx) })
		return cancel
	}
	for kind, source := range in.Sources {
		f := newFeed(e, kind)
		f.backoff = soon()
		e.feeds[kind] = f
		if named, ok := source.(NamedSource); ok {
			e.named[kind] = named
		}
		wg.Go(func() { f.run(ctx, source) })
	}
	for range settlers {
		wg.Go(func() { e.settleStatuses(ctx) })
	}
	defer close(e.stopped)
	defer e.queue.ShutDown()

	// One case does nearly all the work: every access to the graph is a command, be it an object from a feed, one that was
	// just committed, a preview, the preparation of a status or a bound that has passed. News of what nodes say is read in
	// between, and the last case ends the engine.
	for {
		select {
		case c := <-e.commands:
			e.perform(c)
		case <-e.inbox.arrived:
			e.readMail()
		case <-ctx.Done():
			return
		}
	}
}

func mustHold(kind graph.Kind) {
	if _, ok := kinds[kind]; !ok {
		panic(fmt.Sprintf("engine: no row for the source of kind %s", kind))
	}
}

// publish brings the Envoy configuration up to date, if anything is dirty, and returns the statuses that this makes stale.
func (e *Engine) publish() []graph.Key {
	d := e.dirty
	e.dirty = graph.Dirty{}
	if len(d.Scopes)+len(d.VirtualHosts)+len(d.MeshHosts)+len(d.Backends)+len(d.Fleets) == 0 && !d.Sidecars {
		return nil
	}
	start := time.Now()
	scopes := e.publisher.publish(e.graph, d)
	publicationSeconds.Observe(time.Since(start).Seconds())
	return e.published(scopes)
}

// Nodes says which scope a node of xDS gets.
func (e *Engine) Nodes() *nodes.Directory { return e.publisher.nodes }

// errStopped is why nothing can be asked of an engine whose Run has ended.
var errStopped = errors.New("the engine has stopped")

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

// CheckSynced returns what has still to be loaded before HasSynced, and nil after that.
func (e *Engine) CheckSynced(ctx context.Context) error {
	if e.HasSynced() {
		return nil
	}
	var missing []string
	if err := e.do(ctx, atOnce, func() { missing = e.unloaded() }); err != nil {
		return err
	}
	return fmt.Errorf("not loaded yet: %s", strings.Join(missing, ", "))
}

// unloaded names the kinds that have not been listed, and the objects that are being read for the first time.
func (e *Engine) unloaded() []string {
	var names []string
	for kind, f := range e.feeds {
		if !f.listed {
			names = append(names, string(kind))
		}
	}
	for key := range e.gate.awaited {
		names = append(names, key.String())
	}
	slices.Sort(names)
	return names
}

// changed takes note of what a change to the graph made dirty. It runs in the engine's goroutine, and returns the
// statuses that are no longer what is stored.
func (e *Engine) changed(d graph.Dirty) []graph.Key {
	e.dirty.Merge(d)
	if !e.loaded {
		return nil
	}
	for key := range d.References {
		e.reconsider(key)
	}
	e.enqueueInfrastructure(d.Infrastructure)
	return e.stale(d)
}

// listed is called by a feed that has delivered a list. After the first one of the last feed, what the objects refer to is
// read, statuses that changed while the server was down are settled, and perform publishes everything.
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
	d := e.dirty
	e.dirty = graph.Dirty{}
	e.found(e.changed(d))
}
