package robustness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	stdjson "encoding/json"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// retryAfter keeps those who follow something from asking all the time for what isn't there.
const retryAfter = 100 * time.Millisecond

// Watcher follows a kind as an informer does: it lists, watches from there, goes on where a watch has ended, and lists again
// if it is told that its version is too old.
type Watcher struct {
	Kind *Kind
	Way  string

	api rest.Interface

	mu   sync.Mutex
	seen Sighting
	past []Sighting // before the last list
	ends int        // of watches that had begun
	errs []error
}

// Sighting is all that a watcher has seen since a list.
type Sighting struct {
	From, At uint64 // the versions of the list, and of the last event or bookmark
	Listed   map[string]Object
	Events   []Sight
}

// Sight is an event of a watch.
type Sight struct {
	Type    watch.EventType
	Name    string
	Version uint64
	Object  Object
}

// run follows the kind until ctx ends.
func (w *Watcher) run(ctx context.Context) {
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

// expired says whether a server has forgotten the version from which it was to go on: it may do so, for one.
func expired(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusGone
}

// list is of any version that the server has in its cache, as informers ask.
func (w *Watcher) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	data, err := send(ctx, w.api.Get().AbsPath(w.Kind.path()).Param("resourceVersion", strconv.FormatUint(w.position(), 10)))
	if err != nil {
		return err
	}
	objects, version, err := readList(w.Kind, data)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if version < w.seen.At {
		w.errs = append(w.errs, fmt.Errorf("a list not older than %d is of %d", w.seen.At, version))
	}
	if w.seen.From > 0 {
		w.past = append(w.past, w.seen)
	}
	w.seen = Sighting{From: version, At: version, Listed: objects}
	return nil
}

// position is the version up to which everything was seen.
func (w *Watcher) position() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen.At
}

// watch follows the kind from where it is, until the watch ends.
func (w *Watcher) watch(ctx context.Context) error {
	stream, err := w.api.Get().AbsPath(w.Kind.path()).Param("watch", "true").Param("allowWatchBookmarks", "true").
		Param("resourceVersion", strconv.FormatUint(w.position(), 10)).MaxRetries(0).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	for events := stdjson.NewDecoder(stream); ; {
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
func (w *Watcher) see(e metav1.WatchEvent) error {
	if e.Type == string(watch.Error) {
		var status metav1.Status
		if err := json.Unmarshal(bytes.Clone(e.Object.Raw), &status); err != nil {
			return err
		}
		return &apierrors.StatusError{ErrStatus: status}
	}
	var content map[string]any
	if err := json.Unmarshal(e.Object.Raw, &content); err != nil {
		return err
	}
	version, err := strconv.ParseUint(at[string](content, "metadata", "resourceVersion"), 10, 64)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, w.seen.see(Sight{
		Type: watch.EventType(e.Type), Version: version,
		Name: at[string](content, "metadata", "name"), Object: w.Kind.object(content, version),
	})...)
	return nil
}

// see adds an event, and says if it doesn't come in order.
func (s *Sighting) see(e Sight) (errs []error) {
	if e.Version < s.At || e.Version == s.At && e.Type != watch.Bookmark {
		errs = append(errs, fmt.Errorf("%s %s at %d comes after %d", e.Type, e.Name, e.Version, s.At))
	}
	s.At = max(s.At, e.Version)
	if e.Type != watch.Bookmark {
		s.Events = append(s.Events, e)
	}
	return errs
}

// behind says whether the watcher hasn't seen yet the last change of its kind.
func (w *Watcher) behind(stored State) error {
	if at := w.position(); at < stored.Revision {
		return fmt.Errorf("a watch of %s by way of %s is at %d, and stored is %s", w.Kind.Resource, w.Way, at, stored)
	}
	return nil
}

// check compares all that was seen with the log. It forgets what is past.
func (w *Watcher) check(l *Log) (errs []error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	errs = w.errs
	for _, s := range append(slices.Clone(w.past), w.seen) {
		errs = append(errs, s.check(l.At(w.Kind, s.From), ofKind(w.Kind, l.Between(s.From, s.At)))...)
	}
	for n := range errs {
		errs[n] = fmt.Errorf("a watch of %s by way of %s: %w", w.Kind.Resource, w.Way, errs[n])
	}
	w.past, w.errs = nil, nil
	return errs
}

func ofKind(kind *Kind, events []Event) []Event {
	return slices.DeleteFunc(events, func(e Event) bool { return e.Kind != kind })
}

// check compares the list with what was stored then, and the events with what has happened since.
func (s Sighting) check(listed State, events []Event) (errs []error) {
	if got, want := (State{s.From, s.Listed}), (State{s.From, listed.Objects}); !got.equal(want) {
		errs = append(errs, fmt.Errorf("it lists %s, and stored was %s", got, want))
	}
	for n := range max(len(s.Events), len(events)) {
		switch {
		case n >= len(s.Events):
			return append(errs, fmt.Errorf("it is at %d, and has not told of %s", s.At, events[n].sight()))
		case n >= len(events):
			return append(errs, fmt.Errorf("it has told of %s, which has not happened", s.Events[n]))
		case s.Events[n] != events[n].sight():
			return append(errs, fmt.Errorf("it has told of %s, and the next to happen was %s", s.Events[n], events[n].sight()))
		}
	}
	return errs
}

// sight is the event by which a watch tells of a change.
func (e *Event) sight() Sight {
	s := Sight{Type: watch.Modified, Name: e.Name, Version: e.Revision, Object: e.Object}
	switch {
	case e.Deleted:
		s.Type, s.Object.Version = watch.Deleted, e.Revision
	case e.Before == nil:
		s.Type = watch.Added
	}
	return s
}

func (s Sight) String() string {
	return fmt.Sprintf("%s %s at %d: %s", s.Type, s.Name, s.Version, s.Object)
}
