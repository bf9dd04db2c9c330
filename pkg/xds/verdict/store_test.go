package verdict

import (
	"bytes"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

func TestReplicasShareRecords(t *testing.T) {
	t.Parallel()
	a, b := newReplica(t, prefixOf(t), nil).run(), newReplica(t, prefixOf(t), nil).run()
	good := routes("r", "header", "host")
	r := rejected("r", "2", good)
	before := time.Now().Add(-time.Second)
	a.reject(r, "one")
	got := b.await("the other replica's rejection", nodes(1))[0]
	if got.Scope != r.Scope || got.Name != r.Name || got.Version != "2" || got.Message != "no 2" || got.First.Before(before) || got.Last.Before(got.First) {
		t.Errorf("got %+v", got)
	}
	if version, isParked := b.goodOf(r); !isParked || version != good.Version() {
		t.Errorf("parked %v, with %q instead of %q", isParked, version, good.Version())
	}
	if !bytes.Equal(got.Good.Any().GetValue(), []byte("headerhost")) || got.Good.Version() != good.Version() {
		t.Errorf("the good one is %q", got.Good.Any().GetValue())
	}

	r.Message = "another message"
	b.reject(r, "one", "two")
	if got := a.await("both", nodes(2))[0]; got.Message != "no 2" {
		t.Errorf("message %q", got.Message)
	}
	first := rejected("a", "1", nil)
	b.reject(first, "one")
	if got := a.await("another", has(first, r)); got[0].Name.Name != "a" || got[0].Good != nil {
		t.Errorf("got %+v", got)
	}
}

// The good version may be known later than the rejection: by another replica.
func TestGoodVersionOfAnotherReplica(t *testing.T) {
	t.Parallel()
	a, b := newReplica(t, prefixOf(t), nil).run(), newReplica(t, prefixOf(t), nil).run()
	a.reject(rejected("r", "2", nil), "one")
	b.await("the record", nodes(1))
	b.reject(rejected("r", "2", routes("r", "good")), "one")
	a.await("the good version", func(records []Record) bool { return nodes(1)(records) && records[0].Good != nil })
	if version, _ := a.goodOf(rejected("r", "2", nil)); version == "" {
		t.Error("nothing is served instead")
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	random := make([]byte, 3<<20) // nothing to compress: several chunks
	rand.Read(random)
	goods := []*cache.Resource{routes("0", "small"), routes("1", "of", "", "parts"), routes("2", string(random)), routes("3", "of parts", string(random)), nil}
	cluster, endpoints := cache.NewResource(resource.ClusterType, "c", []byte("cluster")), cache.NewResource(resource.EndpointType, "e", []byte("endpoints"))
	a := newReplica(t, prefixOf(t), nil).run()
	a.beside[goods[0].Version()] = []*cache.Resource{cluster, endpoints}
	var all []cache.Rejection
	for i, good := range goods {
		all = append(all, rejected(string(rune('0'+i)), "bad", good))
		a.reject(all[i], "one")
	}
	a.await("all", has(all...))
	a.stop()
	b := newReplica(t, prefixOf(t), nil).run()
	if needs := b.Needs("", goods[0]); len(needs) != 2 || needs[0].Version() != cluster.Version() || needs[1].Version() != endpoints.Version() {
		t.Errorf("what a good version needs is %v", needs)
	}
	for i, r := range all {
		version, isParked := b.goodOf(r)
		if want := goods[i]; !isParked || want != nil && version != want.Version() || want == nil && version != "" {
			t.Errorf("%d: parked %v with version %q", i, isParked, version)
		}
		if got := b.Records()[i].Good; got != nil && !bytes.Equal(got.Any().GetValue(), goods[i].Any().GetValue()) {
			t.Errorf("%d: the good version has another content", i)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	prefix, key := prefixOf(t), bytes.Repeat([]byte{7}, 32)
	private := strings.Repeat("private key", 10)
	good := cache.NewResource(resource.SecretType, "ns/s", []byte(private))
	r := cache.Rejection{Scope: "ns/gw", Name: cache.Name{TypeURL: resource.SecretType, Name: "ns/s"}, Version: "bad", Good: good}
	without := newReplica(t, prefix+"without/", nil).run()
	without.reject(r, "one")
	if got := without.await("a record", nodes(1)); got[0].Good != nil {
		t.Error("a Secret is stored without a key")
	}
	a := newReplica(t, prefix+"with/", key).run()
	a.reject(r, "one")
	a.await("a record", nodes(1))

	response, err := a.client.Get(t.Context(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range response.Kvs {
		if packed, err := newReplica(t, prefix, nil).unpack(&stored{Type: resource.RouteType, Good: &storedGood{}}, kv.Value); err == nil {
			t.Errorf("%s can be read: %q", kv.Key, packed.good.Any().GetValue())
		}
	}
	for name, test := range map[string]struct {
		key  []byte
		want string
	}{"the key": {key, good.Version()}, "another key": {bytes.Repeat([]byte{8}, 32), ""}, "no key": {nil, ""}} {
		b := newReplica(t, prefix+"with/", test.key).run()
		if version, isParked := b.goodOf(r); !isParked || version != test.want {
			t.Errorf("%s: parked %v with version %q", name, isParked, version)
		}
	}
	if _, err := New(Config{Key: []byte("short")}); err == nil {
		t.Error("any key will do")
	}
}

// What is sealed for one record opens for no other: who can write to etcd can't have an old Secret served in place of another.
func TestSealedForOneRecord(t *testing.T) {
	t.Parallel()
	a := newReplica(t, prefixOf(t), bytes.Repeat([]byte{7}, 32))
	record := &stored{Scope: "s", Type: resource.SecretType, Name: "n", Version: "v", Good: &storedGood{Sealed: true}}
	chunks, err := a.pack(replacement{good: cache.NewResource(resource.SecretType, "n", []byte("x"))}, record.id())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.unpack(record, chunks[0]); err != nil {
		t.Error(err)
	}
	record.Version = "w"
	if _, err := a.unpack(record, chunks[0]); err == nil {
		t.Error("it opens for another version")
	}
}

func TestLifted(t *testing.T) {
	t.Parallel()
	a, b := newReplica(t, prefixOf(t), nil).run(), newReplica(t, prefixOf(t), nil).run()
	old, newer := rejected("r", "2", routes("r", "1")), rejected("r", "3", routes("r", "1"))
	a.reject(old, "one")
	b.await("the old one", has(old))
	b.publishes(old.Scope, old.Name, "2")
	a.publishes(old.Scope, old.Name, "3")
	a.Lifted(old.Scope, old.Name, "2")
	a.reject(newer, "one")
	a.await("the newer one", has(newer))
	b.await("the newer one", has(newer))
	// b is behind: it gets to the newer version only now.
	b.publishes(old.Scope, old.Name, "3")
	b.Lifted(old.Scope, old.Name, "2")
	if _, isParked := b.goodOf(newer); !isParked {
		t.Error("the newer one isn't parked")
	}
	b.publishes(old.Scope, old.Name, "4")
	b.Lifted(old.Scope, old.Name, "3")
	a.Lifted(old.Scope, old.Name, "3")
	a.await("nothing", has())
	if left := keys(t, a.client, prefixOf(t)); len(left) > 0 {
		t.Errorf("left in etcd: %v", left)
	}
}

// A replica that is lifted before it has stored what its clients said stores nothing.
func TestLiftedBeforeItIsStored(t *testing.T) {
	t.Parallel()
	a := newReplica(t, prefixOf(t), nil)
	r, other := rejected("r", "2", nil), rejected("other", "2", nil)
	a.reject(r, "one")
	a.Lifted(r.Scope, r.Name, r.Version)
	a.run()
	a.reject(other, "one")
	a.await("the other", has(other))
}

// A record that another replica has removed, in error, comes back while clients reject what is published; where none do, the
// version is sent again.
func TestRemovedByAnother(t *testing.T) {
	t.Parallel()
	a, b := newReplica(t, prefixOf(t), nil).run(), newReplica(t, prefixOf(t), nil).run()
	r := rejected("r", "2", routes("r", "1"))
	a.reject(r, "one")
	b.await("the record", has(r))
	b.Lifted(r.Scope, r.Name, r.Version)
	b.await("that it is gone", has())
	b.await("that it is back", has(r))

	a.stop() // and its clients went elsewhere
	if _, err := b.client.Delete(t.Context(), b.records, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	b.await("that it is gone", has())
	until(t, "it stays parked", func() bool { _, isParked := b.goodOf(r); return !isParked })
}

func TestCountsMerge(t *testing.T) {
	t.Parallel()
	a, b := newReplica(t, prefixOf(t), nil).run(), newReplica(t, prefixOf(t), nil).run()
	r := rejected("r", "2", routes("r", "1"))
	var wg sync.WaitGroup
	wg.Go(func() { a.reject(r, nodeNames(0, 150)...) })
	wg.Go(func() { b.reject(r, nodeNames(100, maxNodes)...) })
	wg.Wait()
	a.await("all nodes", nodes(maxNodes))
	if record := b.await("all nodes", nodes(maxNodes))[0]; record.More {
		t.Error("there are said to be more")
	}
	record, err := a.client.Get(t.Context(), a.records+id(r))
	if err != nil || record.Kvs[0].Version > 50 {
		t.Errorf("written %d times, %v", record.Kvs[0].Version, err)
	}
	if left := keys(t, a.client, prefixOf(t)); left["chunks"] != 1 {
		t.Errorf("left in etcd: %v", left)
	}
	b.reject(r, "one more")
	a.await("more than are counted", func(records []Record) bool { return nodes(maxNodes)(records) && records[0].More })
	record, err = a.client.Get(t.Context(), a.records+id(r))
	if err != nil || len(record.Kvs[0].Value) > 8<<10 {
		t.Errorf("it has %d bytes, %v", len(record.Kvs[0].Value), err)
	}
	// No further one changes anything.
	written := record.Kvs[0].ModRevision
	b.reject(r, nodeNames(maxNodes, 2*maxNodes)...)
	a.reject(r, nodeNames(2*maxNodes, 3*maxNodes)...)
	other := rejected("other", "2", nil)
	a.reject(other, "one")
	b.reject(other, "two")
	a.await("what was rejected last", func(records []Record) bool { return has(other, r)(records) && records[0].Nodes == 2 })
	if record, err = a.client.Get(t.Context(), a.records+id(r)); err != nil || record.Kvs[0].ModRevision != written {
		t.Errorf("it was written again, %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	a := newReplica(t, prefixOf(t), nil)
	a.limits = limits{records: 3, bytes: 1 << 20}
	a.run()
	var all []cache.Rejection
	for i := range 5 {
		r := rejected(string(rune('a'+i)), "2", routes("r", "1"))
		r.Message = strings.Repeat("ä", maxMessage)
		all = append(all, r)
		a.reject(r, "one")
		a.await("the next", func(records []Record) bool { return has(all[max(0, i-2):]...)(records) })
	}
	if message := a.Records()[0].Message; len(message) < maxMessage-4 || len(message) > maxMessage || strings.ContainsRune(message, '\uFFFD') {
		t.Errorf("a message of %d bytes", len(message))
	}

	random := make([]byte, 1<<20)
	rand.Read(random)
	large := rejected("large", "2", routes("large", string(random)))
	a.reject(large, "one")
	a.await("two that were there before", has(all[3], all[4], large))
	next := rejected("next", "2", nil)
	a.reject(next, "one")
	a.await("none but the next", has(next))

	tooLarge := make([]byte, (maxChunks+1)*chunkSize)
	rand.Read(tooLarge)
	if _, err := a.pack(replacement{good: routes("r", string(tooLarge))}, "id"); err != errTooLarge {
		t.Errorf("got %v", err)
	}
}
