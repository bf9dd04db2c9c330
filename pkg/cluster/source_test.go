package cluster

import (
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

func object(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}}}}
}

func TestTrimmed(t *testing.T) {
	t.Parallel()
	from := watch.NewFakeWithChanSize(2, false)
	w := trimmed(from)
	from.Add(object("a"))
	if e := <-w.ResultChan(); e.Type != watch.Added || e.Object.(*corev1.Secret).ManagedFields != nil {
		t.Errorf("got %v, want the object without managedFields", e)
	}
	from.Error(&metav1.Status{Code: 410})
	if e := <-w.ResultChan(); e.Type != watch.Error || e.Object.(*metav1.Status).Code != 410 {
		t.Errorf("got %v, want the error", e)
	}
	from.Stop()
	if e, ok := <-w.ResultChan(); ok {
		t.Errorf("got %v after the end", e)
	}
}

// TestTrimmedStop fails if anything runs on.
func TestTrimmedStop(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]int{"an event is waiting": 0, "nothing is": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				from := watch.NewFakeWithChanSize(1, false)
				w := trimmed(from)
				from.Add(object("a"))
				for range read {
					<-w.ResultChan()
				}
				synctest.Wait()
				w.Stop()
				synctest.Wait()
				if !from.IsStopped() {
					t.Error("what is watched goes on")
				}
			})
		})
	}
}
