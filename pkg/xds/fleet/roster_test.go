package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// envoy returns a node that connected some seconds after noon.
func envoy(id, scope string, seconds int) server.NodeInfo {
	return server.NodeInfo{
		ID: id, Cluster: "edge", Identity: "system:serviceaccount:ns:envoy", Scope: scope, Version: "1.36.2", Protocol: "delta",
		Since: noon.Add(time.Duration(seconds) * time.Second), Current: true, Streams: 1,
		Acknowledged: map[string]string{resource.ListenerType: "l1", resource.ClusterType: "c1"},
	}
}

// shows waits until the stored EnvoyNodes are just those, as "name: node scope replica".
func shows(t *testing.T, objects *registry.Store, what string, want ...string) {
	t.Helper()
	have := map[string]bool{}
	for _, w := range want {
		have[w] = true
	}
	var diff string
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		list, err := objects.ListAll(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		got := map[string]bool{}
		for _, o := range list.(*fleetv1alpha1.EnvoyNodeList).Items {
			got[fmt.Sprintf("%s: %s %s %s", o.Name, o.Status.NodeID, o.Status.Scope, o.Status.Replica)] = true
		}
		diff = cmp.Diff(have, got)
		return maps.Equal(have, got), nil
	}); err != nil {
		t.Fatalf("%s: %v (-want +got):\n%s", what, err, diff)
	}
}

// cached waits until the replicas, which look for EnvoyNodes in a cache, see that one is another replica's, or gone if that is empty.
func cached(t *testing.T, objects *registry.Store, name, replica string) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		o, err := objects.Get(ctx, name, &metav1.GetOptions{ResourceVersion: "0"})
		if apierrors.IsNotFound(err) {
			return replica == "", nil
		}
		return err == nil && o.(*fleetv1alpha1.EnvoyNode).Status.Replica == replica, err
	}); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func status(t *testing.T, objects *registry.Store, name string, until func(*fleetv1alpha1.EnvoyNodeStatus) bool) {
	t.Helper()
	var last *fleetv1alpha1.EnvoyNodeStatus
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		o, err := objects.Get(ctx, name, &metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		last = &o.(*fleetv1alpha1.EnvoyNode).Status
		return until(last), nil
	}); err != nil {
		t.Fatalf("%s: %v: %+v", name, err, last)
	}
}

func TestNodes(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	objects := newObjects(t, endpoint)
	r := newReplica(t, endpoint, "a")
	r.connect(envoy("before", "mesh", 1))
	r.run(t, objects)
	shows(t, objects, "one that was there before", "before: before mesh a")

	edge := envoy("edge-1.example", "gateway/shop/web", 2)
	edge.Current = false
	r.connect(edge)
	shows(t, objects, "one more", "before: before mesh a", "edge-1.example: edge-1.example gateway/shop/web a")
	edge.Current, edge.Acknowledged = true, map[string]string{resource.RouteType: "r7"}
	r.connect(edge)
	status(t, objects, "edge-1.example", func(s *fleetv1alpha1.EnvoyNodeStatus) bool { return s.Current && s.Acknowledged[0].Version == "r7" })
	edge.Rejected = []cache.RejectedResource{{Name: cache.Name{TypeURL: resource.RouteType, Name: "http"}, Version: "r8", Message: "no"}}
	r.connect(edge)
	status(t, objects, "edge-1.example", func(s *fleetv1alpha1.EnvoyNodeStatus) bool { return s.Rejections == 1 })

	r.disconnect(envoy("before", "mesh", 1))
	shows(t, objects, "one that has gone", "edge-1.example: edge-1.example gateway/shop/web a")
	r.disconnect(edge)
	edge.Since = noon.Add(time.Hour)
	r.connect(edge)
	status(t, objects, "edge-1.example", func(s *fleetv1alpha1.EnvoyNodeStatus) bool { return s.ConnectedSince.Time.Equal(edge.Since) })
}

// TestSameID: nodes of one id are two if they get different things, and ids that aren't names are shown under others.
func TestSameID(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	objects := newObjects(t, endpoint)
	r := newReplica(t, endpoint, "a")
	r.run(t, objects)
	one, two, three := envoy("envoy", "gateway/ns/one", 1), envoy("envoy", "gateway/ns/two", 1), envoy("Sidecar~10.0.0.1", "mesh", 1)
	r.connect(one)
	shows(t, objects, "the first", "envoy: envoy gateway/ns/one a")
	r.connect(two)
	r.connect(three)
	all := []string{
		"envoy: envoy gateway/ns/one a", names(node{"envoy", "gateway/ns/two"})[1] + ": envoy gateway/ns/two a",
		names(node{"Sidecar~10.0.0.1", "mesh"})[0] + ": Sidecar~10.0.0.1 mesh a",
	}
	shows(t, objects, "all", all...)
	r.disconnect(one)
	shows(t, objects, "two that keep their names", all[1:]...)
}

