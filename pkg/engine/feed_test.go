package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// revision is a change of one object, as etcd knows it.
type revision struct {
	name    string
	version uint64
	deleted bool
}

func (r revision) object() *gwv1.HTTPRoute {
	route := &gwv1.HTTPRoute{}
	route.Namespace, route.Name, route.ResourceVersion = "ns", r.name, strconv.FormatUint(r.version, 10)
	return route
}

func (r revision) String() string {
	if r.deleted {
		return fmt.Sprintf("-%s@%d", r.name, r.version)
	}
	return fmt.Sprintf("+%s@%d", r.name, r.version)
}

// feedModel is a feed and what it must make of what it is told. The rule is short: of each object, the newest revision
// that anybody has told of counts.
type feedModel struct {
	t    *testing.T
	feed *feed
	told map[string]revision // the newest revision of each object
	log  []string
}

func newFeedModel(t *testing.T) *feedModel {
	e := loadedEngine(t)
	e.inputs.Writers = nil
	f := newFeed(e, graph.KindHTTPRoute)
	e.feeds[f.kind] = f
	return &feedModel{t: t, feed: f, told: map[string]revision{}}
}

// commit has a store report a revision, which is news if it is newer than what was told of the object.
func (m *feedModel) commit(r revision) {
	m.t.Helper()
	want, got := r.version > m.told[r.name].version, false
	m.check(fmt.Sprint("commit ", r), []revision{r}, func() { _, got = m.feed.committed(r.object(), r.deleted) })
	if got != want {
		m.fatalf("news: %t, want %t", got, want)
	}
}

// deliver has the watch deliver a revision.
func (m *feedModel) deliver(r revision) {
	m.t.Helper()
	m.check(fmt.Sprint("watch ", r), []revision{r}, func() { m.feed.delivered(r.object(), r.deleted) })
}

// list has a list deliver what there is at a version, which is all that these revisions left.
func (m *feedModel) list(version uint64, revisions []revision) {
	m.t.Helper()
	var objs []metav1.Object
	for _, r := range present(revisions) {
		objs = append(objs, r.object())
	}
	m.check(fmt.Sprintf("list %v at %d", present(revisions), version), revisions, func() { m.feed.replace(objs, version) })
}

// check does what tells the feed of revisions, and looks at the graph: it must be told of news, and of nothing else.
func (m *feedModel) check(what string, revisions []revision, do func()) {
	m.t.Helper()
	m.log = append(m.log, what)
	before := m.want()
	for _, r := range revisions {
		if r.version > m.told[r.name].version {
			m.told[r.name] = r
		}
	}
	m.feed.engine.dirty = graph.Dirty{}
	do()
	want, changed := m.want(), m.feed.engine.dirty.Statuses
	if diff := cmp.Diff(want, m.inGraph()); diff != "" {
		m.fatalf("in the graph (-want +got):\n%s", diff)
	}
	for name := range m.told {
		if _, got := changed[m.key(name)]; got != (before[name] != want[name]) {
			m.fatalf("%s was %q and is %q; changed in the graph: %t", name, before[name], want[name], got)
		}
	}
}

func (m *feedModel) key(name string) graph.Key {
	return graph.Key{Kind: m.feed.kind, Namespace: "ns", Name: name}
}

// want returns the resource version of each object that the graph is to have.
func (m *feedModel) want() map[string]string {
	want := map[string]string{}
	for _, r := range present(slices.Collect(maps.Values(m.told))) {
		want[r.name] = r.object().ResourceVersion
	}
	return want
}

// inGraph returns the resource version of each object that the graph has.
func (m *feedModel) inGraph() map[string]string {
	got := map[string]string{}
	for name := range m.told {
		if obj := m.feed.engine.graph.Object(m.key(name)); obj != nil {
			got[name] = obj.GetResourceVersion()
		}
	}
	return got
}

// checkForgotten makes sure that nothing is kept in mind of deleted objects, once the watch has caught up.
func (m *feedModel) checkForgotten() {
	m.t.Helper()
	got := map[string]string{}
	for name, version := range m.feed.applied {
		got[name.Name] = strconv.FormatUint(version, 10)
	}
	if diff := cmp.Diff(m.inGraph(), got); diff != "" {
		m.fatalf("with all delivered, versions in the graph (-) and in the feed (+) differ:\n%s", diff)
	}
}

func (m *feedModel) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("after %q:\n"+format, append([]any{m.log}, args...)...)
}

// present returns the newest revision of each object that exists.
func present(revisions []revision) map[string]revision {
	newest := map[string]revision{}
	for _, r := range revisions {
		if r.version > newest[r.name].version {
			newest[r.name] = r
		}
	}
	maps.DeleteFunc(newest, func(_ string, r revision) bool { return r.deleted })
	return newest
}

