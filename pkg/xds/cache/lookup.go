package cache

// Resource returns what is published in a scope by a name, be it parked or not, or nil if nothing is. Of one that lies over another,
// that is what it has itself.
func (c *Cache) Resource(scope string, name Name) *Resource {
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := kindOf(name.TypeURL)
	if i < 0 || !s.tables[i].has(name.Name) {
		return nil
	}
	return s.tables[i].entries[name.Name].res
}

// Needs returns the clusters that a listener or a route table uses, and their endpoints, as far as they are there, as the streams of
// a scope see them that are served something older than what is published: what is removed too, while it is kept for such streams.
func (c *Cache) Needs(scope string, r *Resource) []*Resource {
	names := clustersOf(r)
	s := c.acquire(scope)
	defer c.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Resource
	shared := map[string]bool{"": true} // endpoints that several clusters have
	for _, name := range names {
		cluster := s.views[clusters].newest(name)
		if cluster == nil {
			continue
		}
		out = append(out, cluster)
		if shared[cluster.endpoints] {
			continue
		}
		shared[cluster.endpoints] = true
		if r := s.views[endpoints].newest(cluster.endpoints); r != nil {
			out = append(out, r)
		}
	}
	return out
}

// newest returns what new streams are served of a name, removed or not, or nil.
func (v *view) newest(name string) *Resource {
	e, ok := v.entry(name)
	switch {
	case !ok:
		return nil
	case e.withheld():
		return e.good
	}
	return e.res
}

// Version returns the version of what Resource returns; empty if that is nothing.
func (c *Cache) Version(scope string, name Name) string {
	if r := c.Resource(scope, name); r != nil {
		return r.Version()
	}
	return ""
}
