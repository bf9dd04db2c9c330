package cache

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// counts says how far a stream is.
type counts struct {
	// unsettled: the client has to be sent something, or has not said what it thinks of it.
	unsettled bool
	// current and rejecting are as in Delivery.
	current, rejecting bool
	// short: it is served something older than what is published, because that is parked.
	short bool
}

// Delivery returns how far a scope has got.
func (c *Cache) Delivery(scope string) Delivery {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delivery()
}

func (s *scope) delivery() Delivery {
	var sums []byte
	for i := range s.views {
		sums = binary.LittleEndian.AppendUint64(sums, s.views[i].sum())
	}
	return Delivery{Version: version(xxhash.Sum64(sums)), Streams: len(s.streams) - s.observers, Current: s.current, Rejecting: s.rejecting,
		New: s.lag.new, Late: s.lag.late}
}

// Current reports whether the client has acknowledged all that is published of what it subscribes to, and rejected none of it.
func (s *Stream) Current() bool {
	s.scope.mu.Lock()
	defer s.scope.mu.Unlock()
	return s.current
}

// Acknowledged returns the version of each type, by type URL, up to which the client has acknowledged everything.
func (s *Stream) Acknowledged() map[string]string {
	s.scope.mu.Lock()
	defer s.scope.mu.Unlock()
	out := map[string]string{}
	for _, w := range s.watches {
		switch {
		case w == nil:
		case w.answeredAll() && !w.fresh && len(w.rejected) == 0:
			out[w.kind.typeURL] = w.view.version()
		case w.version != "":
			out[w.kind.typeURL] = w.version
		}
	}
	return out
}

// Rejected returns what the client has rejected of what is published, or of what it was served instead, by type and name.
func (s *Stream) Rejected() []RejectedResource {
	s.scope.mu.Lock()
	defer s.scope.mu.Unlock()
	var out []RejectedResource
	for _, w := range s.watches {
		if w == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(w.rejected)) {
			if r := w.rejected[name]; w.rejects(name, r) {
				out = append(out, RejectedResource{Name{w.kind.typeURL, name}, r.versions[len(r.versions)-1], r.message})
			}
		}
	}
	return out
}

// answeredAll reports whether the client has been sent everything, or is to be sent everything anew, and has answered.
func (w *watch) answeredAll() bool {
	return len(w.pending) == 0 && len(w.again) == 0 && w.waits == 0 && (w.fresh || w.view.rev() <= w.set)
}

// count brings what is counted of the stream up to date. It is called whenever something of that may have changed.
func (s *Stream) count() {
	s.counted(s.recount())
}

// recount is what count should come to.
func (s *Stream) recount() counts {
	c := counts{current: s.watches != [len(kinds)]*watch{}}
	for _, w := range s.watches {
		if w == nil {
			continue
		}
		w.tidy()
		c.unsettled = c.unsettled || !w.answeredAll()
		for name, r := range w.rejected {
			c.rejecting = c.rejecting || w.rejects(name, r)
		}
		c.short = c.short || !w.fresh && w.short()
		c.current = c.current && w.answeredAll() && !w.fresh && len(w.stale) == 0
	}
	c.current = c.current && !c.rejecting && !c.short
	if s.observes {
		c.current, c.rejecting, c.short = false, false, false
	}
	return c
}

// uncount takes a stream that is closed out of what is counted.
func (s *Stream) uncount() {
	s.counted(counts{})
	s.scope.overtakes(s)
	s.scope.moved()
}

func (s *Stream) counted(c counts) {
	in, last := s.scope, s.counts
	if last == c {
		return
	}
	s.counts = c
	switch {
	case c.current && !last.current:
		in.raiseCurrent(time.Since(s.since))
		in.overtakes(s)
	case last.current && !c.current:
		s.since = time.Now()
		in.lags(s)
	}
	if c.rejecting || c.short {
		in.isKnown(s)
	}
	if s.moved != nil && (c.current != last.current || c.rejecting != last.rejecting) {
		in.raise(s.moved)
	}
	in.unsettled += step(last.unsettled, c.unsettled)
	if in.base != nil {
		in.base.unsettled += step(last.unsettled, c.unsettled)
	}
	in.current += step(last.current, c.current)
	in.rejecting += step(last.rejecting, c.rejecting)
	in.moved()
}

func step(from, to bool) int {
	switch {
	case from == to:
		return 0
	case to:
		return 1
	}
	return -1
}
