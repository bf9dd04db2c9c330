package app

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// TestHistory has several clients write the same few objects at the same time. Once they are done, all statuses and the
// Envoy configuration are what an engine makes of the stored objects that has seen nothing but these.
func TestHistory(t *testing.T) {
	t.Parallel()
	server, config := startStandalone(t)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	w := writer{client, server.resources()}
	for _, key := range graphtest.KeysOf(graph.KindNamespace) {
		if err := w.apply(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": key.Name},
		}}, key); err != nil {
			t.Fatal(err)
		}
	}
	var clients errgroup.Group
	var written, refused atomic.Int64
	for seed := range uint64(4) {
		clients.Go(func() error {
			for change := range graphtest.New(graphtest.Random(seed, 2000)).Changes() {
				switch err := w.write(t.Context(), change); {
				case err == nil:
					written.Add(1)
				case apierrors.IsInvalid(err) || apierrors.IsNotFound(err) || apierrors.IsConflict(err):
					refused.Add(1)
				default:
					return fmt.Errorf("%s: %w", change, err)
				}
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		t.Fatal(err)
	}
	if written.Load() < refused.Load() {
		t.Errorf("%d writes, and %d were refused: that is no history", written.Load(), refused.Load())
	}

	sources := map[graph.Kind]engine.Source{}
	for kind, store := range server.api.Stores {
		if store.Kind.Modelled {
			sources[graph.Kind(kind.Kind)] = store
		}
	}
	xds := cache.New(nodes.Bases()...)
	fresh := engine.New(xds, klog.FromContext(t.Context()))
	go fresh.Run(t.Context(), engine.Inputs{Sources: sources})
	if err := fresh.WaitForSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Sources may be behind what is stored, and writes don't wait forever for the statuses of others.
	var diff string
	if wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		diff = configurationDiff(xds, server.cache) + statusDiff(ctx, t, fresh, sources)
		return diff == "", nil
	}) != nil {
		t.Errorf("as it should be (-) and as it is (+):\n%s", diff)
	}
}

// configurationDiff compares what is published for every Gateway and the mesh.
func configurationDiff(want, got *cache.Cache) string {
	scopes := nodes.Bases()
	for _, base := range nodes.Bases() {
		scopes = append(scopes, nodes.ConsumerScope(base, "app"), nodes.ConsumerScope(base, "infra"))
	}
	for _, key := range graphtest.KeysOf(graph.KindGateway) {
		scopes = append(scopes, engine.GatewayScope(key.NamespacedName()))
	}
	read := func(c *cache.Cache) map[string]any {
		all := map[string]any{}
		for _, scope := range scopes {
			resources := map[string]string{}
			for _, r := range c.Resources(scope) {
				resources[r.TypeURL()+" "+r.Name()] = r.Version()
			}
			all[scope] = map[string]any{"published": c.Published(scope), "resources": resources}
		}
		return all
	}
	return cmp.Diff(read(want), read(got))
}

// statusDiff compares the statuses of all objects with those that e renders for them.
func statusDiff(ctx context.Context, t *testing.T, e *engine.Engine, sources map[graph.Kind]engine.Source) string {
	var diff string
	for _, source := range sources {
		list, err := source.ListAll(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		objects, err := meta.ExtractList(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, stored := range objects {
			due := stored.DeepCopyObject()
			e.Render(due)
			diff += cmp.Diff(due, stored)
		}
	}
	return diff
}

// resources returns the resource of each kind that the graph holds.
func (s *standalone) resources() map[graph.Kind]schema.GroupVersionResource {
	resources := map[graph.Kind]schema.GroupVersionResource{}
	for kind, store := range s.api.Stores {
		if store.Kind.Modelled {
			resources[graph.Kind(kind.Kind)] = store.Version.GroupVersion().WithResource(store.Version.Resource)
		}
	}
	return resources
}

// writer makes the changes of a history through the API.
type writer struct {
	client    dynamic.Interface
	resources map[graph.Kind]schema.GroupVersionResource
}

func (w writer) write(ctx context.Context, change graphtest.Change) error {
	if change.Action == graphtest.Delete {
		if change.Key.Kind == graph.KindNamespace { // all would be gone
			return nil
		}
		return w.client.Resource(w.resources[change.Key.Kind]).Namespace(change.Key.Namespace).Delete(ctx, change.Key.Name, metav1.DeleteOptions{})
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(change.Object)
	if err != nil {
		return err
	}
	obj := &unstructured.Unstructured{Object: content}
	obj.SetGroupVersionKind(w.resources[change.Key.Kind].GroupVersion().WithKind(string(change.Key.Kind)))
	delete(content, "status")
	obj.SetManagedFields(nil)
	obj.SetResourceVersion("")
	obj.SetCreationTimestamp(metav1.Time{})
	unstructured.RemoveNestedField(content, "metadata", "generation")
	return w.apply(ctx, obj, change.Key)
}

func (w writer) apply(ctx context.Context, obj *unstructured.Unstructured, key graph.Key) error {
	_, err := w.client.Resource(w.resources[key.Kind]).Namespace(key.Namespace).
		Apply(ctx, key.Name, obj, metav1.ApplyOptions{FieldManager: "history", Force: true})
	return err
}
