package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// watcher follows a kind as an informer does: it lists, watches from there, goes on where a watch has ended, and lists
// again when that can't be done any more.
type watcher struct {
	way    string
	kind   graph.Kind
	client rest.Interface

	mu sync.Mutex
	// at is the resource version up to which everything was seen since the list at from.
	from, at uint64
	// objects are the resource versions of what there is at that point.
	objects map[graph.Key]uint64
	events  map[uint64]event
	spans   []span // before the last list
	ends    int    // of watches that had begun
	errs    []error
}

// span is from which resource version, exclusively, to which one there are all events.
type span struct{ from, to uint64 }

// event is what a watch has said of an object at some resource version.
type event struct {
	key    graph.Key
	marker string
}

// retryAfter keeps a watcher from asking all the time for what isn't there.
const retryAfter = 50 * time.Millisecond

// run follows the kind until ctx ends.
func (w *watcher) run(ctx context.Context) {
	list := true
	for ctx.Err() == nil {
		var err error
		if list {
			err = w.list(ctx)
			list = err != nil
		}
		if err == nil {
			list = expired(w.watch(ctx))
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

func (w *watcher) list(ctx context.Context) error {
	objects, version, err := list(ctx, w.client, w.kind)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if version < w.at {
		w.errs = append(w.errs, fmt.Errorf("a list is at %d, after an event at %d", version, w.at))
	}
	w.spans = append(w.spans, span{w.from, w.at})
	w.from, w.at, w.objects = version, version, map[graph.Key]uint64{}
	for key, obj := range objects {
		w.objects[key] = versionOf(obj)
	}
	return nil
}

// watch follows the kind from where it is, until the watch ends.
func (w *watcher) watch(ctx context.Context) error {
	stream, err := w.client.Get().AbsPath(listPath(w.kind, "")).Param("watch", "true").Param("allowWatchBookmarks", "true").
		Param("resourceVersion", strconv.FormatUint(w.at, 10)).MaxRetries(0).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	for events := json.NewDecoder(stream); ; {
		var e metav1.WatchEvent
		if err = events.Decode(&e); err == nil {
			err = w.see(e)
		}
		if err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ends++
			return err
		}
	}
}

// see takes in an event.
func (w *watcher) see(e metav1.WatchEvent) error {
	if e.Type == string(watch.Error) {
		var status metav1.Status
		if err := json.Unmarshal(e.Object.Raw, &status); err != nil {
			return err
		}
		return &apierrors.StatusError{ErrStatus: status}
	}
	obj, err := decode(e.Object.Raw)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	version, key := versionOf(obj), keyOf(w.kind, obj)
	if e.Type == string(watch.Bookmark) {
		w.at = max(w.at, version)
		return nil
	}
	if version <= w.at {
		w.errs = append(w.errs, fmt.Errorf("an event of %s at %d comes after one at %d", key, version, w.at))
	}
	w.at = version
	w.events[version] = event{key, obj.GetAnnotations()[marker]}
	if e.Type == string(watch.Deleted) {
		delete(w.objects, key)
	} else {
		w.objects[key] = version
	}
	return nil
}

// behind says what the watcher doesn't know of what is stored; it is empty if it knows all.
func (w *watcher) behind(stored map[graph.Key]*unstructured.Unstructured) string {
	want := map[graph.Key]uint64{}
	for key, obj := range stored {
		if key.Kind == w.kind {
			want[key] = versionOf(obj)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if maps.Equal(want, w.objects) {
		return ""
	}
	return fmt.Sprintf("%s: a watch of %s has %v, and stored are %v\n", w.way, w.kind, w.objects, want)
}

// check looks for acknowledged writes among the events. The watcher must be up to date.
func (w *watcher) check(t *testing.T, l *ledger) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.errs {
		t.Errorf("%s: a watch of %s: %v", w.way, w.kind, err)
	}
	spans := append([]span{{w.from, w.at}}, w.spans...)
	for written := range l.acknowledged {
		for _, s := range spans {
			if written.key.Kind != w.kind || written.version <= s.from || written.version > s.to {
				continue
			}
			if seen := w.events[written.version]; seen.key != written.key || seen.marker != written.marker {
				t.Errorf("%s: a watch from %d to %d has at %d not the write %s to %s, but %v", w.way, s.from, s.to, written.version, written.marker, written.key, seen)
			}
		}
	}
}

func keyOf(kind graph.Kind, obj metav1.Object) graph.Key {
	return graph.Key{Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// list reads all objects of a kind, as they are now, and returns the resource version at which they are that.
func list(ctx context.Context, client rest.Interface, kind graph.Kind) (map[graph.Key]*unstructured.Unstructured, uint64, error) {
	data, err := send(ctx, client.Get().AbsPath(listPath(kind, "")))
	if err != nil {
		return nil, 0, err
	}
	read := &unstructured.UnstructuredList{}
	if _, _, err := unstructured.UnstructuredJSONScheme.Decode(data, nil, read); err != nil {
		return nil, 0, err
	}
	version, err := strconv.ParseUint(read.GetResourceVersion(), 10, 64)
	if err != nil {
		return nil, 0, err
	}
	objects := map[graph.Key]*unstructured.Unstructured{}
	err = read.EachListItem(func(item runtime.Object) error {
		obj := item.(*unstructured.Unstructured)
		objects[keyOf(kind, obj)] = obj
		return nil
	})
	return objects, version, err
}
