package cache

import (
	"cmp"
	"errors"
	"iter"
	"slices"

	"google.golang.org/protobuf/types/known/anypb"
)

// view is what the streams of a scope see of a type: the table of the scope, and where that has nothing of a name, the table of the
// scope that it lies over. Both tables count by the same revisions.
type view struct {
	own, base *table // base is nil if there is nothing under own

	// What streams share, until the next change: all resources sorted by name, those that are served to new streams, and the
	// last answer of since.
	at, verdicts int64
	all          *difference
	served       *difference
	servedAny    []*anypb.Any
	recent       *difference
	recents      span
	name         string // the version
}

// difference is what a client has to be sent. Streams share it, so its slices are not written to.
type difference struct {
	set     []*Resource
	removed []string
	// parked are changes that are not in set, or in an older version, because the resources are parked.
	parked []*Resource

	acked bool // some stream has acknowledged it
	wire  wire
}

func (d *difference) empty() bool { return len(d.set)+len(d.removed) == 0 }

// span selects changes: what was set after one revision, and what was removed after another one, which is not newer, up to
// a limit.
type span struct{ set, removed, limit int64 }

// ErrBehind reports that removals which the stream has not been told of are forgotten. Its client reconnects and says
// which resources it has, so that the difference is known again.
var ErrBehind = errors.New("the stream is too far behind: reconnect")

// rev is the revision of the last change, which need not be one to what is seen.
func (v *view) rev() int64 {
	if v.base == nil {
		return v.own.rev
	}
	return max(v.own.rev, v.base.rev)
}

func (v *view) forgotten() int64 {
	if v.base == nil {
		return v.own.forgotten
	}
	return max(v.own.forgotten, v.base.forgotten)
}

// entry returns what is seen under a name. What shows under a resource that was removed is set by that.
func (v *view) entry(name string) (entry, bool) {
	own, has := v.own.entries[name]
	if v.base == nil || has && !own.removed {
		return own, has
	}
	under, is := v.base.entries[name]
	switch {
	case !has || !is:
		if has {
			return own, true
		}
		return under, is
	case under.rev > own.rev:
		under.goodFrom = max(under.goodFrom, own.rev)
		return under, true
	case under.removed:
		return own, true
	}
	under.rev, under.setAt, under.goodUntil = own.rev, own.rev, 0
	return under, true
}

func (v *view) get(name string) *Resource {
	if e, _ := v.entry(name); !e.removed {
		return e.res
	}
	return nil
}

// version names the content of what is published.
func (v *view) version() string {
	v.settle()
	if v.name == "" {
		v.name = version(v.sum())
	}
	return v.name
}

// sum is that of the resources that are seen.
func (v *view) sum() uint64 {
	sum := v.own.sum
	if v.base == nil {
		return sum
	}
	sum += v.base.sum
	for name, own := range v.own.entries {
		if under, ok := v.base.entries[name]; ok && !own.removed && !under.removed {
			sum -= under.res.sum
		}
	}
	return sum
}

// settle drops what streams share if something has changed since.
func (v *view) settle() {
	rev, verdicts := v.rev(), v.own.verdicts
	if v.base != nil {
		verdicts += v.base.verdicts
	}
	if v.at != rev || v.verdicts != verdicts {
		*v = view{own: v.own, base: v.base, at: rev, verdicts: verdicts}
	}
}

// everything returns all resources that are published, sorted by name.
func (v *view) everything() *difference {
	v.settle()
	if v.all == nil {
		d := &difference{set: v.own.live(nil)}
		if v.base != nil {
			d.set = append(d.set, v.base.live(v.own)...)
		}
		slices.SortFunc(d.set, byName)
		v.all = d
	}
	return v.all
}

// parked yields the resources that are seen and parked.
func (v *view) parked() iter.Seq2[string, entry] {
	return func(yield func(string, entry) bool) {
		for name := range v.own.parked {
			if e := v.own.entries[name]; !e.removed && !yield(name, e) {
				return
			}
		}
		if v.base == nil {
			return
		}
		for name := range v.base.parked {
			if e, _ := v.entry(name); !e.removed && !v.own.has(name) && !yield(name, e) {
				return
			}
		}
	}
}

// anyParked reports whether something may be parked.
func (v *view) anyParked() bool {
	return len(v.own.parked) > 0 || v.base != nil && len(v.base.parked) > 0
}

// mayUse returns the revision after which nothing may be removed that what is served instead of a parked resource may use.
func (v *view) mayUse() int64 {
	limit := v.own.heldBack()
	if v.base != nil && len(v.base.parked) > 0 {
		limit = min(limit, v.base.heldBack())
	}
	return limit
}

// everythingServed returns what a stream is sent that has nothing yet.
func (v *view) everythingServed() *difference {
	all := v.everything()
	if v.served == nil {
		v.served = all
		if v.anyParked() {
			v.served = &difference{}
			for _, r := range all.set {
				if e, _ := v.entry(r.Name()); !e.withheld() {
					v.served.set = append(v.served.set, r)
				} else if e.good != nil {
					v.served.set = append(v.served.set, e.good)
				}
			}
		}
	}
	return v.served
}

// anys returns everythingServed as state-of-the-world responses carry it.
func (v *view) anys() []*anypb.Any {
	served := v.everythingServed()
	if v.servedAny == nil {
		v.servedAny = anys(served.set)
	}
	return v.servedAny
}

func anys(set []*Resource) []*anypb.Any {
	out := make([]*anypb.Any, len(set))
	for i, r := range set {
		out[i] = r.Any()
	}
	return out
}

// after returns the changes that are newer than a revision, in their order.
func (v *view) after(rev int64) []change {
	own := v.own.after(rev)
	if v.base == nil {
		return own
	}
	both := slices.Concat(own, v.base.after(rev))
	slices.SortFunc(both, func(a, b change) int { return cmp.Compare(a.rev, b.rev) })
	return both
}

// since returns what changed in a span, each name once and in its latest state. Most streams are at the same revision
// when a change is published, so the last answer is kept.
func (v *view) since(s span) *difference {
	v.settle()
	s.limit = min(s.limit, v.at)
	if v.recent != nil && v.recents == s {
		return v.recent
	}
	d := &difference{}
	for _, c := range v.after(s.removed) {
		e, ok := v.entry(c.name)
		seen := ok && e.rev == c.rev // or a later change supersedes this one
		if seen && e.setAt > s.set && e.withheld() {
			d.parked = append(d.parked, e.res)
		}
		switch {
		case !seen:
		case e.removed && e.rev <= s.limit:
			d.removed = append(d.removed, c.name)
		case e.setAt <= s.set: // of what was removed after the limit, too
		case !e.withheld():
			d.set = append(d.set, e.res)
		case e.good != nil && (s.set < e.goodFrom || e.goodUntil <= s.set):
			d.set = append(d.set, e.good)
		}
	}
	v.recent, v.recents = d, s
	return d
}

// heldBack returns the entries of resources that were removed after a limit.
func (v *view) heldBack(limit int64) map[string]entry {
	out := map[string]entry{}
	for _, c := range v.after(limit) {
		if e, _ := v.entry(c.name); e.removed && e.rev == c.rev {
			out[c.name] = e
		}
	}
	return out
}
