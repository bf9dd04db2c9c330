package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/progress"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

const root = "/engine-test"

// A replica is stores with their engine, as a server has them, over an etcd that it shares with other replicas.
type replica struct {
	engine *engine.Engine
	stores map[graph.Kind]*registry.Store
	// raw stores routes as a replica does that dies right after.
	raw  *registry.Store
	stop func()
}

func startReplica(t *testing.T, etcdEndpoint string) *replica {
	t.Helper()
	transport := storagebackend.TransportConfig{ServerList: []string{etcdEndpoint}}
	client, err := etcd.NewClient(transport)
	if err != nil {
		t.Fatal(err)
	}
	config := genericapiserver.NewConfig(apis.Codecs)
	storage := storagebackend.NewDefaultConfig(root, apis.Codecs.LegacyCodec(apis.StorageVersions...))
	storage.Transport = transport
	options := genericoptions.NewEtcdOptions(storage)
	options.SkipHealthEndpoints = true // whose clients would outlive the test
	if err := options.ApplyTo(config); err != nil {
		t.Fatal(err)
	}
	r := &replica{engine: engine.New(cache.New(), klog.Background()), stores: map[graph.Kind]*registry.Store{}}
	in := engine.Inputs{Sources: map[graph.Kind]engine.Source{}, Writers: map[graph.Kind]engine.StatusWriter{}}
	prefixes := map[graph.Kind]string{}
	for _, kind := range registry.GatewayKinds(crd.ExperimentalChannel) {
		if !kind.Modelled {
			continue
		}
		store, err := registry.NewStore(kind, config.RESTOptionsGetter, r.engine)
		if err != nil {
			t.Fatal(err)
		}
		name := graph.Kind(kind.GroupKind().Kind)
		if name == graph.KindHTTPRoute {
			if r.raw, err = registry.NewStore(kind, config.RESTOptionsGetter, nil); err != nil {
				t.Fatal(err)
			}
		}
		r.stores[name], in.Sources[name] = store, store
		if name != graph.KindReferenceGrant {
			in.Writers[name] = store
		}
		prefixes[name] = root + store.KeyRootFunc(genericapirequest.WithNamespace(t.Context(), metav1.NamespaceAll))
	}
	tracker := progress.New(client, root, prefixes)
	in.Progress = tracker
	ctx, cancel := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { tracker.Run(ctx); return nil })
	running.Go(func() error { r.engine.Run(ctx, in); return nil })
	r.stop = sync.OnceFunc(func() {
		cancel()
		_ = running.Wait() // which never fails
		for _, store := range r.stores {
			store.Destroy()
		}
		r.raw.Destroy()
		client.Close()
	})
	if err := r.engine.WaitForSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *replica) create(ctx context.Context, kind graph.Kind, obj runtime.Object) (runtime.Object, error) {
	ctx = genericapirequest.WithNamespace(ctx, obj.(metav1.Object).GetNamespace())
	return r.stores[kind].Create(ctx, obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
}

func (r *replica) delete(ctx context.Context, kind graph.Kind, name string) error {
	_, _, err := r.stores[kind].Delete(genericapirequest.WithNamespace(ctx, "ns"), name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
	return err
}

func class() *gwv1.GatewayClass {
	return &gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}}
}

func newGateway() *gwv1.Gateway {
	return &gwv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "gw"}, Spec: gwv1.GatewaySpec{
		GatewayClassName: "ours", Listeners: []gwv1.Listener{{Name: "http", Port: 80, Protocol: gwv1.HTTPProtocolType}},
	}}
}

func newRoute(name string) *gwv1.HTTPRoute {
	route := &gwv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	route.Spec.ParentRefs = []gwv1.ParentReference{{Name: "gw"}}
	return route
}

// startReplicas starts an etcd with a class and two replicas.
func startReplicas(t *testing.T) (endpoint string, a, b *replica) {
	t.Helper()
	server, err := etcd.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	a, b = startReplica(t, server.Endpoint()), startReplica(t, server.Endpoint())
	t.Cleanup(func() { a.stop(); b.stop() })
	if _, err := a.create(t.Context(), graph.KindGatewayClass, class()); err != nil {
		t.Fatal(err)
	}
	return server.Endpoint(), a, b
}