// TestMove: a node that connects to another replica is shown there, and by the replica that it has left no more.
func TestMove(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	objects := newObjects(t, endpoint)
	a, b := newReplica(t, endpoint, "a"), newReplica(t, endpoint, "b")
	a.run(t, objects)
	b.run(t, objects)
	a.connect(envoy("edge", "mesh", 1))
	shows(t, objects, "at first", "edge: edge mesh a")
	b.connect(envoy("edge", "mesh", 2))
	shows(t, objects, "moved", "edge: edge mesh b")
	a.disconnect(envoy("edge", "mesh", 1))
	uid := stored(t, objects)[0].UID
	a.connect(envoy("other", "mesh", 3))
	shows(t, objects, "later", "edge: edge mesh b", "other: other mesh a")
	if got := stored(t, objects)[0].UID; got != uid {
		t.Error("the EnvoyNode was removed meanwhile")
	}
	// The newer connection counts, and the older one when that is gone.
	a.connect(envoy("edge", "mesh", 0))
	a.connect(envoy("last", "mesh", 3))
	shows(t, objects, "an older connection", "edge: edge mesh b", "other: other mesh a", "last: last mesh a")
	b.disconnect(envoy("edge", "mesh", 2))
	shows(t, objects, "the older one alone", "edge: edge mesh a", "other: other mesh a", "last: last mesh a")
}

// TestLeftBehind: the EnvoyNodes of a replica that is gone are removed by the others, and those of an earlier run by the next.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	objects := newObjects(t, endpoint)
	a, b := newReplica(t, endpoint, "a"), newReplica(t, endpoint, "b")
	a.run(t, objects)
	a.connect(envoy("of-a", "mesh", 1))
	a.connect(envoy("comes-back", "mesh", 1))
	shows(t, objects, "of a", "of-a: of-a mesh a", "comes-back: comes-back mesh a")
	a.stop()
	b.run(t, objects)
	b.connect(envoy("of-b", "mesh", 1))
	shows(t, objects, "a is gone", "of-b: of-b mesh b")

	b.stop()
	again := newReplica(t, endpoint, "b")
	again.connect(envoy("new", "mesh", 1))
	again.run(t, objects)
	shows(t, objects, "b has started again", "new: new mesh b")

	// A replica that was taken for dead shows its nodes again.
	if err := objects.Remove(t.Context(), types.NamespacedName{Name: "new"}, func(runtime.Object) error { return nil }); err != nil {
		t.Fatal(err)
	}
	revoke(t, again.client)
	again.deliver("mesh", "v1", 1, 1)
	shows(t, objects, "not dead", "new: new mesh b")
}

// TestOtherName: a node that gets the name which another one had isn't also shown under the one that it had before a restart.
func TestOtherName(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	objects := newObjects(t, endpoint)
	a := newReplica(t, endpoint, "a")
	a.run(t, objects)
	one, two := envoy("envoy", "gateway/ns/one", 1), envoy("envoy", "gateway/ns/two", 1)
	a.connect(one)
	shows(t, objects, "the first", "envoy: envoy gateway/ns/one a")
	a.connect(two)
	long := names(node{"envoy", "gateway/ns/two"})[1] + ": envoy gateway/ns/two a"
	shows(t, objects, "both", "envoy: envoy gateway/ns/one a", long)
	a.disconnect(one)
	shows(t, objects, "the second", long)
	a.stop()

	again, b := newReplica(t, endpoint, "a"), newReplica(t, endpoint, "b")
	b.run(t, objects)
	b.deliver("mesh", "v1", 1, 1)
	two.Since = noon.Add(time.Minute)
	again.connect(two)
	again.run(t, objects)
	again.hears(t, "b is present", report("b", "mesh", "v1", 1, 1))
	status(t, objects, "envoy", func(s *fleetv1alpha1.EnvoyNodeStatus) bool { return s.Scope == two.Scope })
	b.stop() // which has the others look
	shows(t, objects, "after a restart", "envoy: envoy gateway/ns/two a")
}

