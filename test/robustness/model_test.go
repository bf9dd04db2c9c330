package robustness

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/watch"
)

// history is made of requests that take a second each, one after the other, and of what was stored halfway through them.
type history struct {
	requests []*Request
	events   []Event
	now      Object
	is       bool
}

func (h *history) request(in Input, out Output) *Request {
	in.Name = "r-0"
	begin := time.Duration(len(h.requests)) * time.Second
	r := &Request{Kind: route, Client: 1 + len(h.requests), Input: in, Output: out, Call: begin, Return: begin + time.Second - 1}
	h.requests = append(h.requests, r)
	return r
}

// store has the log have the object as it is now.
func (h *history) store(o Object) {
	e := Event{Kind: route, Name: "r-0", Revision: o.Version, Object: o, Seen: time.Duration(len(h.requests))*time.Second - time.Second/2}
	if h.is {
		before := h.now
		e.Before = &before
	}
	h.events, h.now, h.is = append(h.events, e), o, true
}

func (h *history) remove(revision uint64) {
	h.events = append(h.events, Event{Kind: route, Name: "r-0", Revision: revision, Deleted: true, Object: h.now, Before: &h.now,
		Seen: time.Duration(len(h.requests))*time.Second - time.Second/2})
	h.is = false
}

var route = kinds[1]

func done(o Object) Output { return Output{Result: Done, Object: o} }

// TestHistories shows that wrong histories are found, each of which is one change away from a right one.
func TestHistories(t *testing.T) {
	t.Parallel()
	first := Object{UID: "u", Version: 10, Generation: 1, Mark: "c1-1"}
	second := Object{UID: "u", Version: 11, Generation: 2, Mark: "c1-2"}
	settled := Object{UID: "u", Version: 12, Generation: 2, Mark: "c1-2"}
	said := Object{UID: "u", Version: 13, Generation: 2, Mark: "c1-2", Foreign: "c1-5"}
	for _, test := range []struct {
		name   string
		change func(h *history)
		wrong  string // what is found; nothing if empty
	}{
		{"nothing", func(*history) {}, ""},
		{"a lost write", func(h *history) {
			h.request(Input{Verb: Create, Mark: "c1-9"}, done(Object{UID: "w", Version: 30, Generation: 1, Mark: "c1-9"}))
		}, "never stored"},
		{"a lost deletion", func(h *history) { h.events = h.events[:4] }, "never stored"},
		{"a write that is stored as something else", func(h *history) {
			h.events[1].Object.Generation = 3
			h.events[2].Before = &h.events[1].Object
		}, "it is stored as"},
		{"a stale read", func(h *history) { h.requests[2].Output.Object = first }, "not linearizable"},
		{"a read of the future", func(h *history) { h.requests[2].Output.Object = said }, "not linearizable"},
		{"an object that is gone for a moment", func(h *history) { h.requests[2].Output = Output{Result: NotFound} }, "not linearizable"},
		{"an update on an old version", func(h *history) { h.requests[1].Input.Base = 9 }, "not linearizable"},
		{"a conflict without a reason", func(h *history) { h.requests[3].Input.Base = 12 }, "not linearizable"},
		{"a status that a client has sent to the wrong place", func(h *history) {
			h.events[1].Object.Foreign, h.requests[1].Output.Object.Foreign = "dropped", "dropped"
			h.events[2].Object.Foreign, h.requests[2].Output.Object.Foreign = "dropped", "dropped"
		}, "not linearizable"},
		{"a spec that a status brings", func(h *history) {
			h.events[3].Object.Generation, h.requests[4].Output.Object.Generation = 3, 3
		}, "not linearizable"},
		{"another one's status that is lost", func(h *history) {
			h.requests[5].Output.Objects["r-0"] = settled
		}, "not linearizable"},
		{"a list that is older than what was read", func(h *history) { h.requests[5].Output.Revision = 11 }, "not linearizable"},
		{"a deletion of something else", func(h *history) { h.requests[6].Input.UID = "v" }, "nobody has written"},
		{"a change that nobody made", func(h *history) { h.events[1].Object.Mark = "c9-9" }, "nobody has written"},
		{"a refusal that was none", func(h *history) {
			h.requests[1].Refused, h.requests[1].Output = true, Output{}
		}, "was refused"},
		{"a lost answer", func(h *history) { h.requests[1].Lost, h.requests[1].Output = true, Output{} }, ""},
		{"a lost answer to what never happened", func(h *history) {
			r := h.request(Input{Verb: Create, Mark: "c1-8"}, Output{})
			r.Lost = true
		}, ""},
		{"a version that isn't that of the write", func(h *history) { h.requests[1].Output.Object.Version = 12 }, "it is stored as"},
		{"a version that goes back", func(h *history) {
			h.events[1].Revision, h.events[1].Object.Version, h.requests[1].Output.Object.Version = 8, 8, 8
		}, "not linearizable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var h history
			h.request(Input{Verb: Create, Mark: "c1-1"}, done(first))
			h.store(first)
			h.request(Input{Verb: Update, Mark: "c1-2", Base: 10}, done(second))
			h.store(second)
			h.request(Input{Verb: Get}, done(settled))
			h.store(settled)
			h.request(Input{Verb: Update, Mark: "c1-4", Base: 11}, Output{Result: Conflict})
			h.request(Input{Verb: UpdateStatus, Mark: "c1-5", Base: 12}, done(said))
			h.store(said)
			h.request(Input{Verb: List}, Output{Result: Done, Revision: 20, Objects: map[string]Object{"r-0": said}})
			h.request(Input{Verb: Delete, UID: "u"}, Output{Result: Done})
			h.remove(21)
			h.request(Input{Verb: Get}, Output{Result: NotFound})
			test.change(&h)
			_, errs := checkHistory(route, State{}, h.requests, h.events, t.TempDir())
			expect(t, errs, test.wrong)
		})
	}
}

