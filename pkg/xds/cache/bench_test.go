package cache

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
)

// benchClient is a client of one type and its server.
type benchClient struct {
	*Stream
	b    *testing.B
	typ  string
	resp *DeltaResponse // the last
}

func benchClients(b *testing.B, c *Cache, n int, typ string, names ...string) []benchClient {
	clients := make([]benchClient, n)
	for i := range clients {
		clients[i] = benchClient{Stream: c.Stream("s", nil, nil), b: b, typ: typ}
		clients[i].request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typ, ResourceNamesSubscribe: names})
		clients[i].receive()
		clients[i].acknowledge()
	}
	return clients
}

func (c *benchClient) request(req *discoveryv3.DeltaDiscoveryRequest) {
	c.Delta(req, func(r *DeltaResponse, err error) {
		if c.resp = r; err != nil {
			c.b.Error(err)
		}
	})
}

// receive is what is done until the response is with gRPC.
func (c *benchClient) receive() int { return c.resp.Encode().Len() }

func (c *benchClient) acknowledge() {
	c.request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: c.typ, ResponseNonce: c.resp.Nonce()})
}

// fanOut measures a change until each of the streams has its response encoded. Acknowledgements are reported, but not in the time.
// The last metric says how many times as long it takes as marshalling the response once.
func fanOut(b *testing.B, c *Cache, clients []benchClient, change func(version int64) *Resource) {
	version, size := int64(1), 0
	var acknowledging time.Duration
	for b.Loop() {
		version++
		r := change(version)
		c.Publish("s", set(r))
		for i := range clients {
			size = clients[i].receive()
		}
		b.StopTimer()
		start := time.Now()
		for i := range clients {
			clients[i].acknowledge()
		}
		acknowledging += time.Since(start)
		b.StartTimer()
	}
	b.StopTimer()
	if d := c.Delivery("s"); d.Current != len(clients) {
		b.Errorf("%+v: not all streams are current", d)
	}
	const runs = 20
	resp := decoded(b, clients[0].resp)
	start := time.Now()
	for range runs {
		if _, err := proto.Marshal(resp); err != nil {
			b.Fatal(err)
		}
	}
	once := time.Since(start) / runs
	perStream := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(len(clients))
	b.ReportMetric(perStream, "ns/stream")
	b.ReportMetric(float64(acknowledging.Nanoseconds())/float64(b.N)/float64(len(clients)), "ack-ns/stream")
	b.ReportMetric(float64(size), "B/response")
	b.ReportMetric(perStream*float64(len(clients))/float64(once.Nanoseconds()), "marshals")
	runtime.KeepAlive(clients)
}

// BenchmarkFanOut measures one change among 10,000 clusters.
func BenchmarkFanOut(b *testing.B) {
	for _, streams := range []int{1, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			c := New()
			var u Update
			for i := range 10_000 {
				u.Set = append(u.Set, edsCluster(fmt.Sprintf("default/httproute-%05d/rule/0/backend/0", i), 1))
			}
			c.Publish("s", u)
			before := heap()
			clients := benchClients(b, c, streams, cds)
			perStream := float64(heap()-before) / float64(streams)
			fanOut(b, c, clients, func(version int64) *Resource {
				return edsCluster("default/httproute-00007/rule/0/backend/0", version)
			})
			b.ReportMetric(perStream, "heap-B/stream")
		})
	}
}

// BenchmarkFanOutOfTable measures one changed virtual host in a RouteConfiguration of many.
func BenchmarkFanOutOfTable(b *testing.B) {
	for _, tc := range []struct{ streams, hosts int }{{1, 1_000}, {1, 10_000}, {1_000, 1_000}, {10_000, 1_000}} {
		b.Run(fmt.Sprintf("streams=%d/hosts=%d", tc.streams, tc.hosts), func(b *testing.B) {
			parts := make([]Part, tc.hosts)
			for i := range parts {
				parts[i] = NewPart(bytes.Repeat([]byte{byte(i)}, 600))
			}
			table := func(version int64) *Resource {
				parts := slices.Clone(parts)
				parts[7] = NewPart(bytes.Repeat([]byte{byte(version), byte(version >> 8)}, 300))
				return NewSpliced(rds, "table", parts)
			}
			c := New()
			c.Publish("s", set(table(1)))
			fanOut(b, c, benchClients(b, c, tc.streams, rds, "table"), table)
		})
	}
}

// BenchmarkSplice compares making a resource of which one part changed with making it at one go.
func BenchmarkSplice(b *testing.B) {
	for _, hosts := range []int{100, 10_000} {
		parts := make([]Part, hosts)
		for i := range parts {
			parts[i] = NewPart(make([]byte, 600))
		}
		whole := join(parts)
		b.Run(fmt.Sprintf("hosts=%d/spliced", hosts), func(b *testing.B) {
			for b.Loop() {
				NewSpliced(rds, "table", parts)
			}
		})
		b.Run(fmt.Sprintf("hosts=%d/whole", hosts), func(b *testing.B) {
			for b.Loop() {
				NewResource(rds, "table", whole)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
