package engine

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

const (
	// loadBound is how long the first read of a referenced object may hold up what depends on it. A kube-apiserver that
	// doesn't answer for longer than that must not stop all others.
	loadBound = 2 * time.Second
	// lingering is how long an object is followed for a write that was judged by it and is not stored: if it is to be, and not
	// just a dry run, the rest of the write takes less than that, webhooks of admission aside. A client that tries several
	// times has it read once.
	lingering = 5 * time.Second
	// maxAsked is how many objects are read for one write before it is stored. What is judged then has not been validated, and
	// could name any number.
	maxAsked = 256
)

// NamedSource lists and watches single objects of a kind: lists have one object, or none.
type NamedSource interface {
	ListNamed(ctx context.Context, name types.NamespacedName, options metav1.ListOptions) (runtime.Object, error)
	WatchNamed(ctx context.Context, name types.NamespacedName, options metav1.ListOptions) (watch.Interface, error)
}

// reference is an object that is followed because something refers to it.
type reference struct {
	key    graph.Key
	feed   *feed
	cancel context.CancelFunc // ends the feed
	// loaded says that the graph has the object, or that there is none, or that it is no use to wait for it any longer.
	loaded bool
	// failed says that it can't be read, which has been logged.
	failed bool
	// until is how long it is followed though nothing in the graph needs it.
	until time.Time
	// waking says that somebody looks again then.
	waking bool
}

// reconsider follows an object if the graph needs it, and closes the gate until it is loaded; otherwise it lets go of it,
// unless somebody has just asked for it.
func (e *Engine) reconsider(key graph.Key) {
	if e.inputs.Referenced[key.Kind] == nil {
		return
	}
	r := e.references[key]
	if e.graph.Needed(key) {
		if r == nil {
			r = e.follow(key)
		}
		if !r.loaded {
			e.gate.await(key)
		}
		return
	}
	delete(e.gate.awaited, key)
	if r == nil {
		return
	}
	if time.Now().Before(r.until) {
		e.wake(r)
	} else {
		e.forget(r)
	}
}

// askFor follows an object for somebody who is about to write something that refers to it.
func (e *Engine) askFor(key graph.Key) *reference {
	r := e.references[key]
	if r == nil {
		r = e.follow(key)
	}
	r.until = time.Now().Add(lingering)
	if !e.graph.Needed(key) {
		e.wake(r)
	}
	return r
}

// wake has r reconsidered when its time has come.
func (e *Engine) wake(r *reference) {
	if r.waking {
		return
	}
	r.waking = true
	time.AfterFunc(time.Until(r.until), func() {
		e.post(func() {
			r.waking = false
			if e.references[r.key] == r {
				e.reconsider(r.key)
			}
		})
	})
}

func (e *Engine) follow(key graph.Key) *reference {
	r := &reference{key: key, feed: newFeed(e, key.Kind)}
	r.feed.timing = atOnce // it opens the gate
	r.feed.onList = func() {
		r.failed = false
		e.markLoaded(r)
	}
	e.references[key] = r
	followed.WithLabelValues(string(key.Kind)).Inc()
	r.cancel = e.start(func(ctx context.Context) {
		r.feed.run(ctx, &single{ctx, e.inputs.Referenced[key.Kind], key.NamespacedName(), func(err error) {
			e.post(func() { e.unreadable(r, err) })
		}})
	})
	time.AfterFunc(loadBound, func() { e.post(func() { e.giveUp(r) }) })
	return r
}

// forget ends following r, and takes its object out of the graph, where no facts depend on it any more.
func (e *Engine) forget(r *reference) {
	r.cancel()
	r.feed.dropped = true
	delete(e.references, r.key)
	e.graph.Delete(r.key)
	followed.WithLabelValues(string(r.key.Kind)).Dec()
}

// markLoaded opens the gate, if it was closed for nothing but r.
func (e *Engine) markLoaded(r *reference) {
	r.loaded = true
	if e.references[r.key] == r {
		delete(e.gate.awaited, r.key)
	}
}

// giveUp is called when loadBound has passed.
func (e *Engine) giveUp(r *reference) {
	if r.loaded || r.feed.dropped {
		return
	}
	syncTimeouts.WithLabelValues("reference").Inc()
	if !r.failed {
		e.logger.Info("A referenced object could not be read in time; until it is, it counts as missing", "kind", r.key.Kind,
			"namespace", r.key.Namespace, "name", r.key.Name, "bound", loadBound)
	}
	e.markLoaded(r)
}

// unreadable is called each time when r could not be listed.
func (e *Engine) unreadable(r *reference, err error) {
	if !r.failed && !r.feed.dropped {
		r.failed = true
		e.logger.Error(err, "Reading a referenced object; will try again, and until then it is as it was, or counts as missing", "kind", r.key.Kind,
			"namespace", r.key.Namespace, "name", r.key.Name)
	}
	if apierrors.IsForbidden(err) {
		e.markLoaded(r) // nothing will change that soon
	}
}

// single is the Source of the one object of a reference.
type single struct {
	ctx    context.Context // of the reference; a reflector lists with another one, which doesn't end with it
	source NamedSource
	name   types.NamespacedName
	failed func(error)
}

// ListAll implements Source. It tries until there is a list: a reflector would do that too, and log each time.
func (s *single) ListAll(_ context.Context, options metav1.ListOptions) (runtime.Object, error) {
	if options.ResourceVersion == "0" {
		options.ResourceVersion = "" // what was made right before must not be missing
	}
	backoff := wait.Backoff{Duration: retryMin, Cap: retryMax, Factor: 2, Jitter: 0.1, Steps: 10}
	for {
		list, err := s.source.ListNamed(s.ctx, s.name, options)
		if err == nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || isTooNew(err) {
			return list, err // after which a reflector lists what there is
		}
		if s.ctx.Err() == nil {
			s.failed(err)
		}
		select {
		case <-time.After(backoff.Step()):
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		}
	}
}

// isTooNew says that a server doesn't know the resource version yet that it was asked for.
func isTooNew(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

// WatchAll implements Source. Of one object, a list is had sooner than the initial events of a watch, and its errors come to
// ListAll.
func (s *single) WatchAll(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	if options.SendInitialEvents != nil {
		return nil, errors.New("one object is listed")
	}
	return s.source.WatchNamed(ctx, s.name, options)
}
