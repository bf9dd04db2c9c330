package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// memory holds objects of all kinds, for tests of what an engine does when: in a bubble of package synctest, where no time
// passes but by waiting, and a real server can't be. It hands out what engines want of stores and of kube-apiserver.
type memory struct {
	mu       sync.Mutex
	version  uint64
	history  []memoryEvent
	watchers map[*memoryWatcher]bool
	// asked counts the lists of single objects.
	asked map[graph.Key]int
	// unreadable are single objects that can't be listed: until the channel is closed if there is one, or with an error.
	unreadable map[graph.Key]obstacle
	// paused are watches that hear nothing, of some kinds or of all, until told what they missed.
	paused func(graph.Kind) bool
	missed []memoryEvent
	// infrastructure is what gives Gateways Services here. Nil if nothing does.
	infrastructure Infrastructure
}

type obstacle struct {
	until chan struct{}
	err   error
}

type memoryEvent struct {
	key     graph.Key
	version uint64
	event   watch.Event
}

func newMemory() *memory {
	return &memory{watchers: map[*memoryWatcher]bool{}, asked: map[graph.Key]int{}, unreadable: map[graph.Key]obstacle{}}
}

func keyOf(obj runtime.Object) graph.Key {
	kind, _ := kindOf(obj)
	m := obj.(metav1.Object)
	return graph.Key{Kind: kind, Namespace: m.GetNamespace(), Name: m.GetName()}
}

// put stores a copy of obj and returns it.
func (m *memory) put(obj runtime.Object) runtime.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := keyOf(obj)
	event := watch.Added
	if m.get(key) != nil {
		event = watch.Modified
	}
	return m.record(key, event, obj)
}

// remove deletes an object and returns what it was, with the version of the deletion.
func (m *memory) remove(key graph.Key) runtime.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record(key, watch.Deleted, m.get(key))
}

func (m *memory) record(key graph.Key, event watch.EventType, obj runtime.Object) runtime.Object {
	obj = obj.DeepCopyObject()
	m.version++
	obj.(metav1.Object).SetResourceVersion(strconv.FormatUint(m.version, 10))
	e := memoryEvent{key, m.version, watch.Event{Type: event, Object: obj}}
	m.history = append(m.history, e)
	if m.paused != nil && m.paused(key.Kind) {
		m.missed = append(m.missed, e)
		return obj.DeepCopyObject()
	}
	for w := range m.watchers {
		w.tell(e)
	}
	return obj.DeepCopyObject()
}

// pause has all watches of some kinds, or else of all, fall behind until resume is called.
func (m *memory) pause(kinds ...graph.Kind) (resume func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = func(kind graph.Kind) bool { return len(kinds) == 0 || slices.Contains(kinds, kind) }
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, e := range m.missed {
			for w := range m.watchers {
				w.tell(e)
			}
		}
		m.paused, m.missed = nil, nil
	}
}

// get returns an object as it is stored, or nil.
func (m *memory) get(key graph.Key) runtime.Object {
	for _, e := range slices.Backward(m.history) {
		if e.key == key {
			if e.event.Type == watch.Deleted {
				return nil
			}
			return e.event.Object
		}
	}
	return nil
}

// read returns a copy of an object, or nil.
func (m *memory) read(key graph.Key) runtime.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	if obj := m.get(key); obj != nil {
		return obj.DeepCopyObject()
	}
	return nil
}

// watched says whether anybody watches an object by its name.
func (m *memory) watched(key graph.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.watchers {
		if w.name != nil && *w.name == key.NamespacedName() && w.kind == key.Kind {
			return true
		}
	}
	return false
}

// kind is the objects of one kind: a Source, and a StatusWriter.
func (m *memory) kind(kind graph.Kind) memoryKind { return memoryKind{m, kind} }

// named is the objects of one kind that can be had by name only.
func (m *memory) named(kind graph.Kind) NamedSource { return memoryNamed{memoryKind{m, kind}} }

