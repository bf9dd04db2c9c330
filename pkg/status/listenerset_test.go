package status_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

func listenerSet(listeners ...*graph.ListenerFacts) *graph.ListenerSetFacts {
	return &graph.ListenerSetFacts{Managed: true, Listeners: listeners, AttachedRoutes: make([]int32, len(listeners))}
}

func TestListenerSetConditions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		facts func(*graph.ListenerSetFacts)
		want  []string
	}{
		{"everything is well", func(*graph.ListenerSetFacts) {}, []string{gatewayAccepted, programmed}},
		{
			"a listener is invalid", func(f *graph.ListenerSetFacts) { f.SomeListenersInvalid = problem("ListenersNotValid", "http") },
			[]string{"Accepted=True ListenersNotValid: http", programmed},
		},
		{
			"ParentNotProgrammed", func(f *graph.ListenerSetFacts) { f.Unprogrammed = problem("ParentNotProgrammed", "p") },
			[]string{gatewayAccepted, "Programmed=False ParentNotProgrammed: p"},
		},
		{
			"NotAllowed", func(f *graph.ListenerSetFacts) {
				f.Unaccepted, f.Unprogrammed = problem("NotAllowed", "a"), problem("NotAllowed", "a")
			},
			[]string{"Accepted=False NotAllowed: a", "Programmed=False NotAllowed: a"},
		},
		{
			"orphaned", func(f *graph.ListenerSetFacts) {
				*f = graph.ListenerSetFacts{Orphaned: true, Missing: graph.Key{Kind: graph.KindGateway, Namespace: "a", Name: "b"}}
			},
			[]string{
				"Accepted=Unknown Pending: Waiting for controller: Gateway a/b does not exist",
				"Programmed=Unknown Pending: Waiting for controller: Gateway a/b does not exist",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := listenerSet(listener("http"))
			tt.facts(f)
			got := status.ListenerSet(f, gwv1.ListenerSetStatus{Conditions: pending("Accepted", "Programmed")}, 3, now)
			equal(t, "conditions", text(got.Conditions), tt.want)

			got = status.ListenerSet(listenerSet(listener("http")), got, 4, later)
			equal(t, "conditions afterwards", text(got.Conditions), []string{gatewayAccepted, programmed})
		})
	}
}

func TestListenerSetListeners(t *testing.T) {
	t.Parallel()
	old := gwv1.ListenerSetStatus{Listeners: []gwv1.ListenerEntryStatus{
		{Name: "gone", AttachedRoutes: 5, Conditions: []metav1.Condition{foreign("example.com/Seen")}},
		{Name: "b", AttachedRoutes: 6, Conditions: []metav1.Condition{foreign("example.com/Seen")}},
	}}
	f := listenerSet(listener("a"), listener("b"))
	f.AttachedRoutes = []int32{1, 2}
	got := status.ListenerSet(f, old, 1, now)
	if len(got.Listeners) != 2 || got.Listeners[0].Name != "a" || got.Listeners[0].AttachedRoutes != 1 || got.Listeners[1].AttachedRoutes != 2 {
		t.Fatalf("listeners %+v, want a with 1 route and b with 2", got.Listeners)
	}
	equal(t, "conditions of a", text(got.Listeners[0].Conditions), []string{listenerAccepted, programmed, resolved})
	equal(t, "the foreign condition", got.Listeners[1].Conditions[0], foreign("example.com/Seen"))

	// Of what isn't attached, we say nothing; others may.
	got = status.ListenerSet(listenerSet(), got, 2, later)
	if len(got.Listeners) != 1 || len(got.Listeners[0].Conditions) != 1 || got.Listeners[0].AttachedRoutes != 0 {
		t.Errorf("listeners %+v, want what others say of b", got.Listeners)
	}
}

// TestListenerSetUnmanaged: what is another controller's is left as it is.
func TestListenerSetUnmanaged(t *testing.T) {
	t.Parallel()
	ours := status.ListenerSet(listenerSet(listener("http")), gwv1.ListenerSetStatus{}, 1, now)
	equal(t, "status", status.ListenerSet(&graph.ListenerSetFacts{}, ours, 2, later), ours)
}

func TestRestoreListenerSet(t *testing.T) {
	t.Parallel()
	f := listenerSet(listener("a"))
	stored := status.ListenerSet(f, gwv1.ListenerSetStatus{}, 1, now)
	written := gwv1.ListenerSetStatus{
		Conditions: []metav1.Condition{{Type: "Accepted", Status: "False"}, foreign("example.com/Seen")},
		Listeners:  []gwv1.ListenerEntryStatus{{Name: "b", Conditions: []metav1.Condition{foreign("example.com/Seen")}}},
	}
	got := status.RestoreListenerSet(f, written, stored)
	equal(t, "conditions", text(got.Conditions), append([]string{gatewayAccepted, text([]metav1.Condition{foreign("example.com/Seen")})[0]}, programmed))
	if len(got.Listeners) != 2 || got.Listeners[1].Name != "a" {
		t.Fatalf("listeners %+v, want b and then a", got.Listeners)
	}
	equal(t, "conditions of a", got.Listeners[1].Conditions, stored.Listeners[0].Conditions)
	equal(t, "another controller's", status.RestoreListenerSet(&graph.ListenerSetFacts{}, written, stored), written)
}
