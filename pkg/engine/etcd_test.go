package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	stop   func()
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
	if err := genericoptions.NewEtcdOptions(storage).ApplyTo(config); err != nil {
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

func (r *replica) gateway(ctx context.Context) (*gwv1.Gateway, error) {
	obj, err := r.stores[graph.KindGateway].Get(genericapirequest.WithNamespace(ctx, "ns"), "gw", &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*gwv1.Gateway), nil
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

// TestConvergence: routes are made and deleted through two replicas at once, and the one that leads dies in the midst of it.
// What is stored in the end is what a fresh engine says.
func TestConvergence(t *testing.T) {
	t.Parallel()
	endpoint, a, b := startReplicas(t)
	a.engine.SetLeader(true)
	if _, err := a.create(t.Context(), graph.KindGateway, newGateway()); err != nil {
		t.Fatal(err)
	}
	const each = 60
	var clients errgroup.Group
	for n, r := range []*replica{a, b, b} {
		clients.Go(func() error {
			for i := range each {
				name := fmt.Sprintf("r%d-%d", n, i)
				if _, err := r.create(t.Context(), graph.KindHTTPRoute, newRoute(name)); err != nil {
					return err
				}
				if i%3 == 2 {
					if err := r.delete(t.Context(), graph.KindHTTPRoute, name); err != nil {
						return err
					}
				}
				if r == a && i == each/2 {
					a.stop()
					b.engine.SetLeader(true)
					r = b
				}
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		t.Fatal(err)
	}
	fresh := startReplica(t, endpoint)
	t.Cleanup(fresh.stop)
	var diff string
	if wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		diff = ""
		for _, r := range []*replica{b, fresh} {
			stored, err := r.gateway(ctx)
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			due := stored.DeepCopy()
			fresh.engine.Render(due)
			diff += cmp.Diff(due.Status, stored.Status)
			if got, want := stored.Status.Listeners[0].AttachedRoutes, int32(3*each*2/3); got != want {
				diff += fmt.Sprintf("attachedRoutes %d, want %d\n", got, want)
			}
		}
		return diff == "", nil
	}) != nil {
		t.Error(strings.TrimSpace(diff))
	}
}
