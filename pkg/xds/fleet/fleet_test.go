package fleet

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

const prefix = "/fleet-test"

// startEtcd runs an etcd on dir until the test ends, or stop is called.
func startEtcd(t *testing.T, dir string) (endpoint string, stop func()) {
	t.Helper()
	server, err := etcd.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(server.Stop)
	t.Cleanup(stop)
	return server.Endpoint(), stop
}

// connections are what is connected to a replica.
type connections struct {
	mu         sync.Mutex
	deliveries map[string]cache.Delivery
	nodes      map[string]server.NodeInfo
	changed    func(server.NodeInfo, bool)
}

func (c *connections) Delivery(scope string) cache.Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deliveries[scope]
}

func (c *connections) Follow(changed func(server.NodeInfo, bool)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed = changed
	for _, n := range c.nodes {
		changed(n, false)
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed = nil
	}
}

func (c *connections) connect(n server.NodeInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[n.Scope+" "+n.ID] = n
	if c.changed != nil {
		c.changed(n, false)
	}
}

func (c *connections) disconnect(n server.NodeInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.nodes, n.Scope+" "+n.ID)
	if c.changed != nil {
		c.changed(server.NodeInfo{ID: n.ID, Scope: n.Scope}, true)
	}
}

// A replica has a store, and connections that a test makes.
type replica struct {
	*connections
	name   string
	store  *Store
	client *clientv3.Client
	stop   func()
	// unplug ends the connection to etcd.
	unplug func()

	mu    sync.Mutex
	heard map[string][]Report
	told  chan struct{} // has an entry when it has heard something
}

// newReplica returns a replica whose nodes may be away for a moment, and that doesn't run yet.
func newReplica(t *testing.T, endpoint, name string) *replica {
	t.Helper()
	client, err := etcd.NewClient(storagebackend.TransportConfig{ServerList: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{
		connections: &connections{deliveries: map[string]cache.Delivery{}, nodes: map[string]server.NodeInfo{}},
		name:        name, store: New(), client: client,
		heard: map[string][]Report{}, told: make(chan struct{}, 1),
	}
	r.unplug = sync.OnceFunc(func() { client.Close() })
	t.Cleanup(r.unplug)
	r.store.pace = pace{settle: time.Millisecond, interval: 20 * time.Millisecond, linger: 50 * time.Millisecond}
	r.store.Follow(func(scope string, reports []Report) {
		r.mu.Lock()
		r.heard[scope] = reports
		if len(reports) == 0 {
			delete(r.heard, scope)
		}
		r.mu.Unlock()
		select {
		case r.told <- struct{}{}:
		default:
		}
	})
	return r
}

func (r *replica) config(objects Objects) Config {
	return Config{Client: r.client, Prefix: Prefix(prefix), Replica: r.name, Nodes: r, Deliveries: r, Objects: objects}
}

// run runs the replica until it is stopped, or the test ends.
func (r *replica) run(t *testing.T, objects Objects) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.store.Run(ctx, r.config(objects))
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(r.stop)
}

// startReplica starts a replica with EnvoyNodes of its own stores.
func startReplica(t *testing.T, endpoint, name string) *replica {
	t.Helper()
	r := newReplica(t, endpoint, name)
	r.run(t, newObjects(t, endpoint))
	return r
}

// newObjects returns the EnvoyNodes as a server has them.
func newObjects(t *testing.T, endpoint string) *registry.Store {
	t.Helper()
	config := genericapiserver.NewConfig(apis.Codecs)
	storage := storagebackend.NewDefaultConfig(prefix, apis.Codecs.LegacyCodec(apis.StorageVersions...))
	storage.Transport.ServerList = []string{endpoint}
	options := genericoptions.NewEtcdOptions(storage)
	options.SkipHealthEndpoints = true
	if err := options.ApplyTo(config); err != nil {
		t.Fatal(err)
	}
	for _, kind := range registry.OwnKinds() {
		if kind.GroupKind().Kind == "EnvoyNode" {
			store, err := registry.NewStore(kind, config.RESTOptionsGetter, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(store.Destroy)
			if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
				_, err := store.ListAll(ctx, metav1.ListOptions{ResourceVersion: "0"})
				return err == nil, nil
			}); err != nil {
				t.Fatalf("waiting for the watch cache: %v", err)
			}
			return store
		}
	}
	t.Fatal("there is no kind EnvoyNode")
	return nil
}

// deliver says what the nodes of a scope have.
func (r *replica) deliver(scope, version string, nodes, current int) {
	r.connections.mu.Lock()
	r.deliveries[scope] = cache.Delivery{Version: version, Streams: nodes, Current: current}
	r.connections.mu.Unlock()
	r.store.Delivered(scope)
}