type memoryKind struct {
	*memory
	of graph.Kind
}

func (m memoryKind) list(name *types.NamespacedName) *metav1.List {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := &metav1.List{ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatUint(m.version, 10)}}
	seen := map[graph.Key]bool{}
	for _, e := range m.history {
		if e.key.Kind != m.of || seen[e.key] || name != nil && e.key.NamespacedName() != *name {
			continue
		}
		seen[e.key] = true
		if obj := m.get(e.key); obj != nil {
			list.Items = append(list.Items, runtime.RawExtension{Object: obj.DeepCopyObject()})
		}
	}
	return list
}

func (m memoryKind) watch(ctx context.Context, name *types.NamespacedName, options metav1.ListOptions) (watch.Interface, error) {
	if options.SendInitialEvents != nil {
		return nil, errors.New("initial events are not supported")
	}
	from, err := strconv.ParseUint(options.ResourceVersion, 10, 64)
	if err != nil {
		return nil, err
	}
	w := &memoryWatcher{memory: m.memory, kind: m.of, name: name, events: make(chan watch.Event, 1000)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers[w] = true
	for _, e := range m.history {
		if e.version > from {
			w.tell(e)
		}
	}
	context.AfterFunc(ctx, w.Stop)
	return w, nil
}

func (m memoryKind) ListAll(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return m.list(nil), nil
}

func (m memoryKind) WatchAll(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return m.watch(ctx, nil, options)
}

func (m memoryKind) UpdateStatus(_ context.Context, name types.NamespacedName, update func(runtime.Object)) (runtime.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := graph.Key{Kind: m.of, Namespace: name.Namespace, Name: name.Name}
	stored := m.get(key)
	if stored == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: string(m.of)}, name.Name)
	}
	obj := stored.DeepCopyObject()
	update(obj)
	if equality.Semantic.DeepEqual(obj, stored) {
		return obj, nil
	}
	return m.record(key, watch.Modified, obj), nil
}

type memoryNamed struct{ memoryKind }

func (m memoryNamed) ListNamed(ctx context.Context, name types.NamespacedName, options metav1.ListOptions) (runtime.Object, error) {
	if options.ResourceVersion == "0" { // a cache that is behind
		return &metav1.List{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
	}
	key := graph.Key{Kind: m.of, Namespace: name.Namespace, Name: name.Name}
	m.mu.Lock()
	m.asked[key]++
	obstacle := m.unreadable[key]
	m.mu.Unlock()
	if obstacle.err != nil {
		return nil, obstacle.err
	}
	if obstacle.until != nil {
		select {
		case <-obstacle.until:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return m.list(&name), nil
}

func (m memoryNamed) WatchNamed(ctx context.Context, name types.NamespacedName, options metav1.ListOptions) (watch.Interface, error) {
	return m.watch(ctx, &name, options)
}

// hinder makes an object unreadable, or readable again.
func (m *memory) hinder(key graph.Key, o obstacle) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unreadable[key] = o
}

// timesAsked says how often an object was listed by its name.
func (m *memory) timesAsked(key graph.Key) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[key]
}

type memoryWatcher struct {
	memory *memory
	kind   graph.Kind
	name   *types.NamespacedName // nil for all
	events chan watch.Event
}

func (w *memoryWatcher) tell(e memoryEvent) {
	if e.key.Kind != w.kind || w.name != nil && e.key.NamespacedName() != *w.name {
		return
	}
	select {
	case w.events <- watch.Event{Type: e.event.Type, Object: e.event.Object.DeepCopyObject()}:
	default:
		panic(fmt.Sprintf("nobody reads the watch of %s", w.kind))
	}
}

func (w *memoryWatcher) ResultChan() <-chan watch.Event { return w.events }

func (w *memoryWatcher) Stop() {
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	if w.memory.watchers[w] {
		delete(w.memory.watchers, w)
		close(w.events)
	}
}
