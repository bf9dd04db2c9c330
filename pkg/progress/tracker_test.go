package progress

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
)

// prefixes are such that one begins with the other.
var prefixes = map[string]string{"route": "/root/group/routes", "routeclass": "/root/group/routesclasses/", "policy": "/root/other/policies"}

// startEtcd runs an etcd on dir and returns a client for it, and what stops both.
func startEtcd(t *testing.T, dir string) (client *clientv3.Client, stop func()) {
	t.Helper()
	server, err := etcd.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(server.Stop)
	t.Cleanup(stop)
	client, err = etcd.NewClient(storagebackend.TransportConfig{ServerList: []string{server.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, stop
}

// run runs a tracker until the test ends.
func run(t *testing.T, tracker *Tracker[string]) {
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		tracker.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func put(t *testing.T, client *clientv3.Client, key string) uint64 {
	t.Helper()
	response, err := client.Put(t.Context(), key, "{}")
	if err != nil {
		t.Fatal(err)
	}
	return uint64(response.Header.Revision)
}

func remove(t *testing.T, client *clientv3.Client, key string) uint64 {
	t.Helper()
	response, err := client.Delete(t.Context(), key)
	if err != nil || response.Deleted != 1 {
		t.Fatalf("deleting %s: %+v, %v", key, response, err)
	}
	return uint64(response.Header.Revision)
}

func check(t *testing.T, tracker *Tracker[string], what string, want map[string]uint64) {
	t.Helper()
	got, err := tracker.Revisions(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: (-want +got)\n%s", what, diff)
	}
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	client, _ := startEtcd(t, t.TempDir())
	want := map[string]uint64{}
	want["route"] = put(t, client, "/root/group/routes/ns/before")
	want["policy"] = put(t, client, "/root/other/policies/ns/before")
	tracker := New(client, "/root", prefixes)
	run(t, tracker)
	check(t, tracker, "what was there before", want)

	want["route"] = put(t, client, "/root/group/routes/ns/a")
	check(t, tracker, "a new object", want)
	want["routeclass"] = put(t, client, "/root/group/routesclasses/a")
	check(t, tracker, "an object of another kind", want)
	want["route"] = put(t, client, "/root/group/routes/ns/before")
	check(t, tracker, "a changed object", want)
	want["route"] = remove(t, client, "/root/group/routes/ns/a")
	check(t, tracker, "a deletion", want)
	want["policy"] = remove(t, client, "/root/other/policies/ns/before")
	check(t, tracker, "the deletion of the last object", want)
	for i := range 100 {
		put(t, client, fmt.Sprintf("/foreign/%d", i%10))
		put(t, client, "/root.election/a")
		put(t, client, "/root/group/unknown/ns/a")
	}
	check(t, tracker, "changes to what is nobody's business", want)

	both, err := client.Txn(t.Context()).Then(
		clientv3.OpPut("/root/group/routes/ns/b", ""), clientv3.OpPut("/foreign/b", ""), clientv3.OpPut("/root/other/policies/ns/b", "")).Commit()
	if err != nil {
		t.Fatal(err)
	}
	want["route"], want["policy"] = uint64(both.Header.Revision), uint64(both.Header.Revision)
	check(t, tracker, "a transaction", want)
}

// TestConcurrent has several clients write, and each ask after its write. None may be told of less than its own.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	client, _ := startEtcd(t, t.TempDir())
	tracker := New(client, "/root", prefixes)
	run(t, tracker)
	kinds := []string{"route", "routeclass", "policy", "foreign"}
	var clients errgroup.Group
	for seed := range uint64(8) {
		clients.Go(func() error {
			random := rand.New(rand.NewPCG(seed, 0))
			for range 50 {
				kind := kinds[random.IntN(len(kinds))]
				key := fmt.Sprintf("%s/ns/%d", directory(prefixes[kind]), random.IntN(3))
				op := clientv3.OpPut(key, "{}")
				if random.IntN(3) == 0 {
					op = clientv3.OpDelete(key)
				}
				written, err := client.Do(t.Context(), op)
				if err != nil {
					return err
				}
				revisions, err := tracker.Revisions(t.Context())
				if err != nil {
					return err
				}
				if deleted := written.Del(); deleted != nil && deleted.Deleted == 0 || kind == "foreign" {
					continue
				}
				if now := revisionOf(written); revisions[kind] < now {
					return fmt.Errorf("%s was changed at %d, and was said to have been at %d last", kind, now, revisions[kind])
				}
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		t.Error(err)
	}
}

func revisionOf(response clientv3.OpResponse) uint64 {
	if put := response.Put(); put != nil {
		return uint64(put.Header.Revision)
	}
	return uint64(response.Del().Header.Revision)
}

// TestRestart: the tracker goes on where it was when etcd comes back.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	client, stop := startEtcd(t, dir)
	tracker := New(client, "/root", prefixes)
	run(t, tracker)
	want := map[string]uint64{"route": put(t, client, "/root/group/routes/ns/a"), "policy": put(t, client, "/root/other/policies/ns/a")}
	check(t, tracker, "before", want)
	stop()

	other, _ := startEtcd(t, dir) // at the same address
	want["route"] = remove(t, other, "/root/group/routes/ns/a")
	put(t, other, "/foreign/a")
	check(t, tracker, "after", want)
	want["policy"] = put(t, other, "/root/other/policies/ns/b")
	check(t, tracker, "after more", want)
}

// TestCompacted: what etcd has forgotten before the watch had it is found by a list, and a kind without objects is not said
// to have changed at all, at a revision that no watch of it would ever come to.
func TestCompacted(t *testing.T) {
	t.Parallel()
	client, _ := startEtcd(t, t.TempDir())
	tracker := New(client, "/root", prefixes)
	tracker.at, tracker.revisions = 1, map[string]uint64{"routeclass": 1} // as if it had been away since
	want := map[string]uint64{}
	for i := range pageSize + 10 {
		want["route"] = put(t, client, fmt.Sprintf("/root/group/routes/ns/%d", i))
	}
	want["route"] = put(t, client, "/root/group/routes/ns/0") // of which the key comes first
	put(t, client, "/root/other/policies/ns/a")
	compacted := remove(t, client, "/root/other/policies/ns/a")
	put(t, client, "/foreign/a")
	if _, err := client.Compact(t.Context(), int64(compacted)); err != nil {
		t.Fatal(err)
	}
	run(t, tracker)
	check(t, tracker, "after the compaction", want)
	want["policy"] = put(t, client, "/root/other/policies/ns/a")
	check(t, tracker, "after a change", want)
}

// TestUnknown: without an answer there is an error, when the context ends.
func TestUnknown(t *testing.T) {
	t.Parallel()
	client, stop := startEtcd(t, t.TempDir())
	tracker := New(client, "/root", prefixes) // which doesn't run
	put(t, client, "/foreign/a")
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error)
	go func() {
		_, err := tracker.Revisions(ctx)
		asked <- err
	}()
	<-tracker.asked
	cancel()
	if err := <-asked; err == nil {
		t.Error("a tracker that doesn't run knows the revisions")
	}
	stop()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tracker.Revisions(ended); err == nil {
		t.Error("there are revisions without an etcd")
	}
}
