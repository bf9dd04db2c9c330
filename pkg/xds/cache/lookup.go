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

// Version returns the version of what Resource returns; empty if that is nothing.
func (c *Cache) Version(scope string, name Name) string {
	if r := c.Resource(scope, name); r != nil {
		return r.Version()
	}
	return ""
}
