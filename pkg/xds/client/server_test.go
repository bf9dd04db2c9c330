package client

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// adsServer answers by the letter of the delta protocol from a fixed set of resources, and remembers what clients said.
type adsServer struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	resources map[string]map[string]proto.Message // by type URL, then name
	silent    map[string]bool                     // names that are never answered

	mu        sync.Mutex
	nodes     []*corev3.Node
	responses int
	acks      int
	rejects   []string
}

// serve runs s on a free loopback port until the test ends, and returns a connection to it.
func serve(t *testing.T, s *adsServer) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, s)
	go server.Serve(listener)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
	})
	return conn
}

func (s *adsServer) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		s.note(request)
		response := s.respond(request)
		if response == nil {
			continue
		}
		s.mu.Lock()
		s.responses++
		s.mu.Unlock()
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func (s *adsServer) note(request *discoveryv3.DeltaDiscoveryRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if request.GetNode() != nil {
		s.nodes = append(s.nodes, request.GetNode())
	}
	switch {
	case request.GetErrorDetail() != nil:
		s.rejects = append(s.rejects, request.GetErrorDetail().GetMessage())
	case request.GetResponseNonce() != "":
		s.acks++
	}
}

func (s *adsServer) respond(request *discoveryv3.DeltaDiscoveryRequest) *discoveryv3.DeltaDiscoveryResponse {
	names := slices.DeleteFunc(slices.Clone(request.GetResourceNamesSubscribe()), func(name string) bool { return s.silent[name] })
	if len(names) == 0 {
		return nil
	}
	response := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: request.GetTypeUrl(), Nonce: "1"}
	known := s.resources[request.GetTypeUrl()]
	if slices.Contains(names, wildcard) {
		names = names[:0]
		for name := range known {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if known[name] == nil {
			response.RemovedResources = append(response.RemovedResources, name)
			continue
		}
		packed, err := anypb.New(known[name])
		if err != nil {
			panic(err)
		}
		response.Resources = append(response.Resources, &discoveryv3.Resource{Name: name, Version: "1", Resource: packed})
	}
	return response
}
