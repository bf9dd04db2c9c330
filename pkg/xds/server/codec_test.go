package server

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// wire notes the bytes of the messages that a server sends.
type wire struct {
	grpc.ServerStream
	sent func(message any, bytes []byte)
}

func (w wire) SendMsg(m any) error {
	data, err := codec{}.Marshal(m)
	if err != nil {
		return err
	}
	w.sent(m, data.Materialize())
	return w.ServerStream.SendMsg(m)
}

// TestEncoded holds that what is sent of random histories is what Protocol Buffers' own marshalling makes of the messages, byte for
// byte, and that the standard codec reads it.
func TestEncoded(t *testing.T) {
	t.Parallel()
	shared := 0
	s := serve(t, func(c *Config) {
		c.Options = append(c.Options, grpc.ChainStreamInterceptor(func(srv any, str grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return handler(srv, wire{str, func(m any, data []byte) {
				if _, ok := m.(*encoded); ok {
					shared++
				}
				resp := &discoveryv3.DeltaDiscoveryResponse{}
				if err := proto.Unmarshal(data, resp); err != nil {
					t.Error(err)
				}
				if want, err := proto.Marshal(resp); err != nil || !bytes.Equal(data, want) {
					t.Errorf("got %x, want %x (%v)", data, want, err)
				}
			}})
		}))
	})
	r := rand.New(rand.NewPCG(1, 2))
	s.cache.Publish(scope, cache.Update{})
	d := s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	resp, err := d.Recv()
	has := map[string]string{}
	for i := range 100 {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range resp.GetResources() {
			has[r.GetName()] = string(r.GetResource().GetValue())
		}
		for _, name := range resp.GetRemovedResources() {
			delete(has, name)
		}
		d.ack(resp)
		u := set(res(lds, "always", fmt.Sprint(i)))
		for range r.IntN(5) {
			name := fmt.Sprint("l", r.IntN(5))
			if r.IntN(3) == 0 {
				u.Delete = append(u.Delete, cache.Name{TypeURL: lds, Name: name})
			} else {
				u.Set = append(u.Set, res(lds, name, string(make([]byte, r.IntN(300)))+fmt.Sprint(i)))
			}
		}
		s.cache.Publish(scope, u)
		resp, err = d.Recv()
	}
	if shared < 100 {
		t.Errorf("%d responses were encoded once for all", shared)
	}
}

func TestCodecOfOthers(t *testing.T) {
	t.Parallel()
	m := &discoveryv3.DiscoveryRequest{TypeUrl: lds, ResourceNames: []string{"a"}}
	ours, err := codec{}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := encoding.GetCodecV2("proto").Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours.Materialize(), theirs.Materialize()) {
		t.Errorf("got %x, want %x", ours.Materialize(), theirs.Materialize())
	}
	got := &discoveryv3.DiscoveryRequest{}
	if err := (codec{}).Unmarshal(ours, got); err != nil || !proto.Equal(got, m) {
		t.Errorf("got %v, %v, want %v", got, err, m)
	}
	if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer("\x0a")}, got); err == nil {
		t.Error("half a field was read")
	}
	if _, err := (codec{}).Marshal("no message"); err == nil {
		t.Error("a string was marshalled")
	}
}

// read decodes a message as the server does.
func read(data mem.BufferSlice, m proto.Message) error {
	req, ok := m.(*discoveryv3.DeltaDiscoveryRequest)
	if !ok {
		return codec{}.Unmarshal(data, m)
	}
	r := &rawRequest{}
	return errors.Join(codec{}.Unmarshal(data, r), unmarshal(mem.BufferSlice{mem.SliceBuffer(r.bytes)}, req, deltaFields))
}

// TestUnread holds that nothing is lost of requests but what nobody reads, of which a message can have more than fits into memory.
func TestUnread(t *testing.T) {
	t.Parallel()
	node := func() *corev3.Node {
		n := gatewayNode("ns/gw")
		n.Cluster, n.UserAgentName, n.UserAgentVersionType = "c", "envoy", buildVersion(1, 36, 2)
		return n
	}
	large := node()
	large.Extensions, large.ClientFeatures = []*corev3.Extension{{Name: "e"}}, []string{"f"}
	large.Locality, large.DynamicParameters = &corev3.Locality{Zone: "z"}, map[string]*xdscorev3.ContextParams{"p": {}}
	locators := []*discoveryv3.ResourceLocator{{Name: "l"}}
	for _, tc := range []struct{ sent, want proto.Message }{
		{
			&discoveryv3.DeltaDiscoveryRequest{Node: large, TypeUrl: lds, ResourceNamesSubscribe: []string{"a", ""}, ResourceNamesUnsubscribe: []string{"b"},
				ResourceLocatorsSubscribe: locators, InitialResourceVersions: map[string]string{"a": "1"}, ResponseNonce: "2", ErrorDetail: &rpcstatus.Status{Code: 3, Message: "no"}},
			&discoveryv3.DeltaDiscoveryRequest{Node: node(), TypeUrl: lds, ResourceNamesSubscribe: []string{"a", ""}, ResourceNamesUnsubscribe: []string{"b"},
				InitialResourceVersions: map[string]string{"a": "1"}, ResponseNonce: "2", ErrorDetail: &rpcstatus.Status{Code: 3, Message: "no"}},
		},
		{
			&discoveryv3.DiscoveryRequest{VersionInfo: "1", Node: large, TypeUrl: lds, ResourceNames: []string{"a"}, ResourceLocators: locators, ResponseNonce: "2", ErrorDetail: &rpcstatus.Status{Message: "no"}},
			&discoveryv3.DiscoveryRequest{VersionInfo: "1", Node: node(), TypeUrl: lds, ResourceNames: []string{"a"}, ResponseNonce: "2", ErrorDetail: &rpcstatus.Status{Message: "no"}},
		},
		{&discoveryv3.DiscoveryResponse{VersionInfo: "1"}, &discoveryv3.DiscoveryResponse{VersionInfo: "1"}},
		{&discoveryv3.DeltaDiscoveryRequest{}, &discoveryv3.DeltaDiscoveryRequest{}},
	} {
		data, err := standard.Marshal(tc.sent)
		if err != nil {
			t.Fatal(err)
		}
		got := tc.sent.ProtoReflect().New().Interface()
		if err := read(data, got); err != nil || !proto.Equal(got, tc.want) {
			t.Errorf("got %v, %v, want %v", got, err, tc.want)
		}
	}
}
