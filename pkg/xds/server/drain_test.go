package server

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// TestDrain shuts down a server of many streams: they end one after the other, as if nothing were wrong, and until then get what
// changes; new connections aren't taken.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Drain = time.Second })
	s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l1")))
	ended, told := make(chan error), make(chan struct{}, 100)
	for range 20 {
		d := s.delta(t, nil)
		d.subscribe(lds)
		d.wantAck("listeners +l=l1")
		go func() {
			for {
				resp, err := d.Recv()
				if err != nil {
					ended <- err
					return
				}
				told <- struct{}{}
				_ = d.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()}) // unless it has ended
			}
		}()
	}
	down := make(chan struct{})
	go func() { s.Shutdown(context.Background()); close(down) }()
	if err := <-ended; err != io.EOF {
		t.Errorf("the stream ended with %v, want EOF", err)
	}
	s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l2")))
	<-told // by one of 19, unless all have ended at once
	if conn, err := net.Dial("tcp", s.addr); err == nil {
		conn.Close()
		t.Error("a new connection is taken")
	}
	for range 19 {
		if err := <-ended; err != io.EOF {
			t.Errorf("the stream ended with %v, want EOF", err)
		}
	}
	<-down
	s.waitUnused()
}

// TestDrainToReplica drains one of two replicas. Its clients come to the other one and say what they have, and none of them is sent a
// version of something twice, whichever replica it is with when something changes.
func TestDrainToReplica(t *testing.T) {
	t.Parallel()
	const clients = 20
	leaving := serve(t, func(c *Config) { c.Limits.Drain = 100 * time.Millisecond })
	staying := serve(t)
	publish := func(rs ...*cache.Resource) {
		staying.cache.Publish(scope, set(rs...)) // first: a replica that is behind would send what a client has had before
		leaving.cache.Publish(scope, set(rs...))
	}
	publish(res(cds, "c", "c1"), res(eds, "e", "e1"), res(lds, "l", "l1"), res(rds, "r", "r1"))
	ended := make(chan error, 10*clients)
	fleet := make([]*roaming, clients)
	for i := range fleet {
		fleet[i] = roam(t, fmt.Sprint("envoy-", i), ended, leaving, staying)
	}
	for _, e := range fleet {
		e.want("c=c1", "e=e1", "l=l1", "r=r1")
	}
	down := make(chan struct{})
	go func() { leaving.Shutdown(context.Background()); close(down) }()
	first := <-ended
	publish(res(lds, "l", "l2"))
	<-down
	publish(res(rds, "r", "r2"))
	for _, e := range fleet {
		e.want("l=l2", "r=r2")
	}
	if n := staying.Nodes(); len(n) != clients {
		t.Errorf("%d nodes came to the other replica, want %d", len(n), clients)
	}
	if n := leaving.inUse(); n > 0 {
		t.Errorf("%d streams are left", n)
	}
	for i, err := 0, first; i < clients; i++ {
		if err != io.EOF {
			t.Errorf("a stream ended with %v, want EOF", err)
		}
		if i < clients-1 {
			err = <-ended
		}
	}
}

// roaming is a client that goes on with another replica when its stream ends, as an Envoy does, and acknowledges everything.
type roaming struct {
	t        *testing.T
	node     *corev3.Node
	replicas []discoveryv3.AggregatedDiscoveryServiceClient
	has      map[string]map[string]string // versions, by type and name
	received chan string
}

