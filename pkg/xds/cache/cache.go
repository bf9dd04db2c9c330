package cache

import (
	"sync"
)

// Cache holds the resources of every scope. It is safe for concurrent use; scopes don't wait for each other.
type Cache struct {
	mu     sync.Mutex
	scopes map[string]*scope
	// keep bounds the removed resources that a scope remembers, by type, for streams that are slow to acknowledge.
	keep int
}

// New returns a cache without scopes.
func New() *Cache {
	return &Cache{scopes: map[string]*scope{}, keep: 1 << 14}
}

// Publish changes a scope, which exists from then on, be it empty, and answers the streams that wait for it. It returns
// when the responses are with the streams, and blocks on no client. Publishing a resource of a type that is not served
// (all but Cluster, ClusterLoadAssignment, Secret, Listener and RouteConfiguration) panics.
func (c *Cache) Publish(scope string, u Update) {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = true
	s.apply(u)
	s.tell()
}

// Withdraw ends a scope: its streams are told that everything is removed, and streams that come later are not answered,
// as for a scope that has never been published.
func (c *Cache) Withdraw(scope string) {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	var u Update
	for _, r := range s.resources() {
		u.Delete = append(u.Delete, Name{r.TypeURL(), r.Name()})
	}
	s.apply(u)
	s.tell()
	s.published = false
}

// Published reports whether a scope has been published, and not withdrawn since.
func (c *Cache) Published(scope string) bool {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published
}

// Resources returns what a scope holds: clusters, endpoints, secrets, listeners, routes, each sorted by name.
func (c *Cache) Resources(scope string) []*Resource {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resources()
}

// Stream returns the view that one xDS stream has of a scope, which need not have been published. The caller closes it.
func (c *Cache) Stream(scope string) *Stream {
	s := c.acquire(scope)
	st := &Stream{cache: c, scope: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[st] = struct{}{}
	return st
}

// acquire returns the scope of a name, which stays in the cache until it is released.
func (c *Cache) acquire(name string) *scope {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.scopes[name]
	if s == nil {
		s = &scope{name: name, keep: c.keep, streams: map[*Stream]struct{}{}}
		c.scopes[name] = s
	}
	s.users++
	return s
}

// release forgets a scope that nobody uses and that holds nothing.
func (c *Cache) release(s *scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.published {
		delete(c.scopes, s.name)
	}
}

// scope is a set of resources that some clients may see, and the streams of those clients.
type scope struct {
	name  string
	users int // guarded by Cache.mu
	keep  int

	mu        sync.Mutex
	published bool
	rev       int64 // the number of changes so far
	tables    [len(kinds)]table
	streams   map[*Stream]struct{}
}

// apply makes the changes of an update. Each has a revision of its own, in the order of the update.
func (s *scope) apply(u Update) {
	for _, r := range u.Set {
		if s.table(r.TypeURL()).set(r, s.rev+1) {
			s.rev++
		}
	}
	for _, n := range u.Delete {
		if s.table(n.TypeURL).remove(n.Name, s.rev+1) {
			s.rev++
		}
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
	for st := range s.streams {
		st.flush() // an error is about the stream alone, and comes again with its next request
	}
	for i := range s.tables {
		if t := &s.tables[i]; len(t.log) > t.trimAt {
			t.trim(s.told(i), s.keep)
		}
	}
}

// told returns the revision up to which every stream has been sent the changes of a type.
func (s *scope) told(kind int) int64 {
	told := s.rev
	for st := range s.streams {
		if w := st.watches[kind]; w != nil && !w.fresh {
			told = min(told, w.removed)
		}
	}
	return told
}

func (s *scope) resources() []*Resource {
	var out []*Resource
	for i := range s.tables {
		out = append(out, s.tables[i].everything().set...)
	}
	return out
}
