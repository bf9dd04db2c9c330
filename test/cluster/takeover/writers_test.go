package takeover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

var httpRoutes = schema.GroupVersionResource{Group: gateway, Version: "v1beta1", Resource: "httproutes"}

// writers are clients that go on writing while objects move, each to an object of its own.
type writers struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	all     []*writer
}

// writer knows what its object has to be: what was last acknowledged.
type writer struct {
	client dynamic.ResourceInterface
	name   string
	random *rand.Rand

	writes int
	exists bool
	count  string
}

func startWriters(t *testing.T, config *rest.Config, name string) *writers {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &writers{cancel: cancel}
	client := dynamic.NewForConfigOrDie(unlimited(config))
	for i := range 16 {
		one := &writer{
			client: client.Resource(httpRoutes).Namespace(namespaceOf(i)),
			name:   fmt.Sprintf("written-%s-%d", name, i), random: rand.New(rand.NewPCG(uint64(i), 1)),
		}
		w.all = append(w.all, one)
		w.running.Go(func() { one.run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		w.running.Wait()
	})
	return w
}

// run writes until ctx ends. A write without an answer is tried until it has one.
func (w *writer) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		count := fmt.Sprint(n)
		remove := w.exists && w.random.IntN(5) == 0
		for {
			// What was begun has to have an answer, or nobody knows what to expect.
			request, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			err := w.write(request, count, remove)
			cancel()
			if err == nil {
				break
			}
			pause(context.WithoutCancel(ctx), 200*time.Millisecond)
		}
		w.writes++
		w.exists, w.count = !remove, count
		pause(ctx, time.Duration(300+w.random.IntN(1200))*time.Millisecond)
	}
}

// pause is the pace of a client, not a wait for something.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// write makes the object say count, or removes it.
func (w *writer) write(ctx context.Context, count string, remove bool) error {
	if remove {
		err := w.client.Delete(ctx, w.name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
			return nil
		}
		return err
	}
	spec := m{"hostnames": l{"n" + count + ".example.com"}, "parentRefs": l{m{"name": "gateway-0"}}}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"count":%q}},"spec":{"hostnames":["n%s.example.com"]}}`, count, count)
	_, err := w.client.Patch(ctx, w.name, types.MergePatchType, patch, metav1.PatchOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	o := &unstructured.Unstructured{Object: m{"spec": spec}}
	o.SetAPIVersion(httpRoutes.GroupVersion().String())
	o.SetKind("HTTPRoute")
	o.SetName(w.name)
	o.SetLabels(map[string]string{"count": count})
	_, err = w.client.Create(ctx, o, metav1.CreateOptions{})
	return err
}

// stop ends the writers.
func (w *writers) stop() {
	w.cancel()
	w.running.Wait()
}

// check fails for each object that is not as was last acknowledged.
func (w *writers) check(t *testing.T) {
	t.Helper()
	total := 0
	for _, one := range w.all {
		total += one.writes
		o, err := one.client.Get(t.Context(), one.name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			if one.exists {
				t.Errorf("%s is lost: its last acknowledged write was %s", one.name, one.count)
			}
		case err != nil:
			t.Error(err)
		case !one.exists:
			t.Errorf("%s is there, and its deletion was acknowledged as %s", one.name, one.count)
		default:
			hostnames, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hostnames")
			if o.GetLabels()["count"] != one.count || hostnames[0] != "n"+one.count+".example.com" {
				t.Errorf("%s has label %s and hostname %s, and its last acknowledged write was %s", one.name, o.GetLabels()["count"], hostnames[0], one.count)
			}
		}
	}
	t.Logf("%d writes while objects moved", total)
	if total < len(w.all) {
		t.Error("hardly anything was written")
	}
}
