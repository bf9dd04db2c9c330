package garbage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

var (
	configMapKind = schema.GroupKind{Kind: "ConfigMap"}
	routeKind     = schema.GroupKind{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"}
)

func testStores() stores {
	s := stores{}
	for _, k := range []*registry.Kind{
		{Versions: versions(namespaceKind, "v1")},
		{Versions: versions(configMapKind, "v1"), Namespaced: true},
		{Versions: versions(routeKind, "v1", "v1beta1"), Namespaced: true},
	} {
		s[k.GroupKind()] = &registry.Store{Kind: k}
	}
	return s
}

func versions(kind schema.GroupKind, names ...string) (all []*registry.Version) {
	for _, name := range names {
		all = append(all, &registry.Version{GroupVersionKind: kind.WithVersion(name)})
	}
	return all
}

// configMap is an object in the namespace "n"; its UID is its name.
func configMap(name string, p phase, owners ...metav1.OwnerReference) *object {
	return &object{kind: configMapKind, name: types.NamespacedName{Namespace: "n", Name: name}, uid: types.UID(name), owners: owners, phase: p}
}

// to refers to a configMap.
func to(name string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: types.UID(name)}
}

func blocking(name string) metav1.OwnerReference {
	ref := to(name)
	ref.BlockOwnerDeletion = new(true)
	return ref
}

// indexOf is an index that has listed everything.
func indexOf(objs ...*object) *index {
	x := newIndex(testStores())
	x.unlisted.Clear()
	for _, o := range objs {
		x.put(o)
	}
	return x
}

func TestLocate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		ref       metav1.OwnerReference
		namespace string
		kind      schema.GroupKind
		want      types.NamespacedName
		unknown   bool
	}{
		{
			name: "in the dependent's namespace", ref: metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "a"}, namespace: "n",
			kind: configMapKind, want: types.NamespacedName{Namespace: "n", Name: "a"},
		},
		{
			name: "cluster-scoped owner", ref: metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: "a"}, namespace: "n",
			kind: namespaceKind, want: types.NamespacedName{Name: "a"},
		},
		{
			name: "both cluster-scoped", ref: metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: "a"},
			kind: namespaceKind, want: types.NamespacedName{Name: "a"},
		},
		{
			name: "another served version", ref: metav1.OwnerReference{APIVersion: "gateway.networking.k8s.io/v1beta1", Kind: "HTTPRoute", Name: "a"}, namespace: "n",
			kind: routeKind, want: types.NamespacedName{Namespace: "n", Name: "a"},
		},
		{name: "version that is not served", ref: metav1.OwnerReference{APIVersion: "v2", Kind: "ConfigMap", Name: "a"}, namespace: "n", unknown: true},
		{name: "kind that is not served", ref: metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "a"}, namespace: "n", unknown: true},
		{name: "kind of another group", ref: metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "ConfigMap", Name: "a"}, namespace: "n", unknown: true},
		{name: "malformed version", ref: metav1.OwnerReference{APIVersion: "a/b/v1", Kind: "ConfigMap", Name: "a"}, namespace: "n", unknown: true},
		{name: "namespaced owner of a cluster-scoped dependent", ref: metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "a"}, unknown: true},
	} {
		store, name, ok := testStores().locate(tt.ref, tt.namespace)
		switch {
		case ok == tt.unknown:
			t.Errorf("%s: ok is %t", tt.name, ok)
		case ok && (store.Kind.GroupKind() != tt.kind || name != tt.want):
			t.Errorf("%s: got %s %s, want %s %s", tt.name, store.Kind.GroupKind(), name, tt.kind, tt.want)
		}
	}
}

func TestPhaseOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		deleted    bool
		finalizers []string
		want       phase
	}{
		{want: alive},
		{finalizers: []string{"orphan"}, want: alive},
		{finalizers: []string{"foregroundDeletion"}, want: alive},
		{deleted: true, want: leaving},
		{deleted: true, finalizers: []string{"example.com/a"}, want: leaving},
		{deleted: true, finalizers: []string{"example.com/a", "orphan"}, want: orphaning},
		{deleted: true, finalizers: []string{"example.com/a", "foregroundDeletion"}, want: waiting},
	} {
		m := &metav1.ObjectMeta{Finalizers: tt.finalizers}
		if tt.deleted {
			m.DeletionTimestamp = new(metav1.Now())
		}
		if got := phaseOf(m); got != tt.want {
			t.Errorf("deleted %t, finalizers %q: got phase %d, want %d", tt.deleted, tt.finalizers, got, tt.want)
		}
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	put := func(o *object) command { return func(x *index) []types.UID { return x.put(o) } }
	remove := func(uid types.UID) command { return func(x *index) []types.UID { return x.remove(uid) } }
	list := func(objs ...*object) command {
		return func(x *index) []types.UID { return x.replace(configMapKind, objs) }
	}
	toPod, renamed := to("a"), to("a")
	toPod.Kind, renamed.Name = "Pod", "b"
	elsewhere := configMap("d", alive, to("a"))
	elsewhere.name.Namespace = "elsewhere"

	for _, tt := range []struct {
		name  string
		given []*object
		do    command
		want  []types.UID
	}{
		{name: "no owner", do: put(configMap("d", alive))},
		{name: "owner", given: []*object{configMap("a", alive)}, do: put(configMap("d", alive, to("a")))},
		{name: "owner that is being deleted", given: []*object{configMap("a", leaving)}, do: put(configMap("d", alive, to("a")))},
		{name: "unknown owner", do: put(configMap("d", alive, to("a"))), want: []types.UID{"d"}},
		{name: "one of two owners unknown", given: []*object{configMap("a", alive)}, do: put(configMap("d", alive, to("a"), to("b"))), want: []types.UID{"d"}},
		{name: "unknown owner, being deleted itself", do: put(configMap("d", leaving, to("a")))},
		{name: "owner of a kind that is not served", do: put(configMap("d", alive, toPod))},
		{name: "owner of another name", given: []*object{configMap("a", alive)}, do: put(configMap("d", alive, renamed)), want: []types.UID{"d"}},
		{name: "owner in another namespace", given: []*object{configMap("a", alive)}, do: put(elsewhere), want: []types.UID{"d"}},
		{name: "owner that waits", given: []*object{configMap("a", waiting)}, do: put(configMap("d", alive, to("a"))), want: []types.UID{"d"}},
		{name: "orphaning", given: []*object{configMap("d", alive, to("a"))}, do: put(configMap("a", orphaning)), want: []types.UID{"a"}},
		{
			name: "begins to wait", given: []*object{configMap("a", alive), configMap("d", alive, to("a")), configMap("e", alive, to("a"))},
			do: put(configMap("a", waiting)), want: []types.UID{"a", "d", "e"},
		},
		{
			name: "comes into sight waiting", given: []*object{configMap("d", alive, to("a"))},
			do: put(configMap("a", waiting)), want: []types.UID{"a", "d"},
		},
		{
			name: "still waits", given: []*object{configMap("a", waiting), configMap("d", alive, to("a"))},
			do: put(configMap("a", waiting)), want: []types.UID{"a"},
		},
		{
			name: "reference to an owner that waits goes", given: []*object{configMap("a", waiting), configMap("d", alive, to("a"))},
			do: put(configMap("d", alive)), want: []types.UID{"a"},
		},
		{
			name: "owner goes", given: []*object{configMap("a", alive), configMap("d", alive, to("a")), configMap("e", alive, to("a")), configMap("f", alive)},
			do: remove("a"), want: []types.UID{"d", "e"},
		},
		{name: "dependent goes", given: []*object{configMap("a", alive), configMap("d", alive, to("a"))}, do: remove("d")},
		{name: "dependent of an owner that waits goes", given: []*object{configMap("a", waiting), configMap("d", alive, to("a"))}, do: remove("d"), want: []types.UID{"a"}},
		{name: "unknown object goes", do: remove("a")},
		{
			name: "owner went between lists", given: []*object{configMap("a", alive), configMap("d", alive, to("a"))},
			do: list(configMap("d", alive, to("a"))), want: []types.UID{"d"},
		},
		{
			name: "owner came and went between lists", given: []*object{configMap("d", alive, to("a"))},
			do: list(configMap("d", alive, to("a"))), want: []types.UID{"d"},
		},
		{
			name: "dependents of an owner that waits went between lists", given: []*object{configMap("a", waiting), configMap("d", alive, to("a"))},
			do: list(configMap("a", waiting)), want: []types.UID{"a"},
		},
		{name: "listed in any order", do: list(configMap("d", alive, to("a")), configMap("a", alive))},
	} {
		got := tt.do(indexOf(tt.given...))
		slices.Sort(got)
		if diff := cmp.Diff(tt.want, slices.Compact(got)); diff != "" && len(got)+len(tt.want) > 0 {
			t.Errorf("%s: objects to look at (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Until all kinds are listed, an owner that is not known may be of one of the others.
func TestNothingBeforeAllKindsAreListed(t *testing.T) {
	t.Parallel()
	ofRoute := to("route")
	ofRoute.APIVersion, ofRoute.Kind = "gateway.networking.k8s.io/v1", "HTTPRoute"
	route := configMap("route", alive)
	route.kind = routeKind

	x := newIndex(testStores())
	for name, got := range map[string][]types.UID{
		"list":   x.replace(configMapKind, []*object{configMap("d", alive, ofRoute), configMap("e", alive, to("gone")), configMap("f", alive)}),
		"put":    x.put(configMap("g", alive, to("f"), to("gone"))),
		"remove": x.remove("f"),
		"second": x.replace(namespaceKind, nil),
	} {
		if len(got) > 0 {
			t.Errorf("%s: got %q before the routes are listed", name, got)
		}
	}
	got := x.replace(routeKind, []*object{route})
	slices.Sort(got)
	if diff := cmp.Diff([]types.UID{"e", "g"}, got); diff != "" {
		t.Errorf("objects to look at (-want +got):\n%s", diff)
	}
}

func TestBlocked(t *testing.T) {
	t.Parallel()
	renamed := blocking("a")
	renamed.Name = "b"
	for _, tt := range []struct {
		name  string
		given []*object
		want  bool
	}{
		{name: "no dependents"},
		{name: "dependent that does not block", given: []*object{configMap("d", alive, to("a"))}},
		{name: "dependent that blocks", given: []*object{configMap("d", alive, to("a")), configMap("e", alive, blocking("a"))}, want: true},
		{name: "dependent that blocks and leaves", given: []*object{configMap("d", leaving, blocking("a"))}, want: true},
		{name: "dependent that waits for its own", given: []*object{configMap("d", waiting, blocking("a")), configMap("e", alive, blocking("d"))}, want: true},
		{name: "reference of another name", given: []*object{configMap("d", alive, renamed)}},
		{name: "itself", given: []*object{configMap("a", waiting, blocking("a"))}},
		{name: "circle", given: []*object{configMap("a", waiting, blocking("d")), configMap("d", alive, blocking("a"))}},
		{name: "circle that does not block", given: []*object{configMap("a", waiting, to("d")), configMap("d", alive, blocking("a"))}, want: true},
		{
			name:  "long circle",
			given: []*object{configMap("a", waiting, blocking("e")), configMap("d", alive, blocking("a")), configMap("e", waiting, blocking("d"))},
		},
		{
			name:  "circle, and a dependent outside",
			given: []*object{configMap("a", waiting, blocking("d")), configMap("d", alive, blocking("a")), configMap("e", alive, blocking("a"))},
			want:  true,
		},
		{
			name:  "circle below",
			given: []*object{configMap("d", alive, blocking("a"), blocking("e")), configMap("e", alive, blocking("d"))},
			want:  true,
		},
	} {
		x := indexOf(append([]*object{configMap("a", waiting)}, tt.given...)...)
		if got := x.blocked(x.objects["a"]); got != tt.want {
			t.Errorf("%s: blocked is %t", tt.name, got)
		}
	}
}

// After any history, the index is the one of the objects that are left.
func TestIndexForgets(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		name := func() string { return fmt.Sprint(r.IntN(6)) }
		random := func() *object {
			o := configMap(name(), phase(r.IntN(4)))
			for range r.IntN(3) {
				o.owners = append(o.owners, to(name()))
			}
			return o
		}
		x := indexOf()
		for range 50 {
			switch r.IntN(10) {
			case 0:
				x.replace(configMapKind, []*object{random(), random()})
			case 1, 2, 3:
				x.remove(types.UID(name()))
			default:
				x.put(random())
			}
		}
		want := indexOf()
		for _, o := range x.objects {
			want.put(o)
		}
		if diff := cmp.Diff(want.dependents, x.dependents); diff != "" {
			t.Fatalf("seed %d: dependents (-want +got):\n%s", seed, diff)
		}
	}
}
