package takeover

import (
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// listed are objects by their keys, and an error at the end unless that is nil.
func listed(err error, keys ...string) iter.Seq2[*unstructured.Unstructured, error] {
	return func(yield func(*unstructured.Unstructured, error) bool) {
		for _, key := range keys {
			o := &unstructured.Unstructured{Object: map[string]any{}}
			namespace, name, ok := strings.Cut(key, "/")
			if !ok {
				namespace, name = "", key
			}
			o.SetNamespace(namespace)
			o.SetName(name)
			if !yield(o, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		sources, targets iter.Seq2[*unstructured.Unstructured, error]
		want             []string
		err              string
	}{
		"nothing":      {sources: listed(nil), targets: listed(nil)},
		"only sources": {sources: listed(nil, "n/a", "n/b"), targets: listed(nil), want: []string{"n/a -", "n/b -"}},
		"only targets": {sources: listed(nil), targets: listed(nil, "a", "b"), want: []string{"- a", "- b"}},
		"mixed": {
			// "-" and "." come before "/", in the keys of etcd too.
			sources: listed(nil, "n-x/a", "n.x/a", "n/a", "n/c", "nx/a"),
			targets: listed(nil, "n-x/a", "n/a", "n/b", "n/d"),
			want:    []string{"n-x/a n-x/a", "n.x/a -", "n/a n/a", "- n/b", "n/c -", "- n/d", "nx/a -"},
		},
		"sources fail":       {sources: listed(broken, "a"), targets: listed(nil, "a", "b"), want: []string{"a a"}, err: "broken"},
		"targets fail":       {sources: listed(nil, "b"), targets: listed(broken, "a"), want: []string{"- a"}, err: "broken"},
		"sources unordered":  {sources: listed(nil, "b", "a"), targets: listed(nil), want: []string{"b -"}, err: "not the order of their keys"},
		"targets twice":      {sources: listed(nil), targets: listed(nil, "a", "a"), want: []string{"- a"}, err: "not the order of their keys"},
		"both fail at first": {sources: listed(broken), targets: listed(errors.New("other")), err: "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			title := func(o *unstructured.Unstructured) string {
				if o == nil {
					return "-"
				}
				return keyOf(o)
			}
			var got []string
			message := ""
			for p, err := range join(tt.sources, tt.targets) {
				if err != nil {
					message = err.Error()
					break
				}
				got = append(got, title(p.source)+" "+title(p.target))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (message == "") != (tt.err == "") || !strings.Contains(message, tt.err) {
				t.Errorf("got error %q, want %q", message, tt.err)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		source, target string
		keep           changes
		hostname, app  string
		generation     int64
		conditions     bool
		managers       int
	}{
		"spec here, labels there":   {source: routeSpec, target: routeLabels, keep: changes{metadata: true, managers: true}, hostname: "b", app: "blue", generation: 3, managers: 1},
		"labels here, spec there":   {source: routeLabels, target: routeSpec, keep: changes{spec: true, managers: true}, hostname: "b", app: "blue", generation: 3, managers: 1},
		"spec here, status there":   {source: routeSpec, target: routeStatus, keep: changes{status: true, managers: true}, hostname: "b", app: "red", generation: 3, conditions: true, managers: 2},
		"status here, labels there": {source: routeStatus, target: routeLabels, keep: changes{metadata: true, managers: true}, hostname: "a", app: "blue", generation: 2, conditions: true, managers: 2},
		"nothing is kept":           {source: routeSpec, target: specOf(t, "c"), hostname: "b", app: "red", generation: 4, managers: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := situation{source: parse(t, tt.source, ""), target: parse(t, tt.target, ""), keepsIdentity: true}
			m := &moving{source: s.source, want: s.source.content, record: record{Source: s.source.parts()}}
			p := &pass{mirror: &mirror{to: serverSide{}}}
			l := &lane{status: true}
			l.storage.Version = "v1"
			p.merge(l, m, s, tt.keep)
			o := serverSide{}.body(l, m)
			hostnames, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hostnames")
			parents, _, _ := unstructured.NestedSlice(o.Object, "status", "parents")
			_, conditions := parents[0].(map[string]any)["conditions"]
			if hostnames[0] != tt.hostname || o.GetLabels()["app"] != tt.app || o.GetGeneration() != tt.generation || conditions != tt.conditions {
				t.Errorf("got %v", o.Object)
			}
			if got := len(o.GetManagedFields()); got != tt.managers {
				t.Errorf("got %d managers, want %d", got, tt.managers)
			}
			if diff := cmp.Diff(s.source.parts(), m.record.Source); diff != "" {
				t.Errorf("the record is not of the source (-want +got):\n%s", diff)
			}
		})
	}
}
