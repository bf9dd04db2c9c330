package engine

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// Source lists and watches all objects of a kind.
type Source interface {
	ListAll(ctx context.Context, options metav1.ListOptions) (runtime.Object, error)
	WatchAll(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// feed brings the objects of one kind, or one of them, into the graph, each change once: a change may arrive twice, from the
// store that committed it and from the watch, in either order, and resource versions tell which one is news.
type feed struct {
	engine *Engine
	kind   graph.Kind
	timing timing // of its events
	// backoff is how soon a list or watch that failed is tried again; nil for client-go's, which begins with a second.
	backoff *wait.Backoff

	// What follows belongs to the engine's goroutine.
	onList  func() // called after each list
	listed  bool
	dropped bool // what still arrives is nobody's business any more
	// watched is the resource version up to which the watch has delivered everything.
	watched uint64
	// applied is the resource version of each object in the graph and, until the watch has delivered the deletion,
	// that of the deletion of objects that no longer are.
	applied map[types.NamespacedName]uint64
}

// soon tries again after 20 ms, and less and less often until it is every 30 s. The stores of this process aren't ready when they
// are first asked, which takes the longer the more objects there are, and a second more is a second without xDS.
func soon() *wait.Backoff {
	return &wait.Backoff{Duration: 20 * time.Millisecond, Factor: 1.2, Jitter: 0.1, Steps: 41, Cap: 30 * time.Second}
}

func newFeed(e *Engine, kind graph.Kind) *feed {
	return &feed{engine: e, kind: kind, timing: fromWatch, onList: e.listed, applied: map[types.NamespacedName]uint64{}}
}

// run lists and watches until ctx ends.
func (f *feed) run(ctx context.Context, source Source) {
	lw := &cache.ListWatch{ListWithContextFunc: source.ListAll, WatchFuncWithContext: source.WatchAll}
	r := cache.NewReflectorWithOptions(lw, nil, reflectorStore{ctx, f}, cache.ReflectorOptions{
		Logger: &f.engine.logger, Name: "engine", TypeDescription: string(f.kind), Backoff: f.backoff,
	})
	r.RunWithContext(ctx)
}

// apply brings obj into the graph if it is news.
func (f *feed) apply(obj metav1.Object) []graph.Key {
	name, version := nameOf(obj), versionOf(obj)
	if version <= f.applied[name] {
		return nil
	}
	f.applied[name] = version
	key := graph.Key{Kind: f.kind, Namespace: name.Namespace, Name: name.Name}
	retracts := f.engine.retracts(key, obj)
	dirty := f.engine.graph.Apply(obj)
	if retracts {
		f.engine.doubt(key, obj.GetResourceVersion())
	}
	return f.engine.changed(dirty)
}

// remove takes an object, deleted at version, out of the graph, unless it was made again since.
func (f *feed) remove(name types.NamespacedName, version uint64) []graph.Key {
	if version < f.applied[name] {
		return nil
	}
	f.applied[name] = version
	return f.engine.changed(f.engine.graph.Delete(graph.Key{Kind: f.kind, Namespace: name.Namespace, Name: name.Name}))
}

// committed is apply or remove for a change that a store reports. What the watch has delivered already, or something
// newer, must not come back: then it is no news.
func (f *feed) committed(obj metav1.Object, deleted bool) (stale []graph.Key, news bool) {
	switch name, version := nameOf(obj), versionOf(obj); {
	case version <= f.watched || version < f.applied[name]:
		return nil, false
	case deleted:
		return f.remove(name, version), true
	default:
		return f.apply(obj), true
	}
}

// delivered is apply or remove for an event of the watch.
func (f *feed) delivered(obj metav1.Object, deleted bool) {
	if f.dropped {
		return
	}
	name, version := nameOf(obj), versionOf(obj)
	f.watched = max(f.watched, version)
	var stale []graph.Key
	if deleted {
		stale = f.remove(name, version)
		if f.applied[name] == version {
			delete(f.applied, name)
		}
	} else {
		stale = f.apply(obj)
	}
	f.engine.found(stale)
}

// replace makes the graph what was listed at version, but for what is newer.
func (f *feed) replace(objs []metav1.Object, version uint64) {
	if f.dropped {
		return
	}
	listed := make(map[types.NamespacedName]bool, len(objs))
	for _, obj := range objs {
		listed[nameOf(obj)] = true
		f.delivered(obj, false)
	}
	for name, applied := range f.applied {
		if !listed[name] && applied <= version {
			f.engine.found(f.remove(name, version))
			delete(f.applied, name)
		}
	}
	f.watched = max(f.watched, version)
	f.listed = true
	f.onList()
}

func nameOf(obj metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// versionOf is the resource version, which in etcd's storage is a revision: numbers that grow.
func versionOf(obj metav1.Object) uint64 {
	v, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// reflectorStore is what a client-go reflector writes into; each call becomes a command to the engine.
type reflectorStore struct {
	ctx  context.Context
	feed *feed
}

// do fails only when nobody wants to know any more. A reflector would report that as an error.
func (s reflectorStore) do(f func()) { _ = s.feed.engine.do(s.ctx, s.feed.timing, f) }

func (s reflectorStore) event(obj any, deleted bool) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	s.do(func() { s.feed.delivered(m, deleted) })
	return nil
}

func (s reflectorStore) Add(obj any) error    { return s.event(obj, false) }
func (s reflectorStore) Update(obj any) error { return s.event(obj, false) }
func (s reflectorStore) Delete(obj any) error { return s.event(obj, true) }
func (s reflectorStore) Resync() error        { return nil }

func (s reflectorStore) Replace(list []any, resourceVersion string) error {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("resource version of the list of %s: %w", s.feed.kind, err)
	}
	objs := make([]metav1.Object, len(list))
	for i := range list {
		if objs[i], err = meta.Accessor(list[i]); err != nil {
			return err
		}
	}
	s.do(func() { s.feed.replace(objs, version) })
	return nil
}
