package cache

import (
	"math"
	"slices"
)

// table holds the resources of one scope and type, and which of them changed when.
type table struct {
	kind *kind
	// entries are the resources, and the removed ones that a stream may have to be told of.
	entries map[string]entry
	removed int    // how many of the entries are removed
	sum     uint64 // of the resources that are not
	// parked names the resources that are parked, and spare those that some stream has acknowledged while what was good before
	// is still there. Verdicts counts changes of what is served of
	// resources that stay the same.
	parked, spare map[string]struct{}
	verdicts      int64

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
	setAt   int64     // revision at which it was set
	rev     int64     // revision of the last change: setAt, or the removal
	removed bool
	// acked says that some stream has acknowledged res, and parked why it is not sent to streams that haven't got it.
	acked  bool
	parked *parking
	// good is the last resource before res that some stream acknowledged and none rejected, as long as one may need it. A
	// stream that was sent all changes up to a revision from goodFrom on and before goodUntil has it. It may be res itself,
	// if that is parked and some accepted it.
	good                *Resource
	goodFrom, goodUntil int64
	// usesFrom is the revision after which nothing may be removed that good may use.
	usesFrom int64
	// replacedAt is the revision at which the last resource was replaced that is known to be good, or not to be. What was
	// published later, and acknowledged, is better than good.
	replacedAt int64
}

// is reports whether a version is that of the resource or of what is good.
func (e *entry) is(version string) bool {
	return e.res.Version() == version || e.good != nil && e.good.Version() == version
}

// parking is the reason why a version is parked: a rejection, or else Park.
type parking struct {
	at       int64 // revision, of no change in the log
	rejected *Rejection
}

// withheld reports whether the resource is parked, and another one, or none, is served instead. Otherwise it is sent to all that have
// not rejected it.
func (e *entry) withheld() bool {
	return e.parked != nil && (e.good == nil || e.good.version != e.res.version)
}

// goodUses returns the revision after which nothing may be removed that good may use.
func (e *entry) goodUses() int64 {
	if e.good == nil {
		return math.MaxInt64
	}
	return e.usesFrom
}

type change struct {
	rev  int64
	name string
}

// set changes a resource at a revision and reports whether it differs from what was there.
func (t *table) set(r *Resource, rev int64) bool {
	e, ok := t.entries[r.Name()]
	next := entry{res: r, setAt: rev, rev: rev, replacedAt: rev}
	switch {
	case ok && !e.removed:
		if e.res.Version() == r.Version() {
			return false
		}
		t.sum -= e.res.sum
		next.inherit(e)
	case ok:
		t.removed--
	}
	t.sum += r.sum
	t.change(r.Name(), next)
	return true
}

// inherit takes over what is good from the entry that this one replaces.
func (e *entry) inherit(last entry) {
	e.good, e.goodFrom, e.goodUntil, e.usesFrom = last.good, last.goodFrom, last.goodUntil, last.usesFrom
	if !last.acked && last.parked == nil {
		e.replacedAt = last.replacedAt
	}
	if last.acked && last.parked == nil || last.parked != nil && !last.withheld() {
		e.good, e.goodFrom, e.goodUntil, e.usesFrom = last.res, last.rev, e.rev, e.rev-1
	}
	if e.good != nil && e.good.Version() == e.res.Version() {
		e.good, e.acked = nil, true
	}
}

// remove removes a resource at a revision and reports whether it was there.
func (t *table) remove(name string, rev int64) bool {
	e, ok := t.entries[name]
	if !ok || e.removed {
		return false
	}
	t.sum -= e.res.sum
	t.removed++
	e.rev, e.removed = rev, true
	if e.parked == nil || t.kind.consumer { // who doesn't have it gets nothing, and so uses nothing
		e.good = nil
	}
	t.change(name, e)
	return true
}

// store replaces an entry whose resource stays the same.
func (t *table) store(name string, e entry) {
	if e.parked != nil || t.entries[name].parked != nil {
		t.verdicts++
	}
	t.entries[name] = e
	if e.parked == nil {
		delete(t.parked, name)
	} else {
		t.parked[name] = struct{}{}
	}
	if e.parked == nil && e.good != nil && e.acked {
		t.spare[name] = struct{}{}
	}
}

// free drops what was good before resources that some stream has acknowledged, when no stream can reject them any more.
func (t *table) free() {
	for name := range t.spare {
		if e := t.entries[name]; e.parked == nil && e.acked && !e.removed {
			e.good = nil
			t.entries[name] = e
		}
	}
	clear(t.spare)
}

// heldBack returns the revision after which nothing may be removed that something of this table uses: what is served
// instead of a parked resource may use what was removed since.
func (t *table) heldBack() int64 {
	limit := int64(math.MaxInt64)
	for name := range t.parked {
		if e := t.entries[name]; e.withheld() {
			limit = min(limit, e.rev-1, e.goodUses())
		}
	}
	return limit
}

// mayHoldBack is what heldBack would return if everything were parked.
func (t *table) mayHoldBack() int64 {
	limit := t.heldBack()
	for _, e := range t.entries {
		if e.parked == nil && !e.removed {
			limit = min(limit, e.goodUses())
		}
	}
	return limit
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
		t.entries, t.parked, t.spare = map[string]entry{}, map[string]struct{}{}, map[string]struct{}{}
	}
	t.entries[name] = e
	delete(t.parked, name)
	delete(t.spare, name)
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
