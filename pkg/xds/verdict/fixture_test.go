package verdict

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// startEtcd starts the etcd of all tests, each of which has a prefix of its own, when the first needs it; stopEtcd stops it if it was
// started.
var (
	startEtcd = sync.OnceValues(func() (*etcd.Server, error) {
		dir, err := os.MkdirTemp("", "verdict")
		if err != nil {
			return nil, err
		}
		server, err := etcd.Start(context.Background(), dir)
		stopEtcd = func() {
			if err == nil {
				server.Stop()
			}
			os.RemoveAll(dir)
		}
		return server, err
	})
	stopEtcd = func() {}
)

func TestMain(m *testing.M) {
	code := m.Run()
	stopEtcd()
	os.Exit(code)
}

func newClient(t testing.TB) *clientv3.Client {
	t.Helper()
	server, err := startEtcd()
	if err != nil {
		t.Fatal(err)
	}
	client, err := etcd.NewClient(storagebackend.TransportConfig{ServerList: []string{server.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// parked is a Cache of which it is known what is parked and published.
type parked struct {
	mu        sync.Mutex
	good      map[string]string // version of the good one, by "scope name version"
	published map[string]string // version, by "scope name"
	// beside is what good versions need, by version: when they are stored and when they are parked.
	beside map[string][]*cache.Resource
}

func (p *parked) Park(scope string, name cache.Name, version string, good *cache.Resource, needs ...*cache.Resource) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.good[scope+" "+name.Name+" "+version] = ""
	if good != nil {
		p.good[scope+" "+name.Name+" "+version] = good.Version()
		p.beside[good.Version()] = needs
	}
}

// Needs returns what a test has put beside a good version.
func (p *parked) Needs(_ string, r *cache.Resource) []*cache.Resource {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beside[r.Version()]
}

func (p *parked) Unpark(scope string, name cache.Name, version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.good, scope+" "+name.Name+" "+version)
}

func (p *parked) Version(scope string, name cache.Name) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published[scope+" "+name.Name]
}

func (p *parked) publishes(scope string, name cache.Name, version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.good, scope+" "+name.Name+" "+p.published[scope+" "+name.Name]) // it is lifted
	p.published[scope+" "+name.Name] = version
}

// goodOf returns the version that is served instead of one that is parked.
func (p *parked) goodOf(r cache.Rejection) (version string, isParked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	version, isParked = p.good[r.Scope+" "+r.Name.Name+" "+r.Version]
	return version, isParked
}

// replica is a Store and what belongs to it.
type replica struct {
	*Store
	*parked
	t    *testing.T
	stop func()
	news chan []Record
}

// newReplica returns a replica that doesn't run, and is in a hurry.
func newReplica(t *testing.T, prefix string, key []byte) *replica {
	t.Helper()
	r := &replica{parked: &parked{good: map[string]string{}, published: map[string]string{}, beside: map[string][]*cache.Resource{}}, t: t, news: make(chan []Record, 1)}
	var err error
	r.Store, err = New(Config{Client: newClient(t), Prefix: prefix, Cache: r.parked, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.client.Delete(context.Background(), prefix, clientv3.WithPrefix()) }) // for -count
	r.pace = pace{write: 20 * time.Millisecond, settle: 50 * time.Millisecond, forget: 50 * time.Millisecond, retry: 20 * time.Millisecond}
	r.Follow(func(records []Record) {
		select {
		case <-r.news:
		default:
		}
		r.news <- records
	})
	return r
}

// run runs the replica until it is stopped, or the test ends, and returns when it has read what there is.
func (r *replica) run() *replica {
	r.t.Helper()
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	r.t.Cleanup(r.stop)
	if err := r.WaitForSync(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// lead has the replica lead until the test ends.
func (r *replica) lead() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Lead(ctx)
	}()
	r.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// await waits until the records are as they should be.
func (r *replica) await(what string, ok func([]Record) bool) []Record {
	r.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case records := <-r.news:
			if ok(records) {
				return records
			}
		case <-timeout:
			var found []string
			for _, record := range r.Records() {
				found = append(found, fmt.Sprintf("%s %s of %d nodes", record.Name.Name, record.Version, record.Nodes))
			}
			r.t.Fatalf("%s: there are %q", what, found)
		}
	}
}

// until waits for something that nobody tells of.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// has says that the records are those of the rejections, by name and version.
func has(rejections ...cache.Rejection) func([]Record) bool {
	return func(records []Record) bool {
		var got, want []string
		for _, r := range records {
			got = append(got, r.Name.Name+" "+r.Version)
		}
		for _, r := range rejections {
			want = append(want, r.Name.Name+" "+r.Version)
		}
		slices.Sort(want)
		slices.Sort(got)
		return slices.Equal(got, want)
	}
}

func nodes(n int) func([]Record) bool {
	return func(records []Record) bool { return len(records) == 1 && records[0].Nodes == n }
}

// routes are a RouteConfiguration as far as a Store reads it.
func routes(name string, parts ...string) *cache.Resource {
	if len(parts) == 1 {
		return cache.NewResource(resource.RouteType, name, []byte(parts[0]))
	}
	var all []cache.Part
	for _, p := range parts {
		all = append(all, cache.NewPart([]byte(p)))
	}
	return cache.NewSpliced(resource.RouteType, name, all)
}

// rejected returns the rejection of a version of routes, of which others are good.
func rejected(name, version string, good *cache.Resource) cache.Rejection {
	return cache.Rejection{
		Scope: "ns/gw", Name: cache.Name{TypeURL: resource.RouteType, Name: name}, Version: version, Message: "no " + version, Good: good,
	}
}

// reject has clients of a replica reject what it publishes.
func (r *replica) reject(rejection cache.Rejection, nodes ...string) {
	r.publishes(rejection.Scope, rejection.Name, rejection.Version)
	for _, node := range nodes {
		r.Reject(rejection, node)
	}
}

// prefixOf returns a prefix of the test's own.
func prefixOf(t *testing.T) string { return "/" + strings.ReplaceAll(t.Name(), "/", "-") + ".xds/" }

// keys returns the keys below a prefix, without the random parts of those of chunks.
func keys(t *testing.T, client *clientv3.Client, prefix string) map[string]int {
	t.Helper()
	response, err := client.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, kv := range response.Kvs {
		kind, _, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), prefix), "/")
		count[kind]++
	}
	return count
}

func id(r cache.Rejection) string { return recordID(r.Scope, r.Name, r.Version) }

func nodeNames(from, to int) []string {
	var names []string
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprint("node-", i))
	}
	return names
}