// roam starts a client that ends with the test. It tells why its streams end until then.
func roam(t *testing.T, id string, ended chan<- error, replicas ...*testServer) *roaming {
	e := &roaming{t: t, node: gatewayNode("ns/gw"), has: map[string]map[string]string{}, received: make(chan string, 100)}
	e.node.Id = id
	for _, replica := range replicas {
		e.replicas = append(e.replicas, discoveryv3.NewAggregatedDiscoveryServiceClient(replica.plain(t).conn))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for i := 0; ; i++ {
			err := e.stream(ctx, e.replicas[i%len(e.replicas)])
			if ctx.Err() != nil {
				return
			}
			ended <- err
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return e
}

// stream subscribes to everything, saying what it has, and returns why the stream ended.
func (e *roaming) stream(ctx context.Context, replica discoveryv3.AggregatedDiscoveryServiceClient) error {
	str, err := replica.DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	for _, subscription := range [][2]string{{cds, "*"}, {eds, "e"}, {lds, "*"}, {rds, "r"}} {
		_ = str.Send(&discoveryv3.DeltaDiscoveryRequest{
			Node: e.node, TypeUrl: subscription[0], ResourceNamesSubscribe: subscription[1:], InitialResourceVersions: e.has[subscription[0]],
		}) // if the stream has ended, Recv says why
	}
	for {
		resp, err := str.Recv()
		if err != nil {
			return err
		}
		if e.has[resp.GetTypeUrl()] == nil {
			e.has[resp.GetTypeUrl()] = map[string]string{}
		}
		for _, r := range resp.GetResources() {
			e.has[resp.GetTypeUrl()][r.GetName()] = r.GetVersion()
			e.received <- r.GetName() + "=" + string(r.GetResource().GetValue())
		}
		for _, name := range resp.GetRemovedResources() {
			delete(e.has[resp.GetTypeUrl()], name)
			e.received <- name + " removed"
		}
		_ = str.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()})
	}
}

// want reads as much as is wanted of what was received since, in any order.
func (e *roaming) want(want ...string) {
	e.t.Helper()
	var got []string
	for range want {
		got = append(got, <-e.received)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		e.t.Errorf("%s received %v, want %v", e.node.GetId(), got, want)
	}
}

// TestDrainCompletesResponses ends a stream while its client has received no more than the beginning of a response.
func TestDrainCompletesResponses(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Drain = time.Millisecond })
	large := strings.Repeat("large", window)
	s.cache.Publish(scope, set(res(rds, "r", large)))
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStaticStreamWindowSize(window))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d := (&testServer{conn: conn}).delta(t, gatewayNode("ns/gw"))
	d.subscribe(rds, "r")
	if _, err := d.Header(); err != nil { // which is sent with the response, most of which has to wait until it is read
		t.Fatal(err)
	}
	s.Server.mu.Lock()
	sessions := slices.Collect(maps.Keys(s.sessions))
	s.Server.mu.Unlock()
	down := make(chan struct{})
	go func() { s.Shutdown(context.Background()); close(down) }()
	<-sessions[0].ctx.Done()
	d.want("routes +r=" + large)
	if _, err := d.Recv(); err != io.EOF {
		t.Errorf("the stream ended with %v, want EOF", err)
	}
	<-down
}

// TestDrainSpreads looks at when streams end by a clock of its own: evenly over the time of the drain, and those that began in the
// middle of it in what is left.
func TestDrainSpreads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const streams, period = 5_000, 10 * time.Second
		s := New(Config{Cache: cache.New(), Nodes: &nodes.Directory{}})
		defer s.stop()
		start := time.Now()
		var mu sync.Mutex
		open := func(n int) (ends *[10]int) { // by second
			ends = new([10]int)
			for range n {
				ses := s.open(t.Context(), "delta", resource.AnyType)
				t.Cleanup(ses.close)
				context.AfterFunc(ses.ctx, func() {
					mu.Lock()
					defer mu.Unlock()
					if after := time.Since(start); after < period {
						ends[after/time.Second]++
					}
				})
			}
			return ends
		}
		all := open(streams)
		s.drain(period)
		time.Sleep(period / 2)
		late := open(streams / 2)
		time.Sleep(period)
		synctest.Wait()
		evenly := func(of string, ends []int) {
			want, sum := streams/10, 0
			for i, n := range ends {
				if sum += n; n < want/2 || n > want*3/2 {
					t.Errorf("of %s, %d ended in second %d, want %d, give or take a half", of, n, i+1, want)
				}
			}
			if sum != want*len(ends) {
				t.Errorf("of %s, %d ended within the drain, want all %d", of, sum, want*len(ends))
			}
		}
		evenly("the streams", all[:])
		evenly("those that began after five seconds", late[5:])
	})
}

// TestDrainIsBounded shuts down with less time than streams would take to end.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Drain = time.Hour })
	s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l1")))
	d := s.delta(t, nil)
	d.subscribe(lds)
	d.wantAck("listeners +l=l1")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.Shutdown(ctx)
	if resp, err := d.Recv(); err == nil {
		t.Errorf("got %v, want the end", resp)
	}
}
