package cache

import (
	"iter"
	"math"
	"strings"
	"sync"
	"time"
)

// Cache holds the resources of every scope. It is safe for concurrent use; scopes don't wait for each other.
type Cache struct {
	mu     sync.Mutex
	scopes map[string]*scope
	bases  []string
	// keep bounds the removed resources that a scope remembers, by type, for streams that are slow to acknowledge.
	keep int

	onReject   func(Rejection)
	onLift     func(scope string, name Name, version string)
	onDelivery func(scope string)
	onCurrent  func(after time.Duration)
}

// New returns a cache without scopes.
//
// A scope whose name begins with that of one of bases and a slash lies over it: its streams see what is in the base too, but for
// resources of whose names it has one of its own. So what many scopes have in common is kept once, and a change to it costs what
// it costs the streams.
func New(bases ...string) *Cache {
	return &Cache{scopes: map[string]*scope{}, bases: bases, keep: 1 << 14}
}

// Publish changes a scope, which exists from then on, be it empty, and answers the streams that wait for it. It returns
// when the responses are with the streams, and blocks on no client. Publishing a resource of a type that is not served
// (all but Cluster, ClusterLoadAssignment, Secret, Listener and RouteConfiguration) panics.
func (c *Cache) Publish(scope string, u Update) {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.unlock()
	s.published = true
	s.apply(u)
	s.tell()
	s.tellChanged()
}

// Withdraw ends a scope: its streams are told that everything is removed, and streams that come later are not answered,
// as for a scope that has never been published. Of one that lies over another, that one is left.
func (c *Cache) Withdraw(scope string) {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.unlock()
	var u Update
	for i := range s.tables {
		for _, r := range s.tables[i].live(nil) {
			u.Delete = append(u.Delete, Name{r.TypeURL(), r.Name()})
		}
	}
	s.apply(u)
	s.tell()
	s.tellChanged()
	s.published = false
}

// Published reports whether a scope has been published, and not withdrawn since, or the one that it lies over.
func (c *Cache) Published(scope string) bool {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exists()
}

// Resources returns what is published for the streams of a scope, parked or not: clusters, endpoints, secrets, listeners, routes, each sorted by name.
func (c *Cache) Resources(scope string) []*Resource {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resources()
}

// Stream returns the view that one xDS stream has of a scope, which need not have been published. The caller closes it. Rejections
// name the node, which may be anything. Until the stream is closed, moved is called as hooks are when it has become Current, or isn't any
// more, or when it begins or ceases to reject something; unless it is nil.
func (c *Cache) Stream(scope string, node any, moved func()) *Stream {
	return c.open(scope, &Stream{node: node, moved: moved})
}

// Observer opens a stream of a client that serves nothing of what it is sent: it isn't in the Delivery of the scope, and what it
// acknowledges or rejects makes nothing good or bad.
func (c *Cache) Observer(scope string, node any) *Stream {
	return c.open(scope, &Stream{node: node, observes: true})
}

func (c *Cache) open(scope string, st *Stream) *Stream {
	s := c.acquire(scope)
	st.cache, st.scope, st.since = c, s, time.Now()
	s.mu.Lock()
	defer s.unlock()
	s.streams[st] = struct{}{}
	if st.observes {
		s.observers++
	} else {
		s.opens(st)
		s.moved()
	}
	return st
}

// acquire returns the scope of a name, which stays in the cache until it is released.
func (c *Cache) acquire(name string) *scope {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.enter(name)
}

func (c *Cache) enter(name string) *scope {
	s := c.scopes[name]
	if s == nil {
		s = newScope(c, name, c.baseOf(name))
		c.scopes[name] = s
	}
	s.users++
	return s
}

// baseOf returns the scope that another one lies over, and uses it; or nil.
func (c *Cache) baseOf(name string) *scope {
	for _, base := range c.bases {
		if strings.HasPrefix(name, base+"/") {
			return c.enter(base)
		}
	}
	return nil
}

// release forgets a scope that nobody uses and that holds nothing.
func (c *Cache) release(s *scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(s)
}

func (c *Cache) leave(s *scope) {
	if s.users--; s.users > 0 || !s.end() {
		return
	}
	delete(c.scopes, s.name)
	if s.base != nil {
		c.leave(s.base)
	}
}

// scope is a set of resources that some clients may see, and the streams of those clients.
type scope struct {
	cache *Cache
	name  string
	users int    // guarded by Cache.mu
	base  *scope // that it lies over, or nil

	*history
	over      map[*scope]struct{} // those that lie over it
	published bool
	tables    [len(kinds)]table
	views     [len(kinds)]view
	// remembered are versions to be parked when they are published, with what is good instead.
	remembered map[Name]map[string]replacement

	streams map[*Stream]struct{}
	// observers is how many of them aren't counted.
	observers int
	// How many of the streams are current and rejecting, and how many of the readers unsettled.
	current, rejecting, unsettled int
	lag                           lag
}

