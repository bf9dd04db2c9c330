package verdict

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// TestPause: a replica writes a record less and less often, but for a good version.
func TestPause(t *testing.T) {
	t.Parallel()
	a := newReplica(t, prefixOf(t), nil)
	r := rejected("r", "2", nil)
	start, first := time.Now(), a.pace.write
	for i, step := range []struct {
		at     time.Duration
		good   *cache.Resource
		writes int64
	}{
		{0, nil, 1}, {first - 1, nil, 1}, {first, nil, 2}, {3*first - 1, nil, 2}, {3 * first, nil, 3}, {7*first - 1, nil, 3},
		{7*first - 1, routes("r", "good"), 4}, {14 * first, nil, 4}, {1000 * first, nil, 5}, {1000*first + maxPauses*first, nil, 6},
	} {
		r.Good = step.good
		a.reject(r, fmt.Sprint("node-", i))
		a.take()
		if err := a.write(t.Context(), start.Add(step.at)); err != nil {
			t.Fatal(err)
		}
		record, err := a.client.Get(t.Context(), a.records+id(r))
		if err != nil || record.Kvs[0].Version != step.writes {
			t.Fatalf("step %d: written %d times, %v", i, record.Kvs[0].Version, err)
		}
	}
}

// TestLimitOfABatch: what one round writes is counted although the watch has not told of it.
func TestLimitOfABatch(t *testing.T) {
	t.Parallel()
	a := newReplica(t, prefixOf(t), nil)
	a.limits = limits{records: 3, bytes: 1 << 20}
	for i := range 3 {
		a.reject(rejected(fmt.Sprint("old-", i), "2", nil), "one")
	}
	write := func() {
		t.Helper()
		a.take()
		if err := a.write(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	write()
	for i := range 2 {
		a.reject(rejected(fmt.Sprint("new-", i), "2", routes("r", "1")), "one")
	}
	write()
	if left := keys(t, a.client, prefixOf(t)); left["records"] != 3 || left["chunks"] != 2 {
		t.Errorf("in etcd are %v", left)
	}
	// So is the size of a record itself.
	a.limits.records = 100
	_, a.limits.bytes = a.size()
	last := rejected("last", "2", nil)
	a.reject(last, "one")
	write()
	if left := keys(t, a.client, prefixOf(t)); left["records"] != 3 {
		t.Errorf("in etcd are %v", left)
	}
	// And a good version needs room, too, if the record has been there before.
	_, a.limits.bytes = a.size()
	last.Good = routes("r", "1")
	a.reject(last, "one")
	write()
	if left := keys(t, a.client, prefixOf(t)); left["records"] != 2 || a.entries[id(last)] == nil || a.entries[id(last)].good != last.Good {
		t.Errorf("in etcd are %v, and known is %v", left, a.entries)
	}
}

// smallRequests runs an etcd that takes requests of half a chunk, until the test ends.
func smallRequests(t *testing.T) *clientv3.Client {
	t.Helper()
	config := embed.NewConfig()
	config.Dir, config.LogLevel, config.MaxRequestBytes = t.TempDir(), "fatal", chunkSize/2
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.AdvertiseClientUrls = anyPort, anyPort
	config.ListenPeerUrls = anyPort
	server, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	<-server.Server.ReadyNotify()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Clients[0].Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// TestTooLargeForEtcd: a good version that etcd doesn't take is done without, and what comes after it is stored.
func TestTooLargeForEtcd(t *testing.T) {
	t.Parallel()
	client := smallRequests(t)
	for _, size := range []int{chunkSize * 3 / 4, chunkSize} { // of which etcd says so, and which it doesn't even receive
		a := newReplica(t, fmt.Sprint(prefixOf(t), size, "/"), nil)
		a.client = client
		a.run()
		random := make([]byte, size)
		rand.Read(random)
		large, small := rejected("a", "2", routes("a", string(random))), rejected("b", "2", routes("b", "1"))
		a.reject(large, "one")
		a.reject(small, "one")
		records := a.await("both", has(large, small))
		if records[0].Good != nil || records[1].Good == nil {
			t.Errorf("%d: good ones are %v", size, records)
		}
	}
}

// TestRetry: a good version whose record could not be written leaves nothing behind, and is stored by the next try.
func TestRetry(t *testing.T) {
	t.Parallel()
	a := newReplica(t, prefixOf(t), nil)
	r := rejected("r", "2", routes("r", "1"))
	a.reject(r, "one")
	a.take()
	report := a.own[id(r)]
	for range 3 {
		good, err := a.writeGood(t.Context(), replacement{good: r.Good}, id(r))
		if err != nil {
			t.Fatal(err)
		}
		report.chunks = good.Chunks // and there the replica lost its etcd
		if _, err := a.draft(t.Context(), id(r), report); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.write(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if left := keys(t, a.client, prefixOf(t)); left["records"] != 1 || left["chunks"] != 1 {
		t.Errorf("in etcd are %v", left)
	}
	report.unwritten = true
	if _, err := a.draft(t.Context(), id(r), report); err != nil {
		t.Fatal(err)
	}
	if left := keys(t, a.client, prefixOf(t)); left["chunks"] != 1 {
		t.Errorf("what the record refers to is gone: %v", left)
	}
}
