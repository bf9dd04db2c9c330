package cache

import "slices"

// table holds the resources of one scope and type, and which of them changed when.
type table struct {
	// entries are the resources, and the removed ones that a stream may have to be told of.
	entries map[string]entry
	removed int    // how many of the entries are removed
	sum     uint64 // of the resources that are not

	rev int64 // revision of the last change
	// log lists changes by revision. Those that every stream has been told of are trimmed, and then those that a later
	// change of the same name supersedes.
	log    []change
	trimAt int // length of the log at which it is worth trimming
	// forgotten is the revision up to which removed entries have been dropped.
	forgotten int64
}

type entry struct {
	res     *Resource // for a removed entry the last one
	rev     int64
	removed bool
}

type change struct {
	rev  int64
	name string
}

// set changes a resource at a revision and reports whether it differs from what was there.
func (t *table) set(r *Resource, rev int64) bool {
	e, ok := t.entries[r.Name()]
	if ok && !e.removed {
		if e.res.Version() == r.Version() {
			return false
		}
		t.sum -= e.res.sum
	} else if ok {
		t.removed--
	}
	t.sum += r.sum
	t.change(r.Name(), entry{res: r, rev: rev})
	return true
}

// remove removes a resource at a revision and reports whether it was there.
func (t *table) remove(name string, rev int64) bool {
	e, ok := t.entries[name]
	if !ok || e.removed {
		return false
	}
	t.sum -= e.res.sum
	t.removed++
	t.change(name, entry{res: e.res, rev: rev, removed: true})
	return true
}

// live returns the resources, in no order, but for those of whose names another table has one; it may be nil.
func (t *table) live(but *table) []*Resource {
	out := make([]*Resource, 0, len(t.entries)-t.removed)
	for name, e := range t.entries {
		if !e.removed && (but == nil || !but.has(name)) {
			out = append(out, e.res)
		}
	}
	return out
}

func (t *table) has(name string) bool {
	e, ok := t.entries[name]
	return ok && !e.removed
}

func (t *table) change(name string, e entry) {
	if t.entries == nil {
		t.entries = map[string]entry{}
	}
	t.entries[name] = e
	t.rev = e.rev
	t.log = append(t.log, change{e.rev, name})
}

// after returns the part of the log that is newer than a revision.
func (t *table) after(rev int64) []change {
	i, _ := slices.BinarySearchFunc(t.log, rev, func(c change, rev int64) int {
		if c.rev <= rev {
			return -1
		}
		return 1
	})
	return t.log[i:]
}

// trim drops from the log what every stream has been told of, that is, what is not newer than told. What is left it bounds
// to one change for each resource and to keep removals, the newest ones.
func (t *table) trim(told int64, keep int) {
	var log []change
	for _, c := range t.log {
		e, ok := t.entries[c.name]
		switch {
		case !ok || e.rev != c.rev: // a later change supersedes this one
		case e.removed && (c.rev <= told || t.removed > keep):
			delete(t.entries, c.name)
			t.removed--
			t.forgotten = c.rev
		case c.rev > told:
			log = append(log, c)
		}
	}
	t.log = log
	t.trimAt = max(minTrim, 2*len(log))
}

// minTrim is the length of a log that is not worth trimming.
const minTrim = 64
