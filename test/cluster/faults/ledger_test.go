package faults

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// write is one that a client has sent.
type write struct {
	key     graph.Key
	marker  string
	deletes bool
	lost    bool // the client doesn't know what became of it

	// What the answer says.
	uid     types.UID
	version uint64                     // 0 for deletions
	object  *unstructured.Unstructured // nil for deletions
}

// ledger has all writes that may have changed something.
type ledger struct {
	mu     sync.Mutex
	writes map[graph.Key][]write
	errs   []error
}

func newLedger() *ledger { return &ledger{writes: map[graph.Key][]write{}} }

func (l *ledger) add(w write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes[w.key] = append(l.writes[w.key], w)
}

// fail takes note of an answer that is wrong.
func (l *ledger) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, fmt.Errorf(format, args...))
}

// acknowledged yields the writes that have left an object.
func (l *ledger) acknowledged(yield func(write) bool) {
	for _, writes := range l.writes {
		for _, w := range writes {
			if !w.lost && !w.deletes && !yield(w) {
				return
			}
		}
	}
}

// check compares what is stored with what was written: of each object the last acknowledged write, or one later of which
// nobody knows. No client may be writing.
func (l *ledger) check(t *testing.T, stored map[graph.Key]*unstructured.Unstructured) {
	t.Helper()
	for _, err := range l.errs {
		t.Error(err)
	}
	for key, writes := range l.writes {
		if err := checkObject(writes, stored[key]); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	for key, obj := range stored {
		if l.writes[key] == nil && obj.GetAnnotations()[marker] != "" {
			t.Errorf("%s is there, and nobody wrote it", key)
		}
	}
}

func checkObject(writes []write, stored *unstructured.Unstructured) error {
	last := write{}
	for _, w := range writes {
		if w.version > last.version {
			last = w
		}
	}
	deleted := func(uid types.UID) bool {
		return slices.ContainsFunc(writes, func(w write) bool { return w.deletes && !w.lost && w.uid == uid })
	}
	lost := func(is func(write) bool) bool {
		return slices.ContainsFunc(writes, func(w write) bool { return w.lost && is(w) })
	}
	if stored == nil {
		if last.version > 0 && !deleted(last.uid) && !lost(func(w write) bool { return w.deletes }) {
			return fmt.Errorf("it is gone, and nobody deleted what %s wrote at %d", last.marker, last.version)
		}
		return nil
	}
	mark := stored.GetAnnotations()[marker]
	switch {
	case deleted(stored.GetUID()):
		return fmt.Errorf("it is there, as %s wrote it, and its deletion was acknowledged", mark)
	case versionOf(stored) < last.version:
		return fmt.Errorf("it is at %d, and %s wrote it at %d", versionOf(stored), last.marker, last.version)
	case mark == last.marker:
		if diff := cmp.Diff(last.object.Object["spec"], stored.Object["spec"]); diff != "" {
			return fmt.Errorf("it is not what %s wrote at %d (-):\n%s", mark, last.version, diff)
		}
		return nil
	case lost(func(w write) bool { return w.marker == mark }):
		return nil
	}
	return fmt.Errorf("it is as %s wrote it, and %s wrote it after that, at %d", mark, last.marker, last.version)
}

// TestLedger shows that the ledger notices what must not happen.
func TestLedger(t *testing.T) {
	t.Parallel()
	object := func(mark, uid, version, spec string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		o.SetAnnotations(map[string]string{marker: mark})
		o.SetUID(types.UID(uid))
		o.SetResourceVersion(version)
		return o
	}
	wrote := func(mark, uid string, version uint64) write {
		return write{marker: mark, uid: types.UID(uid), version: version, object: object(mark, uid, "", mark)}
	}
	deleted := func(uid string) write { return write{deletes: true, uid: types.UID(uid)} }
	lost := func(w write) write { return write{marker: w.marker, deletes: w.deletes, lost: true} }
	first, second := wrote("first", "a", 1), wrote("second", "a", 2)
	again := wrote("again", "b", 4)
	for name, test := range map[string]struct {
		writes []write
		stored *unstructured.Unstructured
		wrong  bool
	}{
		"the last write":                           {[]write{second, first}, object("second", "a", "2", "second"), false},
		"the last write, and a status after it":    {[]write{first, second}, object("second", "a", "3", "second"), false},
		"the last write, with another content":     {[]write{first, second}, object("second", "a", "2", "first"), true},
		"the write before the last":                {[]write{first, second}, object("first", "a", "1", "first"), true},
		"the write before the last, and a status":  {[]write{first, second}, object("first", "a", "3", "first"), true},
		"gone without a deletion":                  {[]write{first, second}, nil, true},
		"gone by a deletion":                       {[]write{first, deleted("a")}, nil, false},
		"gone by a deletion of unknown fate":       {[]write{first, lost(deleted("a"))}, nil, false},
		"a deletion undone":                        {[]write{first, deleted("a")}, object("first", "a", "1", "first"), true},
		"made again after a deletion":              {[]write{first, deleted("a"), again}, object("again", "b", "4", "again"), false},
		"made again, and gone by the old deletion": {[]write{first, deleted("a"), again}, nil, true},
		"a write of unknown fate":                  {[]write{first, lost(second)}, object("second", "a", "2", "second"), false},
		"no write of unknown fate":                 {[]write{first, lost(second)}, object("first", "a", "1", "first"), false},
		"a write that nobody sent":                 {[]write{first}, object("second", "a", "2", "second"), true},
		"refused from the beginning":               {nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := checkObject(test.writes, test.stored); (err != nil) != test.wrong {
				t.Errorf("%v", err)
			}
		})
	}
}
