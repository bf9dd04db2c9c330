package cache

import (
	"fmt"
	"runtime"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
)

// BenchmarkFanOut measures one change among 10,000 clusters until each of the streams has its response, in the way in
// which go-control-plane's delta server calls the cache. Acknowledgements are not measured.
func BenchmarkFanOut(b *testing.B) {
	const n = 10_000
	for _, streams := range []int{1, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			c := New()
			var u Update
			for i := range n {
				u.Set = append(u.Set, edsCluster(fmt.Sprintf("default/httproute-%05d/rule/0/backend/0", i), 1))
			}
			c.Publish("s", u)
			before := heap()
			req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: cds, ResponseNonce: "1"}
			type client struct {
				*Stream
				sub    stream.Subscription
				ch     chan xdscache.DeltaResponse
				cancel func()
			}
			clients := make([]client, streams)
			acknowledge := func(cl *client) {
				if cl.cancel != nil {
					cl.cancel()
				}
				cl.sub.SetReturnedResources((<-cl.ch).GetNextVersionMap())
				var err error
				if cl.cancel, err = cl.CreateDeltaWatch(req, cl.sub, cl.ch); err != nil {
					b.Fatal(err)
				}
			}
			for i := range clients {
				cl := &clients[i]
				*cl = client{Stream: c.Stream("s"), sub: stream.NewDeltaSubscription(nil, nil, nil, true), ch: make(chan xdscache.DeltaResponse, 20)}
				if _, err := cl.CreateDeltaWatch(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: cds}, cl.sub, cl.ch); err != nil {
					b.Fatal(err)
				}
				acknowledge(cl)
			}
			perStream := float64(heap()-before) / float64(streams)
			version := int64(1)
			for b.Loop() {
				version++
				c.Publish("s", set(edsCluster("default/httproute-00007/rule/0/backend/0", version)))
				b.StopTimer()
				for i := range clients {
					acknowledge(&clients[i])
				}
				b.StartTimer()
			}
			b.ReportMetric(perStream, "B/stream")
			runtime.KeepAlive(clients)
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