// hears waits until the replica has heard just some reports.
func (r *replica) hears(t *testing.T, what string, want ...Report) {
	t.Helper()
	by := map[string][]Report{}
	for _, report := range want {
		by[report.Scope] = append(by[report.Scope], report)
	}
	timeout := time.After(time.Minute)
	for {
		r.mu.Lock()
		heard := maps.Clone(r.heard)
		r.mu.Unlock()
		diff := gocmp.Diff(by, heard)
		if diff == "" {
			return
		}
		select {
		case <-r.told:
		case <-timeout:
			t.Fatalf("%s: %s doesn't hear that (-want +got):\n%s", what, r.name, diff)
		}
	}
}

func report(replica, scope, version string, nodes, current int) Report {
	return Report{Replica: replica, Scope: scope, Version: version, Nodes: nodes, Current: current}
}

// revoke takes the leases of all replicas away, as when they have expired.
func revoke(t *testing.T, client *clientv3.Client) {
	t.Helper()
	leases, err := client.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, lease := range leases.Leases {
		if _, err := client.Revoke(t.Context(), lease.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReports(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	a, b := startReplica(t, endpoint, "a"), startReplica(t, endpoint, "b/1")
	a.deliver("gateway/ns/one", "v1", 3, 2)
	b.hears(t, "nodes of another replica", report("a", "gateway/ns/one", "v1", 3, 2))
	a.hears(t, "its own nodes", report("a", "gateway/ns/one", "v1", 3, 2))
	b.deliver("gateway/ns/one", "v2", 5, 5)
	b.deliver("mesh", "v1", 1, 1)
	a.deliver("gateway/ns/one", "v1", 3, 3)
	all := []Report{report("a", "gateway/ns/one", "v1", 3, 3), report("b/1", "gateway/ns/one", "v2", 5, 5), report("b/1", "mesh", "v1", 1, 1)}
	for _, r := range []*replica{a, b} {
		r.hears(t, "nodes of both", all...)
	}
	late := startReplica(t, endpoint, "c")
	late.hears(t, "what was reported before", all...)

	b.deliver("mesh", "v1", 0, 0)
	a.hears(t, "no node any more", all[:2]...)
	b.stop()
	a.hears(t, "a replica that has stopped", all[0])
	a.stop()
	late.hears(t, "no replica but itself")
	left, err := late.client.Get(t.Context(), Prefix(prefix), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil || len(left.Kvs) != 1 || string(left.Kvs[0].Key) != Prefix(prefix)+"c" {
		t.Errorf("in etcd is %v, %v", left.Kvs, err)
	}
}

// TestDeath: what a replica has reported goes with its lease, and is written anew if the replica isn't dead.
func TestDeath(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	dying, living := startReplica(t, endpoint, "dying"), startReplica(t, endpoint, "living")
	dying.deliver("mesh", "v1", 1, 1)
	living.deliver("mesh", "v1", 2, 2)
	living.hears(t, "both", report("dying", "mesh", "v1", 1, 1), report("living", "mesh", "v1", 2, 2))
	dying.unplug()
	revoke(t, living.client)
	living.deliver("gateway/ns/gw", "v1", 3, 3) // which cannot be written with the old lease
	living.hears(t, "the one that lives", report("living", "mesh", "v1", 2, 2), report("living", "gateway/ns/gw", "v1", 3, 3))
}

// TestRestart: nothing is lost when etcd was away, nor is anything left.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	endpoint, stop := startEtcd(t, dir)
	a, b := startReplica(t, endpoint, "a"), startReplica(t, endpoint, "b")
	for _, scope := range []string{"changes", "stays", "goes"} {
		a.deliver(scope, "v1", 1, 1)
	}
	b.hears(t, "before", report("a", "changes", "v1", 1, 1), report("a", "stays", "v1", 1, 1), report("a", "goes", "v1", 1, 1))
	stop()
	a.deliver("changes", "v2", 2, 2)
	a.deliver("goes", "v1", 0, 0)
	a.deliver("comes", "v2", 3, 0)
	startEtcd(t, dir) // at the same address
	want := []Report{report("a", "changes", "v2", 2, 2), report("a", "stays", "v1", 1, 1), report("a", "comes", "v2", 3, 0)}
	b.hears(t, "after", want...)
	a.hears(t, "after", want...)
}

// TestEarlierRun: a replica replaces what it has left behind.
func TestEarlierRun(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	before := startReplica(t, endpoint, "a")
	before.deliver("old", "v1", 1, 1)
	before.deliver("both", "v1", 1, 1)
	other := startReplica(t, endpoint, "b")
	other.hears(t, "the first run", report("a", "old", "v1", 1, 1), report("a", "both", "v1", 1, 1))
	before.unplug() // its lease has not expired yet
	after := newReplica(t, endpoint, "a")
	after.deliver("both", "v2", 2, 2)
	after.run(t, newObjects(t, endpoint))
	other.hears(t, "the second run", report("a", "both", "v2", 2, 2))
}

// TestReportedNewAndLate: what a replica says of those that aren't current is heard, and of what an older release says, that there are none.
func TestReportedNewAndLate(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	r := startReplica(t, endpoint, "a")
	want := Report{Replica: "a", Scope: "mesh", Version: "v1", Nodes: 9, Current: 4, New: 3, Late: 2}
	for range 2 {
		r.connections.mu.Lock()
		r.deliveries["mesh"] = cache.Delivery{Version: want.Version, Streams: want.Nodes, Current: want.Current, New: want.New, Late: want.Late}
		r.connections.mu.Unlock()
		r.store.Delivered("mesh")
		r.hears(t, "with new and late nodes", want)
		want.New, want.Late = 2, 3 // nothing else has changed
	}
	config := r.config(nil)
	config.Replica = "older"
	if _, err := r.client.Put(t.Context(), config.report("mesh"), `{"version":"v1","nodes":5,"current":4,"rejecting":1}`); err != nil {
		t.Fatal(err)
	}
	r.hears(t, "with a replica of an older release", want, Report{Replica: "older", Scope: "mesh", Version: "v1", Nodes: 5, Current: 4, Rejecting: 1})
}

// TestCompacted: what etcd has forgotten before it was heard is found by a list.
func TestCompacted(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	r, writer := newReplica(t, endpoint, "a"), newReplica(t, endpoint, "b")
	config := writer.config(nil)
	l := newListener(r.store, r.config(nil), newRoster(r.store.pace, r.config(nil)))
	l.at = 1
	l.reports["gone"] = map[string]Report{"b": report("b", "gone", "v1", 1, 1)}
	l.reports["kept"] = map[string]Report{"b": report("b", "kept", "v1", 1, 1)}
	r.heard["gone"], r.heard["kept"] = []Report{l.reports["gone"]["b"]}, []Report{l.reports["kept"]["b"]}
	var last int64
	for _, kv := range [][2]string{
		{config.report("gone"), "{}"}, {config.report("kept"), `{"version":"v1","nodes":1,"current":1}`},
		{config.report("new"), `{"version":"v1","nodes":1,"current":1}`}, {config.report("strange"), "strange"},
	} {
		put, err := writer.client.Put(t.Context(), kv[0], kv[1])
		if err != nil {
			t.Fatal(err)
		}
		last = put.Header.Revision
	}
	if _, err := writer.client.Delete(t.Context(), config.report("gone")); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.client.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.run(ctx) }()
	defer func() { cancel(); <-done }()
	r.hears(t, "after the compaction", report("b", "kept", "v1", 1, 1), report("b", "new", "v1", 1, 1))
}

// TestPace: a Report is written at once, then once in each interval, and not at all if it says the same.
func TestPace(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	replica := newReplica(t, endpoint, "a")
	replica.store.pace = New().pace
	r := newReporter(replica.store, replica.config(nil), nil)
	lease, err := replica.client.Grant(t.Context(), 600)
	if err != nil {
		t.Fatal(err)
	}
	var writes int64
	start := time.Now()
	for _, step := range []struct {
		at       time.Duration
		nodes    int
		writes   int64
		next     time.Duration // from start; 0 if nothing is due
		whatever string
	}{
		{0, 1, 0, 20 * time.Millisecond, "waits for more"},
		{20 * time.Millisecond, 2, 1, 0, "the first at once"},
		{30 * time.Millisecond, 3, 1, 1020 * time.Millisecond, "too early"},
		{900 * time.Millisecond, 4, 1, 1020 * time.Millisecond, "too early still"},
		{1020 * time.Millisecond, 5, 2, 0, "after a second"},
		{1030 * time.Millisecond, 6, 2, 2020 * time.Millisecond, "too early again"},
		{2020 * time.Millisecond, 5, 2, 0, "as before"},
		{4000 * time.Millisecond, 7, 2, 4020 * time.Millisecond, "waits for more"},
		{4020 * time.Millisecond, 7, 3, 0, "at once after a pause"},
		{4030 * time.Millisecond, 0, 3, 5020 * time.Millisecond, "no nodes"},
		{5020 * time.Millisecond, 0, 0, 0, "gone"},
	} {
		now := start.Add(step.at)
		replica.deliver("mesh", "v1", step.nodes, 0)
		<-replica.store.wake
		r.collect(now)
		next, err := r.write(t.Context(), lease.ID, now)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := replica.client.Get(t.Context(), r.config.report("mesh"))
		if err != nil {
			t.Fatal(err)
		}
		writes = 0
		if len(stored.Kvs) > 0 {
			writes = stored.Kvs[0].Version
		}
		want := start.Add(step.next)
		if step.next == 0 {
			want = now.Add(idle)
		}
		if writes != step.writes || !next.Equal(want) {
			t.Errorf("%v (%s): written %d times, next after %v", step.at, step.whatever, writes, next.Sub(start))
		}
	}
}

// TestManyScopes: more of them than a transaction takes.
func TestManyScopes(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	a := newReplica(t, endpoint, "a")
	var want []Report
	for i := range 3*pageSize + 1 {
		scope := "gateway/ns/" + string(rune('a'+i%26)) + time.Duration(i).String()
		a.deliver(scope, "v1", 1, i%2)
		want = append(want, report("a", scope, "v1", 1, i%2))
	}
	a.run(t, newObjects(t, endpoint))
	a.hears(t, "all", want...)
}

// stored returns the EnvoyNodes in etcd, sorted by name.
func stored(t *testing.T, objects *registry.Store) []fleetv1alpha1.EnvoyNode {
	t.Helper()
	list, err := objects.ListAll(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	items := list.(*fleetv1alpha1.EnvoyNodeList).Items
	slices.SortFunc(items, func(a, b fleetv1alpha1.EnvoyNode) int { return cmp.Compare(a.Name, b.Name) })
	return items
}

// outOfSpace has an etcd take no writes until the alarm is disarmed, as when it has no space left.
func outOfSpace(t *testing.T, client *clientv3.Client) (end func()) {
	t.Helper()
	alarm := func(action etcdserverpb.AlarmRequest_AlarmAction) {
		t.Helper()
		if _, err := etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Alarm(t.Context(), &etcdserverpb.AlarmRequest{
			Action: action, Alarm: etcdserverpb.AlarmType_NOSPACE,
		}); err != nil {
			t.Fatal(err)
		}
	}
	alarm(etcdserverpb.AlarmRequest_ACTIVATE)
	return func() { t.Helper(); alarm(etcdserverpb.AlarmRequest_DEACTIVATE) }
}

// tries tells of transactions.
type tries struct {
	clientv3.KV
	begun chan struct{}
}

func (k *tries) Txn(ctx context.Context) clientv3.Txn {
	select {
	case k.begun <- struct{}{}:
	default:
	}
	return k.KV.Txn(ctx)
}

// TestOutOfSpace: an etcd that takes no writes has the replicas' reports and EnvoyNodes stay, and gets what has changed afterwards.
func TestOutOfSpace(t *testing.T) {
	t.Parallel()
	endpoint, _ := startEtcd(t, t.TempDir())
	objects := newObjects(t, endpoint)
	a, b := newReplica(t, endpoint, "a"), newReplica(t, endpoint, "b")
	writes := &tries{a.client.KV, make(chan struct{})}
	a.client.KV = writes
	for _, r := range []*replica{a, b} {
		r.connect(envoy("of-"+r.name, "mesh", 1))
		r.deliver("mesh", "v1", 1, 1)
		r.run(t, objects)
	}
	nodes := []string{"of-a: of-a mesh a", "of-b: of-b mesh b"}
	shows(t, objects, "at first", nodes...)
	b.hears(t, "at first", report("a", "mesh", "v1", 1, 1), report("b", "mesh", "v1", 1, 1))
	before, err := b.client.Get(t.Context(), Prefix(prefix)+"a")
	if err != nil {
		t.Fatal(err)
	}

	end := outOfSpace(t, b.client)
	a.deliver("mesh", "v2", 2, 0)
	for range 2 { // it is tried, refused, and tried again
		select {
		case <-writes.begun:
		case <-time.After(time.Minute):
			t.Fatal("what etcd doesn't take isn't tried again")
		}
	}
	b.hears(t, "meanwhile", report("a", "mesh", "v1", 1, 1), report("b", "mesh", "v1", 1, 1))
	shows(t, objects, "meanwhile", nodes...)
	end()
	b.hears(t, "afterwards", report("a", "mesh", "v2", 2, 0), report("b", "mesh", "v1", 1, 1))
	shows(t, objects, "afterwards", nodes...)
	after, err := b.client.Get(t.Context(), Prefix(prefix)+"a")
	if err != nil || len(after.Kvs) != 1 || after.Kvs[0].CreateRevision != before.Kvs[0].CreateRevision || after.Kvs[0].Lease != before.Kvs[0].Lease {
		t.Errorf("the replica was away meanwhile: %v, %v", after, err)
	}
}
