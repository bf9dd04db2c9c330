package cache

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// view is what the streams of a scope see of a type: the table of the scope, and where that has nothing of a name, the table of the
// scope that it lies over. Both tables count by the same revisions.
type view struct {
	own, base *table // base is nil if there is nothing under own

	// What streams share, until the next change: all resources sorted by name, and the last answer of since.
	at      int64
	all     *difference
	allAny  []*anypb.Any
	recent  *difference
	recents span
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
		return cmp.Or(own, under), has || is
	case under.rev > own.rev:
		return under, true
	case under.removed:
		return own, true
	}
	under.rev = own.rev
	return under, true
}

func (v *view) get(name string) *Resource {
	if e, _ := v.entry(name); !e.removed {
		return e.res
	}
	return nil
}

// shown is get, but as if what was removed after the limit were still there.
func (v *view) shown(name string, limit int64) *Resource {
	if e, _ := v.entry(name); !e.removed || e.rev > limit {
		return e.res
	}
	return nil
}

// version names the content.
func (v *view) version() string { return version(v.sum()) }

func version(sum uint64) string { return fmt.Sprintf("%016x", sum) }

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
	if rev := v.rev(); v.at != rev {
		*v = view{own: v.own, base: v.base, at: rev}
	}
}

// everything returns all resources, sorted by name.
func (v *view) everything() *difference {
	v.settle()
	if v.all == nil {
		d := &difference{set: v.own.live(nil)}
		if v.base != nil {
			d.set = append(d.set, v.base.live(v.own)...)
		}
		slices.SortFunc(d.set, func(a, b *Resource) int { return cmp.Compare(a.Name(), b.Name()) })
		d.msgs = messages(d.set)
		v.all = d
	}
	return v.all
}

// anys returns all resources as state-of-the-world responses carry them.
func (v *view) anys() []*anypb.Any {
	all := v.everything().set
	if v.allAny == nil {
		for _, r := range all {
			v.allAny = append(v.allAny, r.Any())
		}
		v.allAny = slices.Clip(v.allAny)
	}
	return v.allAny
}

func messages(rs []*Resource) []*discoveryv3.Resource {
	out := make([]*discoveryv3.Resource, len(rs))
	for i, r := range rs {
		out[i] = r.msg
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
		switch {
		case !ok || e.rev != c.rev: // a later change supersedes this one, or it isn't seen
		case e.removed && e.rev <= s.limit:
			d.removed = append(d.removed, c.name)
		case !e.removed && e.rev > s.set:
			d.set = append(d.set, e.res)
		}
	}
	d.msgs = messages(d.set)
	v.recent, v.recents = d, s
	return d
}

// withheld returns the resources that were removed after a limit.
func (v *view) withheld(limit int64) []*Resource {
	var out []*Resource
	for _, c := range v.after(limit) {
		if e, _ := v.entry(c.name); e.removed && e.rev == c.rev {
			out = append(out, e.res)
		}
	}
	return out
}