func TestFeedOrder(t *testing.T) {
	t.Parallel()
	made, changed, gone, again := revision{"a", 5, false}, revision{"a", 6, false}, revision{"a", 7, true}, revision{"a", 8, false}
	tests := []struct {
		name string
		do   func(*feedModel)
	}{
		{"commit, watch", func(m *feedModel) { m.commit(made); m.deliver(made) }},
		{"watch, commit", func(m *feedModel) { m.deliver(made); m.commit(made) }},
		{"two commits out of order", func(m *feedModel) { m.commit(changed); m.commit(made); m.deliver(made); m.deliver(changed) }},
		{"an old event after a commit", func(m *feedModel) { m.commit(made); m.commit(changed); m.deliver(made); m.deliver(changed) }},
		{"deletion, its event", func(m *feedModel) { m.deliver(made); m.commit(gone); m.deliver(gone) }},
		{"event of a deletion, its commit", func(m *feedModel) { m.deliver(made); m.deliver(gone); m.commit(gone) }},
		{"commit after the deletion", func(m *feedModel) { m.commit(gone); m.commit(changed); m.deliver(changed); m.deliver(gone) }},
		{"commit after the event of the deletion", func(m *feedModel) { m.deliver(made); m.deliver(gone); m.commit(changed) }},
		{"made again", func(m *feedModel) { m.commit(made); m.commit(again); m.commit(gone); m.deliver(gone); m.deliver(again) }},
		{"deletion that nobody has seen", func(m *feedModel) { m.commit(gone); m.deliver(gone) }},
		{"list without a deleted object", func(m *feedModel) { m.deliver(made); m.list(7, []revision{made, gone}) }},
		{"list before a commit", func(m *feedModel) { m.commit(made); m.list(4, nil); m.deliver(made) }},
		{"list before a deletion", func(m *feedModel) { m.commit(gone); m.list(6, []revision{made, changed}); m.deliver(gone) }},
		{"list after a deletion", func(m *feedModel) { m.commit(gone); m.list(9, []revision{made, changed, gone}) }},
		{"list of an object made again", func(m *feedModel) { m.commit(gone); m.list(8, []revision{made, gone, again}) }},
		{"commit of what a list had not", func(m *feedModel) { m.list(7, []revision{made, gone}); m.commit(made) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newFeedModel(t)
			tt.do(m)
			m.checkForgotten()
		})
	}
}

// TestFeedHistory tells a feed of random histories twice: by the commits of stores, each at any time after it has
// happened, or never, and by a watch, in order, which now and then misses events and lists anew.
func TestFeedHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			testFeedHistory(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func testFeedHistory(t *testing.T, random *rand.Rand) {
	m := newFeedModel(t)
	etcd := &etcdModel{random: random}
	var commits []revision // that have not been reported
	watched, watching := 0, false
	for len(etcd.history) < 60 {
		switch random.IntN(4) {
		case 0:
			commits = append(commits, etcd.change())
		case 1:
			if len(commits) > 0 {
				i := random.IntN(len(commits))
				if random.IntN(8) > 0 {
					m.commit(commits[i])
				}
				commits = slices.Delete(commits, i, i+1)
			}
		case 2:
			if watching && watched < len(etcd.history) {
				m.deliver(etcd.history[watched])
				watched++
			}
		case 3:
			if !watching || random.IntN(16) == 0 {
				watched += random.IntN(len(etcd.history) - watched + 1)
				m.list(etcd.versionAfter(watched), etcd.history[:watched])
				watching = true
			}
		}
	}
	for _, r := range etcd.history[watched:] {
		m.deliver(r)
	}
	m.checkForgotten()
	random.Shuffle(len(commits), func(i, j int) { commits[i], commits[j] = commits[j], commits[i] })
	for _, r := range commits {
		m.commit(r)
	}
	m.checkForgotten()
}

// etcdModel makes the history of a few objects, among changes to others.
type etcdModel struct {
	random  *rand.Rand
	version uint64
	history []revision
}

func (e *etcdModel) change() revision {
	e.version += 1 + e.random.Uint64N(3)
	r := revision{name: string(rune('a' + e.random.IntN(3))), version: e.version}
	if _, exists := present(e.history)[r.name]; exists {
		r.deleted = e.random.IntN(2) == 0
	}
	e.history = append(e.history, r)
	return r
}

// versionAfter returns a version at which the first n changes have happened, and no others.
func (e *etcdModel) versionAfter(n int) uint64 {
	switch {
	case n == 0:
		return 0
	case n < len(e.history):
		return e.history[n].version - 1
	default:
		return e.version
	}
}