func expect(t *testing.T, errs []error, wrong string) {
	t.Helper()
	if wrong == "" {
		for _, err := range errs {
			t.Error(err)
		}
		return
	}
	for _, err := range errs {
		if strings.Contains(err.Error(), wrong) {
			return
		}
	}
	t.Errorf("it is not found that it is %q: %v", wrong, errs)
}

// TestSightings shows that it is found if a watch doesn't tell all, in order.
func TestSightings(t *testing.T) {
	t.Parallel()
	object := func(version uint64, mark string) Object { return Object{UID: "u", Version: version, Mark: mark} }
	listed := State{}.with("r-0", object(5, "a"))
	before := object(5, "a")
	events := []Event{
		{Kind: route, Name: "r-0", Revision: 7, Object: object(7, "b"), Before: &before},
		{Kind: route, Name: "r-1", Revision: 8, Object: object(8, "c")},
		{Kind: route, Name: "r-0", Revision: 9, Deleted: true, Object: object(7, "b"), Before: &before},
	}
	sights := []Sight{
		{watch.Modified, "r-0", 7, object(7, "b")},
		{watch.Added, "r-1", 8, object(8, "c")},
		{watch.Bookmark, "", 8, Object{}},
		{watch.Deleted, "r-0", 9, object(9, "b")},
		{watch.Bookmark, "", 12, Object{}},
	}
	for _, test := range []struct {
		name   string
		change func(listed map[string]Object, sights []Sight) []Sight
		wrong  string
	}{
		{"nothing", func(_ map[string]Object, s []Sight) []Sight { return s }, ""},
		{"an event is missing", func(_ map[string]Object, s []Sight) []Sight { return append(s[:1], s[2:]...) }, "next to happen"},
		{"the last event is missing", func(_ map[string]Object, s []Sight) []Sight { return append(s[:3], s[4]) }, "has not told"},
		{"two events are in the wrong order", func(_ map[string]Object, s []Sight) []Sight {
			s[0], s[1] = s[1], s[0]
			return s
		}, "comes after"},
		{"an event comes twice", func(_ map[string]Object, s []Sight) []Sight { return append(s[:1], s...) }, "comes after"},
		{"an event comes after a bookmark that promised that there is none", func(_ map[string]Object, s []Sight) []Sight {
			s[2].Version = 10
			return s
		}, "comes after"},
		{"a deletion is told as a change", func(_ map[string]Object, s []Sight) []Sight {
			s[3].Type = watch.Modified
			return s
		}, "next to happen"},
		{"an old object", func(_ map[string]Object, s []Sight) []Sight {
			s[0].Object.Mark = "a"
			return s
		}, "next to happen"},
		{"an event that there wasn't", func(_ map[string]Object, s []Sight) []Sight {
			return append(s[:4], Sight{watch.Added, "r-2", 10, object(10, "d")})
		}, "has not happened"},
		{"the list lacks something", func(l map[string]Object, s []Sight) []Sight {
			delete(l, "r-0")
			return s
		}, "it lists"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := Sighting{From: 6, At: 6, Listed: listed.with("r-0", listed.Objects["r-0"]).Objects}
			var errs []error
			for _, sight := range test.change(s.Listed, append([]Sight{}, sights...)) {
				errs = append(errs, s.see(sight)...)
			}
			expect(t, append(errs, s.check(listed, events)...), test.wrong)
		})
	}
}