// history is shared by a scope and those that lie over it. Its lock guards what is below it in each of them.
type history struct {
	mu  sync.Mutex
	rev int64 // the number of changes so far
	// changed are scopes in which something is served that was not, or not any more.
	changed []*scope

	// events are what hooks are to be told of, and told the scopes among that; calling says that they are being called.
	events  []func()
	told    map[*scope]struct{}
	calling bool
}

func newScope(c *Cache, name string, base *scope) *scope {
	s := &scope{cache: c, name: name, base: base, remembered: map[Name]map[string]replacement{}, over: map[*scope]struct{}{}, streams: map[*Stream]struct{}{}}
	for i := range s.views {
		s.tables[i].kind = &kinds[i]
		s.views[i].own = &s.tables[i]
	}
	if base == nil {
		s.history = &history{told: map[*scope]struct{}{}}
		return s
	}
	s.history = base.history
	s.mu.Lock()
	defer s.mu.Unlock()
	base.over[s] = struct{}{}
	for i := range s.views {
		s.views[i].base = &base.tables[i]
	}
	return s
}

// end reports whether the scope, which nobody uses, holds nothing, and lets go of the one that it lies over if so.
func (s *scope) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.published || len(s.remembered) > 0 {
		return false
	}
	if s.base != nil {
		delete(s.base.over, s)
	}
	return true
}

// exists says that the scope has been published, or the one that it lies over.
func (s *scope) exists() bool { return s.published || s.base != nil && s.base.published }

// apply makes the changes of an update. Each has a revision of its own, in the order of the update.
func (s *scope) apply(u Update) {
	before := s.rev
	for _, r := range u.Set {
		s.set(r)
	}
	for _, n := range u.Delete {
		t := s.table(n.TypeURL)
		last := t.entries[n.Name]
		if t.remove(n.Name, s.rev+1) {
			s.rev++
			s.lifted(n, last)
		}
	}
	if s.rev == before {
		return
	}
	s.replaced()
	for over := range s.over {
		over.replaced()
	}
}

// set changes a resource, which lifts what was parked, and parks it if that is remembered.
func (s *scope) set(r *Resource) {
	t := s.table(r.TypeURL())
	last := t.entries[r.Name()]
	if !t.set(r, s.rev+1) {
		return
	}
	s.rev++
	name := Name{r.TypeURL(), r.Name()}
	s.lifted(name, last)
	if told, ok := s.remembered[name][r.Version()]; ok {
		s.forget(name, r.Version())
		s.park(name, told, nil)
	}
}

// lifted tells that an entry is not what is published any more.
func (s *scope) lifted(name Name, last entry) {
	if last.parked != nil && !last.removed {
		s.raiseLifted(name, last.res.Version())
	}
}

func (s *scope) table(typeURL string) *table {
	i := kindOf(typeURL)
	if i < 0 {
		panic("xds cache: resources of type " + typeURL + " are not served")
	}
	return &s.tables[i]
}

// tell answers the streams that wait for a change, and drops what all of them know from the logs.
func (s *scope) tell() {
	for st := range s.readers() {
		st.flush()
	}
	for i := range s.tables {
		if t := &s.tables[i]; len(t.log) > t.trimAt {
			t.trim(min(s.toldAll(i), s.mayUse(i)), s.cache.keep)
		}
	}
}

// toldAll returns the revision up to which every stream has been sent the changes of a type.
func (s *scope) toldAll(kind int) int64 {
	told := s.rev
	for st := range s.readers() {
		if w := st.watches[kind]; w != nil && !w.fresh {
			told = min(told, w.told())
		}
	}
	return told
}

// mayUse returns the revision after which no resource of a type may be forgotten that was removed: what is served instead of
// something that is parked, or comes to be, may use it.
func (s *scope) mayUse(kind int) int64 {
	limit := int64(math.MaxInt64)
	for i := range kinds {
		if !kinds[i].uses(&kinds[kind]) {
			continue
		}
		limit = min(limit, s.tables[i].mayHoldBack())
		if s.base != nil {
			limit = min(limit, s.base.tables[i].mayHoldBack())
		}
		for over := range s.over {
			limit = min(limit, over.tables[i].mayHoldBack())
		}
	}
	return limit
}

// readers yields the streams that see what is in the scope: its own, and those of scopes that lie over it.
func (s *scope) readers() iter.Seq[*Stream] {
	return func(yield func(*Stream) bool) {
		for st := range s.streams {
			if !yield(st) {
				return
			}
		}
		for over := range s.over {
			for st := range over.streams {
				if !yield(st) {
					return
				}
			}
		}
	}
}

func (s *scope) resources() []*Resource {
	var out []*Resource
	for i := range s.views {
		out = append(out, s.views[i].everything().set...)
	}
	return out
}
