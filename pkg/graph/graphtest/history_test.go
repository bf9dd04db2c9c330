package graphtest_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
)

func changes(data []byte) []graphtest.Change { return slices.Collect(graphtest.New(data).Changes()) }

// TestReproducible holds the invariant of the package.
func TestReproducible(t *testing.T) {
	t.Parallel()
	first := changes(graphtest.Random(1, 2000))
	if diff := cmp.Diff(first, changes(graphtest.Random(1, 2000))); diff != "" {
		t.Errorf("the same bytes make two histories (-first +second):\n%s", diff)
	}
	if cmp.Equal(first, changes(graphtest.Random(2, 2000))) {
		t.Error("other bytes make the same history")
	}
}

// TestReach makes sure that everything there is to a history happens.
func TestReach(t *testing.T) {
	t.Parallel()
	type event struct {
		graphtest.Action
		graph.Key
	}
	seen := map[event]bool{}
	for change := range graphtest.New(graphtest.Random(1, 100_000)).Changes() {
		seen[event{change.Action, change.Key}] = true
	}
	for _, key := range graphtest.Keys() {
		for _, action := range []graphtest.Action{graphtest.Apply, graphtest.Modify, graphtest.Touch, graphtest.Delete} {
			if !seen[event{action, key}] {
				t.Errorf("%s never happens", graphtest.Change{Action: action, Key: key})
			}
		}
	}
}

// TestObjects makes sure that a history knows what it has left.
func TestObjects(t *testing.T) {
	t.Parallel()
	history := graphtest.New(graphtest.Random(1, 5000))
	g := graph.New()
	for change := range history.Changes() {
		change.Do(g)
		for _, key := range graphtest.Keys() {
			if obj := history.Objects[key]; g.Object(key) != obj {
				t.Fatalf("after %s, %s is %v in the graph, and %v in the history", change, key, g.Object(key), obj)
			}
		}
	}
}
