package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/go-logr/logr/funcr"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// requests is a stream on which a client sends some messages and ends, and takes what it is sent.
type requests[Req, Resp any] struct {
	grpc.ServerStream
	ctx  context.Context
	rest [][]byte
}

// RecvMsg returns what is sent next, for the delta protocol.
func (r *requests[Req, Resp]) RecvMsg(m any) error {
	if len(r.rest) == 0 {
		return io.EOF
	}
	data := r.rest[0]
	r.rest = r.rest[1:]
	return codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, m)
}

// Recv returns what is sent next that is a request, for the other.
func (r *requests[Req, Resp]) Recv() (*Req, error) {
	for len(r.rest) > 0 {
		data := r.rest[0]
		r.rest = r.rest[1:]
		req := new(Req)
		if proto.Unmarshal(data, any(req).(proto.Message)) == nil {
			return req, nil
		}
	}
	return nil, io.EOF
}

func (r *requests[Req, Resp]) Send(resp *Resp) error    { return r.SendMsg(resp) }
func (r *requests[Req, Resp]) Context() context.Context { return r.ctx }
func (r *requests[Req, Resp]) SendMsg(m any) error      { _, err := codec{}.Marshal(m); return err }

// framed writes messages as the fuzz targets read them: each after its length.
func framed(f *testing.F, messages ...proto.Message) []byte {
	var out []byte
	for _, m := range messages {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		out = append(binary.AppendUvarint(out, uint64(len(data))), data...)
	}
	return out
}

// unframed returns the messages of a fuzz target's input.
func unframed(data []byte) (messages [][]byte) {
	for len(data) > 0 && len(messages) < 64 {
		size, n := binary.Uvarint(data)
		if n <= 0 {
			return messages
		}
		data = data[n:]
		size = min(size, uint64(len(data)))
		messages, data = append(messages, data[:size]), data[size:]
	}
	return messages
}

// fuzzed is a server with a scope, which fails a test that has it write what a client sent into the log as it is.
func fuzzed(t *testing.T) *Server {
	c := cache.New(nodes.Bases()...)
	c.Publish(scope, set(res(cds, "c", "c1"), res(eds, "e", "e1"), res(lds, "l", "l1"), res(rds, "r", "r1"), res(sds, "s", "s1")))
	c.Publish(nodes.MeshScope, set(res(lds, "l", "l1")))
	return New(Config{Cache: c, Nodes: &nodes.Directory{}, Logger: funcr.New(func(_, line string) {
		if strings.ContainsAny(line, "\n\r\x1b") || len(line) > 16<<10 {
			t.Errorf("logged %q", line)
		}
	}, funcr.Options{})})
}

// leaves checks that a stream has left nothing behind.
func (s *Server) leaves(t *testing.T) {
	if len(s.sessions) > 0 || len(s.roster.nodes) > 0 {
		t.Errorf("%d sessions and %d nodes are left", len(s.sessions), len(s.roster.nodes))
	}
	s.stop()
}

// types are those of streams, by the number that fuzz targets have for them.
var types = []string{resource.AnyType, cds, eds, sds, lds, rds}

func FuzzDeltaRequests(f *testing.F) {
	node := gatewayNode("ns/gw")
	f.Add(byte(0), framed(f, &discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: lds},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, ResponseNonce: "1"},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: rds, ResourceNamesSubscribe: []string{"r", "*", ""}, InitialResourceVersions: map[string]string{"r": "", "x": "1"}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: rds, ResponseNonce: "2", ErrorDetail: &rpcstatus.Status{Message: "no r\nforged"}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: rds, ResourceNamesUnsubscribe: []string{"*", "r", "never"}}))
	f.Add(byte(5), framed(f, &discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "\x1b[31m\n"}, ResourceNamesSubscribe: []string{"*"}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, ErrorDetail: &rpcstatus.Status{}}, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: "other"}))
	f.Add(byte(0), framed(f, &discoveryv3.DeltaDiscoveryRequest{Node: gatewayNode("NS\n/gw")}, &discoveryv3.DeltaDiscoveryRequest{}))
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		s := fuzzed(t)
		_ = s.serveDelta(&requests[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse]{ctx: t.Context(), rest: unframed(data)}, types[int(kind)%len(types)])
		s.leaves(t)
	})
}

func FuzzStateRequests(f *testing.F) {
	node := gatewayNode("ns/gw")
	f.Add(byte(0), framed(f, &discoveryv3.DiscoveryRequest{Node: node, TypeUrl: lds},
		&discoveryv3.DiscoveryRequest{TypeUrl: lds, ResponseNonce: "1", VersionInfo: "1"},
		&discoveryv3.DiscoveryRequest{TypeUrl: rds, ResourceNames: []string{"r", "*", ""}},
		&discoveryv3.DiscoveryRequest{TypeUrl: rds, ResponseNonce: "2", ErrorDetail: &rpcstatus.Status{Message: "no r\nforged"}},
		&discoveryv3.DiscoveryRequest{TypeUrl: rds, ResponseNonce: "2"}))
	f.Add(byte(4), framed(f, &discoveryv3.DiscoveryRequest{Node: &corev3.Node{Id: "\x1b[31m\n"}, ResourceNames: []string{"*"}},
		&discoveryv3.DiscoveryRequest{TypeUrl: rds, ErrorDetail: &rpcstatus.Status{}}, &discoveryv3.DiscoveryRequest{TypeUrl: "other"}))
	f.Add(byte(0), framed(f, &discoveryv3.DiscoveryRequest{Node: gatewayNode("NS\n/gw")}, &discoveryv3.DiscoveryRequest{}))
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		s := fuzzed(t)
		_ = s.serveState(&requests[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse]{ctx: t.Context(), rest: unframed(data)}, types[int(kind)%len(types)])
		s.leaves(t)
	})
}

// FuzzUnread compares what is read of requests with what is in them.
func FuzzUnread(f *testing.F) {
	node := gatewayNode("ns/gw")
	node.Extensions, node.UserAgentVersionType = []*corev3.Extension{{Name: "e"}}, buildVersion(1, 2, 3)
	request, err := proto.Marshal(&discoveryv3.DiscoveryRequest{Node: node, TypeUrl: lds, ResourceLocators: []*discoveryv3.ResourceLocator{{Name: "l"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Add(append(request, request...))
	f.Fuzz(func(t *testing.T, data []byte) {
		want, got := &discoveryv3.DiscoveryRequest{}, &discoveryv3.DiscoveryRequest{}
		err := codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, got)
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, want) != nil {
			return // at most, what is wrong is in a field that nobody reads
		}
		want.ResourceLocators = nil
		if n := want.GetNode(); n != nil {
			n.DynamicParameters, n.Locality, n.Extensions, n.ClientFeatures = nil, nil, nil, nil
			//lint:ignore SA1019 older Envoys send it
			n.ListeningAddresses = nil
		}
		if err != nil && !errors.Is(err, errNode) || err == nil && !proto.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	})
}
