package cache

import (
	"slices"
	"time"
)

// Rejection is what a client has said of a resource that is published.
type Rejection struct {
	// Scope is that in which the resource is published: the base, if it is seen from there.
	Scope string
	Name  Name
	// Version is what is published, and rejected, and Message what the client said.
	Version, Message string
	// Good is what streams get instead that haven't got that version: the last one that some stream has acknowledged, which is
	// that version itself if others have accepted it and nothing older is known. It is nil if there is none.
	Good *Resource
	// Node is what the stream was opened with.
	Node any
}

// RejectedResource is a resource that a stream rejected, or its removal. It is what is published or what is served instead.
type RejectedResource struct {
	Name             Name
	Version, Message string
}

// Delivery says how far a scope has got to the streams that were opened for it.
type Delivery struct {
	// Version is that of what is published, which is equal on all replicas that publish the same.
	Version string
	// Streams are open, Current of them have acknowledged all that is published of what they subscribe to, and Rejecting have
	// rejected some of it. The others are on their way, or have been served something older instead of what others rejected.
	Streams, Current, Rejecting int
	// New is how many of the others have only just been opened, by clients that neither have nor are served anything else than what
	// is published: they have never been current nor rejected anything, and nothing has been published since. Late is how many haven't
	// been current for longer than that may take.
	New, Late int
}

// OnReject has f called when a client rejects what is published, and when there comes to be a good version of that.
//
// Like all hooks it is set before the cache is used, and should be quick. It is called with no lock held, one call at a time for
// a scope and those that lie over it, in the order in which things happen, perhaps after what made them happen has returned.
func (c *Cache) OnReject(f func(Rejection)) { c.onReject = f }

// OnLift has f called when a version that was parked is no longer what is published: another one is, or none.
func (c *Cache) OnLift(f func(scope string, name Name, version string)) { c.onLift = f }

// OnDelivery has f called when the Delivery of a scope may have changed.
func (c *Cache) OnDelivery(f func(scope string)) { c.onDelivery = f }

// OnCurrent has f called when a client has acknowledged all that is published of what it subscribes to, with the time that it had
// not: since something of that was published, or it subscribed to more, or the stream began.
func (c *Cache) OnCurrent(f func(after time.Duration)) { c.onCurrent = f }

// Park has a version of a resource not sent to streams that haven't got it, as if a client had rejected it: they get what is known
// here to be good, or, if nothing is, good, which may be nil. Needs are all that good uses (see Needs): it may never have been
// published here, so what isn't there of that is served to those streams too. It is remembered if that version isn't published yet,
// until it has been, or Unpark. Parking again changes nothing, unless there was nothing good.
func (c *Cache) Park(scope string, name Name, version string, good *Resource, needs ...*Resource) {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.unlock()
	e, ok := s.table(name.TypeURL).entries[name.Name]
	if ok && !e.removed && e.res.Version() == version {
		s.park(name, replacement{good, needs}, nil)
		s.tellChanged()
		return
	}
	if s.remembered[name] == nil {
		s.remembered[name] = map[string]replacement{}
	}
	if s.remembered[name][version].good == nil {
		s.remembered[name][version] = replacement{good, needs}
	}
}

// replacement is what is served instead of a version that somebody else parked, and what that uses.
type replacement struct {
	good  *Resource
	needs []*Resource
}

// Unpark takes back Park, and what clients said. A version that is published is sent to the streams that haven't got it, except for
// those that rejected it themselves.
func (c *Cache) Unpark(scope string, name Name, version string) {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.unlock()
	s.forget(name, version)
	t := s.table(name.TypeURL)
	if e := t.entries[name.Name]; e.parked != nil && !e.removed && e.res.Version() == version {
		s.offer(name)
		e.parked = nil
		t.store(name.Name, e)
		s.retell()
		s.tellChanged()
	}
}

// forget forgets that a version is to be parked.
func (s *scope) forget(name Name, version string) {
	if delete(s.remembered[name], version); len(s.remembered[name]) == 0 {
		delete(s.remembered, name)
	}
}

// publisher returns the scope in which a resource is published, this one or the one that it lies over; or nil.
func (s *scope) publisher(r *Resource) *scope {
	for ; s != nil; s = s.base {
		e, ok := s.table(r.TypeURL()).entries[r.Name()]
		if ok && !e.removed && e.res.Version() == r.Version() {
			return s
		}
	}
	return nil
}