// TestAcrossReplicas: a write through one replica is judged by what was written through the other one right before, be it an
// object that is new or one that is gone.
func TestAcrossReplicas(t *testing.T) {
	t.Parallel()
	_, a, b := startReplicas(t)
	for i := range 30 {
		if _, err := a.create(t.Context(), graph.KindGateway, newGateway()); err != nil {
			t.Fatal(err)
		}
		for _, exists := range []bool{true, false} {
			name := fmt.Sprintf("r%d-%t", i, exists)
			route, err := b.create(t.Context(), graph.KindHTTPRoute, newRoute(name))
			if err != nil {
				t.Fatal(err)
			}
			if judged := len(route.(*gwv1.HTTPRoute).Status.Parents) > 0; judged != exists {
				t.Fatalf("%s: the Gateway exists: %t, its route is judged: %t", name, exists, judged)
			}
			if err := b.delete(t.Context(), graph.KindHTTPRoute, name); err != nil {
				t.Fatal(err)
			}
			if exists {
				if err := a.delete(t.Context(), graph.KindGateway, "gw"); err != nil {
					t.Fatal(err)
				}
			}
		}
		a, b = b, a
	}
}

// TestConvergence: routes are made and deleted through two replicas at once, and through a third one that settles nothing of
// it. The one that leads dies in the midst of it. What is stored in the end is what a fresh engine says.
func TestConvergence(t *testing.T) {
	t.Parallel()
	endpoint, a, b := startReplicas(t)
	a.engine.SetLeader(true)
	if _, err := a.create(t.Context(), graph.KindGateway, newGateway()); err != nil {
		t.Fatal(err)
	}
	const each = 60
	var clients errgroup.Group
	clients.Go(func() error {
		for i := range each {
			r := a
			if i >= each/2 {
				r = b
			}
			if err := r.createAndDelete(t.Context(), 0, i); err != nil {
				return err
			}
			if i == each/2-1 {
				a.stop()
				b.engine.SetLeader(true)
			}
		}
		return nil
	})
	clients.Go(func() error {
		for i := range each {
			if err := b.createAndDelete(t.Context(), 1, i); err != nil {
				return err
			}
		}
		return nil
	})
	ctx := genericapirequest.WithNamespace(t.Context(), "ns")
	raw := func(first, last int) error {
		for i := first; i < last; i++ {
			if _, err := b.raw.Create(ctx, newRoute(fmt.Sprintf("raw%d", i)), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
	clients.Go(func() error { return raw(0, each-1) })
	if err := errors.Join(clients.Wait(), raw(each-1, each)); err != nil {
		t.Fatal(err)
	}

	fresh := startReplica(t, endpoint)
	t.Cleanup(fresh.stop)
	var diff string
	if wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		var err error
		diff, err = b.differences(ctx, fresh.engine)
		return diff == "", err
	}) != nil {
		t.Errorf("as it should be (-) and as it is (+):\n%s", diff)
	}
	gateway, err := b.stores[graph.KindGateway].Get(ctx, "gw", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := gateway.(*gwv1.Gateway).Status.Listeners[0].AttachedRoutes, int32(2*each*2/3+each); got != want {
		t.Errorf("attachedRoutes %d, want %d", got, want)
	}
}

// createAndDelete makes a route, and deletes every third one again.
func (r *replica) createAndDelete(ctx context.Context, client, i int) error {
	name := fmt.Sprintf("r%d-%d", client, i)
	if _, err := r.create(ctx, graph.KindHTTPRoute, newRoute(name)); err != nil || i%3 != 2 {
		return err
	}
	return r.delete(ctx, graph.KindHTTPRoute, name)
}

// differences compares what is stored with what an engine says of it.
func (r *replica) differences(ctx context.Context, e *engine.Engine) (diff string, err error) {
	for _, kind := range []graph.Kind{graph.KindGateway, graph.KindHTTPRoute} {
		list, err := r.stores[kind].ListAll(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		if err := meta.EachListItem(list, func(stored runtime.Object) error {
			due := stored.DeepCopyObject()
			e.Render(due)
			diff += cmp.Diff(due, stored)
			return nil
		}); err != nil {
			return "", err
		}
	}
	return diff, nil
}
