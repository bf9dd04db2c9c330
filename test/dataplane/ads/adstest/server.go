// Package adstest has an xDS server that a test speaks for: it is asked and it answers by hand, so that a test says what comes in
// which order.
//
// Its invariant: nothing is answered, and no request is taken, that the test doesn't ask for.
package adstest

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Server is a server of the aggregated discovery service in its delta form.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	// Address is where it listens, on loopback.
	Address string
	streams chan *Stream
}

// Serve returns a server that runs until the test ends.
func Serve(t *testing.T) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: l.Addr().String(), streams: make(chan *Stream)}
	g := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, s)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// DeltaAggregatedResources implements the service.
func (s *Server) DeltaAggregatedResources(grpc discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	st := &Stream{grpc: grpc, requests: make(chan *discoveryv3.DeltaDiscoveryRequest), end: make(chan struct{})}
	ended := grpc.Context().Done()
	go func() {
		for {
			r, err := grpc.Recv()
			if err != nil {
				return
			}
			select {
			case st.requests <- r:
			case <-ended:
				return
			}
		}
	}()
	select {
	case s.streams <- st:
	case <-ended:
		return nil
	}
	select {
	case <-st.end:
	case <-ended:
	}
	return nil
}

// Accept waits for the next stream.
func (s *Server) Accept(t *testing.T) *Stream {
	t.Helper()
	st := <-s.streams
	st.t = t
	return st
}

// Stream is a stream of a client.
type Stream struct {
	t        *testing.T
	grpc     discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	requests chan *discoveryv3.DeltaDiscoveryRequest
	end      chan struct{}
	nonces   int
}

// Next waits for the next request.
func (s *Stream) Next() *discoveryv3.DeltaDiscoveryRequest { return <-s.requests }

// Wants waits for the next request, which has to be as Format writes it.
func (s *Stream) Wants(want string) {
	s.t.Helper()
	if got := Format(s.Next()); got != want {
		s.t.Fatalf("the server was asked\n%s\nwant\n%s", got, want)
	}
}

// WantsAll waits for as many requests, which have to be these in any order.
func (s *Stream) WantsAll(want ...string) {
	s.t.Helper()
	got := make([]string, len(want))
	for i := range got {
		got[i] = Format(s.Next())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.t.Fatalf("the server was asked\n%q\nwant\n%q", got, want)
	}
}

// Send sends a response. Its nonce is n1 for the first one of the stream, then n2 and so on.
func (s *Stream) Send(r *discoveryv3.DeltaDiscoveryResponse) {
	s.t.Helper()
	s.nonces++
	r.Nonce = fmt.Sprintf("n%d", s.nonces)
	if err := s.grpc.Send(r); err != nil {
		s.t.Fatal(err)
	}
}

// End ends the stream.
func (s *Stream) End() { close(s.end) }

// Format writes a request as its type and what else it has: "Cluster +subscribed -unsubscribed name@version by node ack nonce", or
// "nack nonce: detail" at the end.
func Format(r *discoveryv3.DeltaDiscoveryRequest) string {
	parts := []string{r.GetTypeUrl()[strings.LastIndexByte(r.GetTypeUrl(), '.')+1:]}
	for _, name := range r.GetResourceNamesSubscribe() {
		parts = append(parts, "+"+name)
	}
	for _, name := range r.GetResourceNamesUnsubscribe() {
		parts = append(parts, "-"+name)
	}
	versions := r.GetInitialResourceVersions()
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		parts = append(parts, name+"@"+versions[name])
	}
	if r.GetNode() != nil {
		parts = append(parts, "by "+r.GetNode().GetId())
	}
	switch {
	case r.GetErrorDetail() != nil:
		parts = append(parts, "nack", r.GetResponseNonce()+":", r.GetErrorDetail().GetMessage())
	case r.GetResponseNonce() != "":
		parts = append(parts, "ack", r.GetResponseNonce())
	}
	return strings.Join(parts, " ")
}

// Resource returns a message as a resource.
func Resource(name, version string, m proto.Message) *discoveryv3.Resource {
	packed, err := anypb.New(m)
	if err != nil {
		panic(err) // the messages of tests are valid UTF-8
	}
	return &discoveryv3.Resource{Name: name, Version: version, Resource: packed}
}