// park parks what is published under a name, because of a rejection or at somebody's request. What is good is what is known, because
// that was published here and what it uses is kept; or what is told; or the version itself if some stream has acknowledged it.
func (s *scope) park(name Name, told replacement, because *Rejection) {
	t := s.table(name.TypeURL)
	e := t.entries[name.Name]
	if e.parked != nil && (e.good != nil || told.good == nil) {
		return
	}
	if e.parked == nil {
		s.rev++
		e.parked = &parking{at: s.rev, rejected: because}
	} else {
		s.offer(name)
	}
	switch {
	case e.good != nil:
	case told.good != nil:
		e.good, e.goodFrom, e.goodUntil, e.usesFrom = told.good, 0, 0, e.setAt-1
		s.keep(told.needs, e.usesFrom)
	case e.acked:
		e.good = e.res
	}
	t.store(name.Name, e)
	s.retell()
}

// keep has resources that aren't published, and weren't after a revision, kept as if they had been removed just now.
func (s *scope) keep(needs []*Resource, after int64) {
	for _, r := range needs {
		if e, ok := s.views[kindOf(r.TypeURL())].entry(r.Name()); ok && (!e.removed || e.rev > after) {
			continue
		}
		t := s.table(r.TypeURL())
		t.set(r, s.rev+1)
		t.remove(r.Name(), s.rev+2)
		s.rev += 2
	}
}

// acknowledge notes that a stream has acknowledged a resource that was published at a revision.
func (s *scope) acknowledge(r *Resource, at int64) {
	in := s.publisher(r)
	if in == nil {
		s.acknowledgeLate(r, at)
		return
	}
	t := in.table(r.TypeURL())
	if e := t.entries[r.Name()]; !e.acked {
		e.acked = true
		in.improve(e, r)
	}
}

// acknowledgeLate notes that a stream has acknowledged a resource that another one has replaced in the meantime, which is good
// if it is newer than what is known to be, and than what was rejected.
func (s *scope) acknowledgeLate(r *Resource, at int64) {
	for ; s != nil; s = s.base {
		t := s.table(r.TypeURL())
		if !t.has(r.Name()) {
			continue
		}
		e := t.entries[r.Name()]
		needed := e.good != nil && e.parked == nil || e.good == nil && !e.acked
		if needed && at >= e.replacedAt && at < e.rev {
			last := e
			last.good, last.goodFrom, last.goodUntil, last.replacedAt = r, at, at+1, at+1
			last.usesFrom = min(at, e.setAt-1)
			s.improve(last, r)
		}
		return
	}
}

// rejectLate notes that a stream has rejected a resource that another one has replaced in the meantime: it doesn't get to be good.
func (s *scope) rejectLate(r *Resource) {
	for ; s != nil; s = s.base {
		t := s.table(r.TypeURL())
		if e := t.entries[r.Name()]; t.has(r.Name()) && !e.is(r.Version()) {
			e.replacedAt = e.setAt
			t.entries[r.Name()] = e
		}
	}
}

// improve stores an entry of which more good is known than before. If there was nothing good, and the resource is parked, the
// one that is acknowledged now is served from now on.
func (s *scope) improve(e entry, acknowledged *Resource) {
	t, name := s.table(acknowledged.TypeURL()), Name{acknowledged.TypeURL(), acknowledged.Name()}
	if last := t.entries[name.Name]; last.parked != nil && last.good == nil {
		s.offer(name)
		s.retell()
		e.good = acknowledged
		if rejected := e.parked.rejected; rejected != nil {
			again := *rejected
			again.Good = e.good
			s.raiseRejected(again)
		}
	} else if e.good != last.good {
		s.offer(name) // to who rejected what has been unparked since
	}
	t.store(name.Name, e)
}

// offer has the streams that lack what is published under a name, or rejected it, answered once more.
func (s *scope) offer(name Name) {
	kind := kindOf(name.TypeURL)
	for st := range s.readers() {
		w := st.watches[kind]
		if w == nil || w.fresh || !subscribed(w.sub, name.Name) {
			continue
		}
		if e, _ := w.view.entry(name.Name); w.hasRejected(name.Name, e.res.Version()) || e.withheld() && !w.has(name.Name, e) {
			w.lack(e.res)
			w.resend([]string{name.Name})
			s.retell()
		}
	}
}

// retell has the streams looked at that read the scope, after what is being done now: what they are served has changed.
func (s *scope) retell() {
	if !slices.Contains(s.changed, s) {
		s.changed = append(s.changed, s)
	}
}

// tellChanged looks at the streams of scopes in which what is served has changed.
func (s *scope) tellChanged() {
	for len(s.changed) > 0 {
		changed := s.changed[0]
		s.changed = s.changed[1:]
		changed.tell()
	}
	s.changed = nil
}