// TestTakenOver: an EnvoyNode that a replica took over which was mistaken is taken back.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	objects := newObjects(t, endpoint)
	a, b := newReplica(t, endpoint, "a"), newReplica(t, endpoint, "b")
	a.run(t, objects)
	a.connect(envoy("edge", "mesh", 2))
	shows(t, objects, "at first", "edge: edge mesh a")
	b.run(t, objects)
	b.deliver("mesh", "v1", 1, 1)
	a.hears(t, "b is present", report("b", "mesh", "v1", 1, 1))
	mistaken := statusOf("b", envoy("edge", "mesh", 1))
	if err := objects.Put(t.Context(), types.NamespacedName{Name: "edge"}, func(o runtime.Object) error { return update(o, &mistaken, "a") }); err != nil {
		t.Fatal(err)
	}
	cached(t, objects, "edge", "b")
	b.stop() // which has the others look
	shows(t, objects, "taken back", "edge: edge mesh a")
}

// TestManyLeftBehind: of what a replica has left behind, each of the others removes its share, and asks for that replica a few times.
func TestManyLeftBehind(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	objects := newObjects(t, endpoint)
	var others []*replica
	var removals, questions atomic.Int64
	const left = 2*clearedAtOnce + 50
	for i := range left {
		status := statusOf("gone", envoy(fmt.Sprint("left-", i), "mesh", 1))
		if err := objects.Put(t.Context(), types.NamespacedName{Name: status.NodeID}, func(o runtime.Object) error { return update(o, &status, "") }); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b"} {
		r := newReplica(t, endpoint, name)
		r.client.KV = &questioned{r.client.KV, &questions}
		others = append(others, r)
	}
	for _, r := range others {
		r.run(t, &removing{objects, &removals})
	}
	shows(t, objects, "in the end")
	if n := removals.Load(); n >= 2*left {
		t.Errorf("%d removals of %d", n, left)
	}
	if n := questions.Load(); n > 20 {
		t.Errorf("asked %d times for a replica", n)
	}
}

// removing counts removals.
type removing struct {
	*registry.Store
	n *atomic.Int64
}

func (r *removing) Remove(ctx context.Context, name types.NamespacedName, check func(runtime.Object) error) error {
	r.n.Add(1)
	return r.Store.Remove(ctx, name, check)
}

// questioned counts reads.
type questioned struct {
	clientv3.KV
	n *atomic.Int64
}

func (q *questioned) Get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	q.n.Add(1)
	return q.KV.Get(ctx, key, options...)
}

// TestRemovedByMistake: an EnvoyNode that another replica has removed is written again.
func TestRemovedByMistake(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	objects := newObjects(t, endpoint)
	a, b := newReplica(t, endpoint, "a"), newReplica(t, endpoint, "b")
	a.run(t, objects)
	a.connect(envoy("edge", "mesh", 2))
	shows(t, objects, "at first", "edge: edge mesh a")
	b.run(t, objects)
	b.deliver("mesh", "v1", 1, 1)
	a.hears(t, "b is present", report("b", "mesh", "v1", 1, 1))
	if err := objects.Remove(t.Context(), types.NamespacedName{Name: "edge"}, func(runtime.Object) error { return nil }); err != nil {
		t.Fatal(err)
	}
	cached(t, objects, "edge", "")
	b.stop() // which has the others look
	shows(t, objects, "back", "edge: edge mesh a")
}

