package definitions

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

const (
	earlier = "1893456000000"
	current = "1893456000001"
	later   = "1893456000002"
)

func testDefinitions() *definitions {
	return newDefinitions(crd.ExperimentalChannel, created, time.UnixMilli(1893456000001))
}

func TestList(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options internalversion.ListOptions
		refused func(error) bool // nil for a list
	}{
		{name: "any", options: internalversion.ListOptions{ResourceVersion: "0"}},
		{name: "latest", options: internalversion.ListOptions{Limit: 1}},
		{name: "not older than", options: internalversion.ListOptions{ResourceVersion: earlier, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}},
		{name: "exactly this", options: internalversion.ListOptions{ResourceVersion: current, ResourceVersionMatch: metav1.ResourceVersionMatchExact}},
		{name: "exactly an older one", options: internalversion.ListOptions{ResourceVersion: earlier, ResourceVersionMatch: metav1.ResourceVersionMatchExact}, refused: apierrors.IsResourceExpired},
		{name: "a newer one", options: internalversion.ListOptions{ResourceVersion: later}, refused: storage.IsTooLargeResourceVersion},
		{name: "the next page", options: internalversion.ListOptions{Continue: "next"}, refused: apierrors.IsBadRequest},
		{name: "nonsense", options: internalversion.ListOptions{ResourceVersion: "x"}, refused: apierrors.IsBadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list, err := testDefinitions().List(t.Context(), &tt.options)
			if tt.refused != nil {
				if !tt.refused(err) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if m := list.(metav1.ListMetaAccessor).GetListMeta(); m.GetResourceVersion() != current || m.GetContinue() != "" {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	all := len(build(crd.ExperimentalChannel, created))
	tests := []struct {
		name    string
		options internalversion.ListOptions
		added   int
		marked  bool
		refused func(error) bool
	}{
		{name: "from now on", added: all},
		{name: "from any time on", options: internalversion.ListOptions{ResourceVersion: "0", AllowWatchBookmarks: true}, added: all},
		{name: "after a list", options: internalversion.ListOptions{ResourceVersion: current}},
		{name: "after a list, before the server was started again", options: internalversion.ListOptions{ResourceVersion: earlier}, refused: apierrors.IsResourceExpired},
		{name: "a list", options: internalversion.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true}, added: all, marked: true},
		{name: "a list again", options: internalversion.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersion: earlier}, added: all, marked: true},
		{name: "a list of the future", options: internalversion.ListOptions{SendInitialEvents: &yes, ResourceVersion: later}, refused: storage.IsTooLargeResourceVersion},
		{name: "no list", options: internalversion.ListOptions{SendInitialEvents: &no}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, err := testDefinitions().Watch(t.Context(), &tt.options)
			if tt.refused != nil {
				if !tt.refused(err) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			added, marked := 0, false
			for range len(w.ResultChan()) {
				event, ok := <-w.ResultChan()
				if !ok {
					t.Fatal("the watch ended")
				}
				switch event.Type {
				case watch.Added:
					added++
				case watch.Bookmark:
					marked = event.Object.(metav1.Object).GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
				default:
					t.Errorf("event %v", event)
				}
			}
			if added != tt.added || marked != tt.marked {
				t.Errorf("%d objects, want %d; end marked: %t, want %t", added, tt.added, marked, tt.marked)
			}
		})
	}
}
