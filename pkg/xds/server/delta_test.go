package server

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// slowStream is a stream whose client takes each response when the test does.
type slowStream struct {
	grpc.ServerStream
	t        *testing.T
	ctx      context.Context
	requests chan *discoveryv3.DeltaDiscoveryRequest
	taken    chan *discoveryv3.DeltaDiscoveryResponse
	busy     atomic.Bool
}

func (s *slowStream) Context() context.Context { return s.ctx }

func (s *slowStream) RecvMsg(m any) error {
	req, ok := <-s.requests
	if !ok {
		return io.EOF
	}
	data, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	return codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, m)
}

func (s *slowStream) SendMsg(m any) error {
	if s.busy.Swap(true) {
		s.t.Error("two responses are sent at a time")
	}
	resp := &discoveryv3.DeltaDiscoveryResponse{}
	err := proto.Unmarshal(m.(*encoded).bytes.Materialize(), resp)
	s.taken <- resp
	s.busy.Store(false)
	return err
}

// TestDeltaTurns holds that responses are sent one after the other, in their order, while changes and requests come in.
func TestDeltaTurns(t *testing.T) {
	t.Parallel()
	s := serve(t)
	str := &slowStream{t: t, ctx: t.Context(), requests: make(chan *discoveryv3.DeltaDiscoveryRequest, 100), taken: make(chan *discoveryv3.DeltaDiscoveryResponse)}
	done := make(chan error)
	go func() { done <- s.serveDelta(str, "") }()
	const versions = 200
	var u cache.Update
	types := []string{cds, eds, sds, lds, rds}
	for _, typeURL := range types {
		u.Set = append(u.Set, res(typeURL, "x", "0"))
		str.requests <- &discoveryv3.DeltaDiscoveryRequest{Node: gatewayNode("ns/gw"), TypeUrl: typeURL, ResourceNamesSubscribe: []string{"x"}}
	}
	s.cache.Publish(scope, u)
	go func() {
		for i := range versions {
			s.cache.Publish(scope, set(res(types[i%len(types)], "x", fmt.Sprint(i+1))))
		}
	}()
	last := map[string]string{}
	for nonce := 1; len(last) < len(types) || last[types[(versions-1)%len(types)]] != fmt.Sprint(versions); nonce++ {
		resp := <-str.taken
		if resp.GetNonce() != strconv.Itoa(nonce) {
			t.Fatalf("got response %s, want %d", resp.GetNonce(), nonce)
		}
		for _, r := range resp.GetResources() {
			last[resp.GetTypeUrl()] = string(r.GetResource().GetValue())
		}
		str.requests <- &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()}
	}
	close(str.requests)
	for {
		select {
		case <-str.taken: // that was on its way
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}

// TestIdleStreamBehind has a client that has nothing to say miss more removals than the cache keeps, which are held back because it
// rejected the route table that uses none of them any more: the stream ends, so that it connects again and says what it has.
func TestIdleStreamBehind(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var clusters, removal cache.Update
	for i := range 20_000 {
		r := res(cds, fmt.Sprint("c", i), "")
		clusters.Set = append(clusters.Set, r)
		removal.Delete = append(removal.Delete, cache.Name{TypeURL: cds, Name: r.Name()})
	}
	s.cache.Publish(scope, clusters)
	s.cache.Publish(scope, set(res(rds, "r", "old")))
	d := s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(cds)
	resp, err := d.Recv()
	if err != nil {
		t.Fatal(err)
	}
	d.ack(resp)
	d.subscribe(rds, "r")
	d.wantAck("routes +r=old")
	s.cache.Publish(scope, set(res(rds, "r", "bad")))
	d.nack(d.want("routes +r=bad"), "no")
	d.want("routes +r=old")
	s.cache.Publish(scope, removal)
	s.cache.Publish(scope, set(res(rds, "r", "new")))
	if resp, err := d.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), cache.ErrBehind.Error()) {
		t.Errorf("got %v with %d resources, want the stream to end with %q", err, len(resp.GetResources()), cache.ErrBehind)
	}
	s.waitUnused()
}
