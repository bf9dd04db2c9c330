package manifests

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func keyNamed(kind, name string) key { return keyOf(schema.GroupKind{Kind: kind}, "", name) }

func TestOrphans(t *testing.T) {
	t.Parallel()
	const followed, other = "/followed", "/other"
	from := func(dir string) ownership { return ownership{file: dir + "/a.yaml"} }
	for _, test := range []struct {
		name     string
		made     map[key]ownership
		declared map[key]bool
		vacant   []string
		occupied map[string]bool
		orphans  []key
		kept     int
	}{
		{name: "nothing made"},
		{
			name: "declared", made: map[key]ownership{keyNamed("A", "a"): from(followed)},
			declared: map[key]bool{keyNamed("A", "a"): true},
		},
		{
			name: "undeclared, what a Namespace may hold before it",
			made: map[key]ownership{
				keyNamed("Namespace", "n"): from(followed), keyNamed("HTTPRoute", "b"): from(followed),
				keyNamed("HTTPRoute", "a"): from(followed), keyNamed("Gateway", "g"): from(followed),
			},
			orphans: []key{keyNamed("HTTPRoute", "a"), keyNamed("HTTPRoute", "b"), keyNamed("Gateway", "g"), keyNamed("Namespace", "n")},
		},
		{name: "from a directory that is not followed now", made: map[key]ownership{keyNamed("A", "a"): from(other)}},
		{
			name: "from a directory that never had a file", made: map[key]ownership{keyNamed("A", "a"): from(followed)},
			vacant: []string{followed}, kept: 1,
		},
		{
			name: "from a directory that lost its last file", made: map[key]ownership{keyNamed("A", "a"): from(followed)},
			vacant: []string{followed}, occupied: map[string]bool{followed: true},
			orphans: []key{keyNamed("A", "a")},
		},
	} {
		f := &Follower{dirs: []string{followed}, made: test.made, occupied: test.occupied}
		orphans, kept := f.orphans(tree{vacant: test.vacant}, test.declared)
		if diff := cmp.Diff(test.orphans, orphans, cmp.AllowUnexported(key{})); diff != "" || len(kept) != test.kept {
			t.Errorf("%s: kept %d, want %d; orphans (-want +got):\n%s", test.name, len(kept), test.kept, diff)
		}
	}
}

// An object that is declared again within the grace starts anew.
func TestDue(t *testing.T) {
	t.Parallel()
	a, b := keyNamed("A", "a"), keyNamed("A", "b")
	start := time.Unix(0, 0)
	f := &Follower{Grace: 2 * time.Second}
	for _, step := range []struct {
		at      time.Duration
		orphans []key
		due     []key
		next    time.Duration
	}{
		{0, []key{a}, nil, 2 * time.Second},
		{time.Second, []key{a, b}, nil, time.Second},
		{1500 * time.Millisecond, []key{b}, nil, 1500 * time.Millisecond},
		{2 * time.Second, []key{a, b}, nil, time.Second},
		{3 * time.Second, []key{a, b}, []key{b}, time.Second},
		{4 * time.Second, []key{a}, []key{a}, 0},
		{5 * time.Second, nil, nil, 0},
	} {
		due, next := f.due(step.orphans, start.Add(step.at))
		if diff := cmp.Diff(step.due, due, cmp.AllowUnexported(key{})); diff != "" || next != step.next {
			t.Errorf("at %s: next in %s, want %s; due (-want +got):\n%s", step.at, next, step.next, diff)
		}
	}
}
