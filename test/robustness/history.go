package robustness

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Request is what a client has asked, and what became of it.
type Request struct {
	Kind   *Kind
	Client int
	Input  Input
	Output Output
	// Call is when it was sent, and Return when the answer was there.
	Call, Return time.Duration
	// Lost says that nobody knows whether it was done, and Refused that it was surely not, for a reason that isn't part of
	// the model. Err says why.
	Lost, Refused bool
	Err           error
}

// writes says whether the request may change something.
func (r *Request) writes() bool { return r.Input.Verb != Get && r.Input.Verb != List }

func (r *Request) String() string {
	if r.Lost || r.Refused {
		return fmt.Sprintf("%v client %d: %s %s %s: %v", r.Call, r.Client, r.Kind.Name, r.Input.Verb, r.Input.Name, r.Err)
	}
	return fmt.Sprintf("%v-%v client %d: %s %s", r.Call, r.Return, r.Client, r.Kind.Name, describe(r.Input, r.Output))
}

// History is all that clients have asked since it was last taken.
type History struct {
	mu       sync.Mutex
	requests []*Request

	all, lost, refused int // requests, since the beginning
}

func (h *History) add(r *Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, r)
	h.all++
	if r.Lost {
		h.lost++
	}
	if r.Refused {
		h.refused++
	}
}

// take returns the requests that there are, and forgets those that were answered: of those that were lost nobody knows for
// how long something may still come of them.
func (h *History) take() []*Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.requests
	h.requests = nil
	for _, r := range taken {
		if r.Lost && r.writes() {
			h.requests = append(h.requests, r)
		}
	}
	return taken
}

// forget drops lost requests that the log has.
func (h *History) forget(found map[*Request]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = slices.DeleteFunc(h.requests, func(r *Request) bool { return found[r] })
}

// explanation is a history of one kind as porcupine takes it, with the log's answers for lost requests and with what the
// server has written itself.
type explanation struct {
	operations []porcupine.Operation
	found      map[*Request]bool // lost requests that the log has
	wrong      []error
}

// explain finds the write behind each event. events are all changes of the kind since the state before the requests.
func explain(kind *Kind, requests []*Request, events []Event) explanation {
	x := explanation{found: map[*Request]bool{}}
	writers := writersOf(kind, requests)
	explained := map[*Request]bool{}
	began := latestCalls(kind, requests)
	for i := range events {
		e := &events[i]
		if e.Kind != kind {
			continue
		}
		verb, id := e.write()
		r := writers.find(verb, id)
		switch {
		case verb == Settle:
			x.operations = append(x.operations, settled(e, began.before(e.Revision)))
			continue
		case r == nil:
			x.wrong = append(x.wrong, fmt.Errorf("%s %s at %d: %s, which nobody has written: %s", kind.Name, e.Name, e.Revision, verb, e.Object))
			continue
		case r.Refused:
			x.wrong = append(x.wrong, fmt.Errorf("%s %s at %d: this was refused, and has been done: %s", kind.Name, e.Name, e.Revision, r))
			continue
		}
		explained[r] = true
		if r.Lost {
			x.found[r] = true
			x.operations = append(x.operations, unseen(r, e))
			continue
		}
		if verb == Delete {
			r.Output.Revision = e.Revision
		} else if r.Output.Object != e.Object {
			x.wrong = append(x.wrong, fmt.Errorf("it is stored as %s: %s", e.Object, r))
		}
	}
	for _, r := range requests {
		if r.Kind != kind || r.Lost || r.Refused {
			continue
		}
		if r.writes() && r.Output.Result == Done && !explained[r] {
			x.wrong = append(x.wrong, fmt.Errorf("it was acknowledged, and never stored: %s", r))
			continue
		}
		x.operations = append(x.operations, porcupine.Operation{
			ClientId: r.Client, Input: r.Input, Output: r.Output, Call: int64(r.Call), Return: int64(r.Return),
		})
	}
	return x
}

// write says which write has made the change: its verb, and what tells it apart from others.
func (e *Event) write() (Verb, string) {
	switch {
	case e.Deleted:
		return Delete, e.Object.UID
	case e.Before == nil:
		return Create, e.Object.Mark
	case e.Object.Mark != e.Before.Mark:
		return Update, e.Object.Mark
	case e.Object.Foreign != e.Before.Foreign:
		return UpdateStatus, e.Object.Foreign
	}
	return Settle, ""
}

// serverID is the porcupine client that stands for all servers.
const serverID = 0

// settled is what a server has written itself, after some instant and before the log had it.
func settled(e *Event, after time.Duration) porcupine.Operation {
	return porcupine.Operation{
		ClientId: serverID, Call: int64(after), Return: int64(e.Seen),
		Input: Input{Verb: Settle, Name: e.Name, Base: e.Before.Version}, Output: Output{Result: Done, Object: e.Object},
	}
}

// unseen is a lost request that was done before the log had it.
func unseen(r *Request, e *Event) porcupine.Operation {
	out := Output{Result: Done, Unseen: true}
	if e.Deleted {
		out.Revision = e.Revision
	} else {
		out.Object = e.Object
	}
	return porcupine.Operation{ClientId: r.Client, Call: int64(r.Call), Return: int64(e.Seen), Input: r.Input, Output: out}
}

// writers are requests by what tells them apart in the log.
type writers map[string][]*Request

func writersOf(kind *Kind, requests []*Request) writers {
	w := writers{}
	for _, r := range requests {
		if r.Kind == kind && r.writes() && (r.Lost || r.Refused || r.Output.Result == Done) {
			id := r.Input.Mark
			if r.Input.Verb == Delete {
				id = r.Input.UID
			}
			key := string(r.Input.Verb) + "/" + id
			w[key] = append(w[key], r)
		}
	}
	return w
}

// find returns the request that has done something. Several may have asked for the same deletion: it was the one that was
// told so, or, of those that were told nothing, any one, and the first is the one that allows the most.
func (w writers) find(verb Verb, id string) *Request {
	candidates := w[string(verb)+"/"+id]
	if len(candidates) == 0 {
		return nil
	}
	return slices.MinFunc(candidates, func(a, b *Request) int {
		if a.rank() != b.rank() {
			return a.rank() - b.rank()
		}
		return int(a.Call - b.Call)
	})
}

// rank is lower for who more surely did it.
func (r *Request) rank() int {
	switch {
	case r.Refused:
		return 2
	case r.Lost:
		return 1
	}
	return 0
}

// calls know when requests were sent whose writes have some revisions.
type calls struct {
	revisions []uint64
	latest    []time.Duration
}

func latestCalls(kind *Kind, requests []*Request) calls {
	at := map[uint64]time.Duration{}
	for _, r := range requests {
		if version := r.Output.Object.Version; r.Kind == kind && r.writes() && !r.Lost && !r.Refused && r.Output.Result == Done && version > 0 {
			at[version] = r.Call
		}
	}
	c := calls{revisions: slices.Sorted(maps.Keys(at))}
	var latest time.Duration
	for _, revision := range c.revisions {
		latest = max(latest, at[revision])
		c.latest = append(c.latest, latest)
	}
	return c
}

// before returns an instant before which etcd can't have been at a revision: a request was sent then that got a lower one.
func (c calls) before(revision uint64) time.Duration {
	n, _ := slices.BinarySearch(c.revisions, revision)
	if n == 0 {
		return 0
	}
	return c.latest[n-1]
}