// TestBudget: what can't be afforded isn't written.
func TestBudget(t *testing.T) {
	t.Parallel()
	r := newRoster(New().pace, Config{})
	defer r.queue.ShutDown()
	if r.budget.Limit() != writesPerSecond || r.budget.Burst() != burst {
		t.Errorf("the budget is %v, %d", r.budget.Limit(), r.budget.Burst())
	}
	r.budget = rate.NewLimiter(rate.Every(time.Hour), 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	writes := 0
	for i := range 4 {
		err := r.afford(ctx, func(context.Context) error {
			writes++
			return nil
		})
		if (err == nil) != (i < 2) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if writes != 2 {
		t.Errorf("%d writes", writes)
	}
}

// TestCoalesce: what changes while it waits to be written is written once, as it is then.
func TestCoalesce(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	replica := newReplica(t, endpoint, "a")
	gated := &gated{newObjects(t, endpoint), make(chan struct{}), make(chan struct{})}
	replica.run(t, gated)
	var want []string
	for i := range workers {
		replica.connect(envoy(fmt.Sprint(i), "mesh", 1))
		want = append(want, fmt.Sprintf("%d: %d mesh a", i, i))
		<-gated.arrived
	}
	for i := range 50 {
		replica.connect(envoy("last", "mesh", i))
	}
	close(gated.open)
	shows(t, gated.Store, "all", append(want, "last: last mesh a")...)
	status(t, gated.Store, "last", func(s *fleetv1alpha1.EnvoyNodeStatus) bool {
		return s.ConnectedSince.Time.Equal(noon.Add(49 * time.Second))
	})
	last, err := replica.client.Get(t.Context(), prefix+gated.Root()+"last")
	if err != nil || len(last.Kvs) != 1 || last.Kvs[0].Version != 1 {
		t.Errorf("not written once: %v, %v", last, err)
	}
}

// gated has writes wait.
type gated struct {
	*registry.Store
	arrived, open chan struct{}
}

func (g *gated) Put(ctx context.Context, name types.NamespacedName, update func(runtime.Object) error) error {
	select {
	case g.arrived <- struct{}{}:
		<-g.open
	case <-g.open:
	}
	return g.Store.Put(ctx, name, update)
}

// TestUnwritable: etcd is asked again for what it refused.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	replica := newReplica(t, endpoint, "a")
	failing := &failing{Store: newObjects(t, endpoint), failures: 3}
	replica.run(t, failing)
	replica.connect(envoy("edge", "mesh", 1))
	shows(t, failing.Store, "in the end", "edge: edge mesh a")
}

// failing fails at first.
type failing struct {
	*registry.Store
	failures int
}

func (f *failing) Put(ctx context.Context, name types.NamespacedName, update func(runtime.Object) error) error {
	if f.failures--; f.failures >= 0 {
		return errors.New("no space")
	}
	return f.Store.Put(ctx, name, update)
}

func TestNames(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"edge-1":                 "edge-1",
		"edge-1.example.com":     "edge-1.example.com",
		"Edge_1":                 "edge-1-*",
		"sidecar~10.0.0.1~a.b":   "sidecar-10-0-0-1-a-b-*",
		"":                       "node-*",
		"äöü":                    "node-*",
		"-.-":                    "node-*",
		strings.Repeat("A", 600): strings.Repeat("a", 200) + "-*",
	} {
		got := names(node{id, "mesh"})
		for _, name := range got {
			if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
				t.Errorf("%q: %s: %v", id, name, wrong)
			}
		}
		if start, hashed := strings.CutSuffix(want, "*"); got[0] != want && (!hashed || !strings.HasPrefix(got[0], start) || len(got[0]) != len(start)+8) {
			t.Errorf("%q: %s, expected %s", id, got[0], want)
		}
		other := names(node{id, "gateway/ns/gw"})
		if other[len(other)-1] == got[len(got)-1] {
			t.Errorf("%q: the same name %s in two scopes", id, got[len(got)-1])
		}
	}
	if names(node{"a_b", "mesh"})[0] == names(node{"a~b", "mesh"})[0] {
		t.Error("the same name for two ids")
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	since := noon.Add(1234 * time.Nanosecond)
	info := server.NodeInfo{
		ID: "edge", Cluster: "c", Identity: "who\n", Scope: "gateway/shop/web", Version: "1.36.2", Protocol: "sotw", Since: since,
		Acknowledged: map[string]string{resource.ListenerType: "l1", resource.ClusterType: "c1", "type.googleapis.com/other": "o"},
	}
	for i := range maxListed + 3 {
		info.Rejected = append(info.Rejected, cache.RejectedResource{
			Name: cache.Name{TypeURL: resource.RouteType, Name: fmt.Sprint(i)}, Version: "v", Message: "\x1b[31m" + strings.Repeat("x", 2000),
		})
	}
	got := statusOf("a", info)
	if len(got.Rejected) != maxListed || got.Rejections != maxListed+3 {
		t.Errorf("%d listed of %d", len(got.Rejected), got.Rejections)
	}
	if m := got.Rejected[0].Message; len(m) > maxMessage+100 || !strings.HasPrefix(m, `\x1b[31mxxx`) {
		t.Errorf("message %q", m)
	}
	got.Rejected = nil
	want := fleetv1alpha1.EnvoyNodeStatus{
		NodeID: "edge", Cluster: "c", Identity: `who\n`, Scope: "gateway/shop/web", Gateway: "shop/web", Version: "1.36.2", Protocol: "sotw",
		Replica: "a", ConnectedSince: metav1.NewMicroTime(noon.Add(time.Microsecond)), Rejections: maxListed + 3,
		Acknowledged: []fleetv1alpha1.AcknowledgedResources{{Type: "clusters", Version: "c1"}, {Type: "listeners", Version: "l1"}, {Type: "type.googleapis.com/other", Version: "o"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := statusOf("a", server.NodeInfo{Scope: "fleet/infra/edge"}); got.Fleet != "infra/edge" || got.Gateway != "" {
		t.Errorf("%+v", got)
	}
}
