package verdict

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// TestGarbage: what isn't a record, or not one any more, is ignored, and everything else goes on.
func TestGarbage(t *testing.T) {
	t.Parallel()
	a := newReplica(t, prefixOf(t), nil)
	write := func(key, value string) {
		t.Helper()
		if _, err := a.client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	r, broken := rejected("r", "2", routes("r", "1")), rejected("broken", "2", nil)
	newer := rejected("newer", "2", nil)
	newer.Name.TypeURL = "type.googleapis.com/envoy.service.runtime.v3.Runtime" // which another release may serve
	record := func(r cache.Rejection, good *storedGood) string {
		return string((&stored{Scope: r.Scope, Type: r.Name.TypeURL, Name: r.Name.Name, Version: r.Version, Good: good}).encode())
	}
	write(a.records+"x", "no JSON")
	write(a.records+id(r), record(broken, nil)) // of another one
	write(a.records+id(broken), record(broken, &storedGood{Chunks: "lost", Count: 1}))
	write(a.records+id(newer), record(newer, nil))
	write(a.chunks+"x", "not ours")
	a.run()
	a.await("the one that can be read", has(broken))
	if version, isParked := a.goodOf(broken); !isParked || version != "" {
		t.Errorf("parked %v with version %q", isParked, version)
	}
	a.reject(r, "one")
	a.await("what was garbage is a record", has(r, broken))
	write(a.records+"y", "{}")
	write(a.records+id(broken), "{}")
	a.await("what was a record is garbage", has(r))
}

// TestCompaction: the events that a Store missed are no more in etcd.
func TestCompaction(t *testing.T) {
	t.Parallel()
	a, b := newReplica(t, prefixOf(t), nil).run(), newReplica(t, prefixOf(t), nil).run()
	gone, stays, added := rejected("gone", "2", routes("r", "1")), rejected("stays", "2", nil), rejected("added", "2", nil)
	a.reject(gone, "one")
	a.reject(stays, "one")
	b.await("both", has(gone, stays))
	b.stop()
	a.publishes(gone.Scope, gone.Name, "3")
	a.Lifted(gone.Scope, gone.Name, gone.Version)
	a.reject(added, "one")
	a.await("the changes", has(stays, added))
	now, err := a.client.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.client.Compact(t.Context(), now.Header.Revision); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.await("the changes", has(stays, added))
	until(t, "what is gone stays parked", func() bool { _, isParked := b.goodOf(gone); return !isParked })
}

func TestFollowUntilStopped(t *testing.T) {
	t.Parallel()
	a := newReplica(t, prefixOf(t), nil).run()
	var calls [][]Record
	stop := a.Follow(func(records []Record) { calls = append(calls, records) })
	r := rejected("r", "2", nil)
	a.reject(r, "one")
	a.await("the record", has(r))
	stop()
	known := len(calls)
	if known < 2 || len(calls[0]) != 0 || len(calls[known-1]) != 1 {
		t.Errorf("called with %v", calls)
	}
	a.reject(r, "two")
	a.await("another node", nodes(2))
	if len(calls) != known {
		t.Error("called after it was stopped")
	}
}

func FuzzRecord(f *testing.F) {
	r := rejected("r", "2", nil)
	full := &stored{Scope: r.Scope, Type: r.Name.TypeURL, Name: "r", Version: "2", Nodes: nodeSet{1, 2}, Good: &storedGood{Chunks: "c", Count: 1, Size: 3}}
	f.Add(full.encode())
	f.Add([]byte(`{"nodes": "00"}`))
	f.Add([]byte(`{"good": {"count": -1}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		var claimed stored
		if json.Unmarshal(value, &claimed) != nil {
			return
		}
		read, err := decode(claimed.id(), value)
		if err != nil {
			return
		}
		again, err := decode(read.id(), read.encode())
		if err != nil || string(again.encode()) != string(read.encode()) {
			t.Errorf("%s\nis written as %s\nand read as %s, %v", value, read.encode(), again.encode(), err)
		}
	})
}

func FuzzReplacement(f *testing.F) {
	f.Add(replacement{good: routes("r", "whole")}.encode())
	f.Add(replacement{routes("r", "in", "", "parts"), []*cache.Resource{
		cache.NewResource(resource.ClusterType, "c", []byte("c")), cache.NewResource(resource.EndpointType, "e", nil),
	}}.encode())
	f.Add([]byte{})
	f.Add([]byte{2, 200, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeReplacement(cache.Name{TypeURL: resource.RouteType, Name: "r"}, data)
		if err != nil {
			return
		}
		again, err := decodeReplacement(cache.Name{TypeURL: resource.RouteType, Name: "r"}, r.encode())
		same := func(a, b *cache.Resource) bool { return a.Version() == b.Version() }
		if err != nil || !same(again.good, r.good) || !slices.EqualFunc(again.needs, r.needs, same) {
			t.Errorf("%q is another one when it is read again: %v", data, err)
		}
	})
}
