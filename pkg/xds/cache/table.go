package cache

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

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

	// What streams share, until the next change: all resources sorted by name, and the last answer of since.
	all     *difference
	allAny  []*anypb.Any
	recent  *difference
	recents span
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

// difference is what a client has to be sent. Streams share it, so its slices are not written to.
type difference struct {
	set     []*Resource
	msgs    []*discoveryv3.Resource // of set
	removed []string
}

func (d *difference) empty() bool { return len(d.set)+len(d.removed) == 0 }

// span selects changes: what was set after one revision, and what was removed after another one, which is not newer, up to
// a limit.
type span struct{ set, removed, limit int64 }

// ErrBehind reports that removals which the stream has not been told of are forgotten. Its client reconnects and says
// which resources it has, so that the difference is known again.
var ErrBehind = errors.New("the stream is too far behind: reconnect")

func (t *table) get(name string) *Resource {
	if e := t.entries[name]; !e.removed {
		return e.res
	}
	return nil
}

// shown is get, but as if what was removed after the limit were still there.
func (t *table) shown(name string, limit int64) *Resource {
	if e := t.entries[name]; !e.removed || e.rev > limit {
		return e.res
	}
	return nil
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

func (t *table) change(name string, e entry) {
	if t.entries == nil {
		t.entries = map[string]entry{}
	}
	t.entries[name] = e
	t.rev = e.rev
	t.log = append(t.log, change{e.rev, name})
	t.all, t.allAny, t.recent = nil, nil, nil
}

// version names the content of the table.
func (t *table) version() string { return version(t.sum) }

func version(sum uint64) string { return fmt.Sprintf("%016x", sum) }

// everything returns all resources, sorted by name.
func (t *table) everything() *difference {
	if t.all == nil {
		d := &difference{set: make([]*Resource, 0, len(t.entries)-t.removed)}
		for _, e := range t.entries {
			if !e.removed {
				d.set = append(d.set, e.res)
			}
		}
		slices.SortFunc(d.set, func(a, b *Resource) int { return cmp.Compare(a.Name(), b.Name()) })
		d.msgs = messages(d.set)
		t.all = d
	}
	return t.all
}

// anys returns all resources as state-of-the-world responses carry them.
func (t *table) anys() []*anypb.Any {
	if t.allAny == nil {
		for _, r := range t.everything().set {
			t.allAny = append(t.allAny, r.Any())
		}
		t.allAny = slices.Clip(t.allAny)
	}
	return t.allAny
}

func messages(rs []*Resource) []*discoveryv3.Resource {
	out := make([]*discoveryv3.Resource, len(rs))
	for i, r := range rs {
		out[i] = r.msg
	}
	return out
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

// since returns what changed in a span, each name once and in its latest state. Most streams are at the same revision
// when a change is published, so the last answer is kept.
func (t *table) since(s span) *difference {
	s.limit = min(s.limit, t.rev)
	if t.recent != nil && t.recents == s {
		return t.recent
	}
	d := &difference{}
	for _, c := range t.after(s.removed) {
		e, ok := t.entries[c.name]
		switch {
		case !ok || e.rev != c.rev: // a later change supersedes this one
		case e.removed && e.rev <= s.limit:
			d.removed = append(d.removed, c.name)
		case !e.removed && e.rev > s.set:
			d.set = append(d.set, e.res)
		}
	}
	d.msgs = messages(d.set)
	t.recent, t.recents = d, s
	return d
}

// withheld returns the resources that were removed after a limit.
func (t *table) withheld(limit int64) []*Resource {
	var out []*Resource
	for _, c := range t.after(limit) {
		if e := t.entries[c.name]; e.removed && e.rev == c.rev {
			out = append(out, e.res)
		}
	}
	return out
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
