package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	plain, encrypted := Limits{}.withDefaults(false), Limits{}.withDefaults(true)
	if plain.Age != 0 || encrypted.Age != time.Hour {
		t.Errorf("connections end after %s in plaintext, and %s in TLS", plain.Age, encrypted.Age)
	}
	if plain.Streams != 50_000 || plain.Request != 32<<20 || plain.Requests != 1000 || plain.Drain != 10*time.Second {
		t.Errorf("got %+v", plain)
	}
	if l := (Limits{Streams: -1, Requests: -1, Drain: -1, Headers: 7}).withDefaults(true); l.Streams != noLimit || l.Requests != rate.Inf || l.Drain != 0 || l.Headers != 7 {
		t.Errorf("got %+v", l)
	}
}

// TestPeers takes and releases what there is of several addresses.
func TestPeers(t *testing.T) {
	t.Parallel()
	p := newPeers(Limits{Connections: 5, ConnectionsPerAddress: 2, Streams: 1, StreamsPerAddress: 1, Unproven: 1}.withDefaults(true))
	addr := func(s string) netip.Addr { return address(&net.TCPAddr{IP: net.ParseIP(s)}) }
	take := func(s, want string) func() {
		t.Helper()
		release, err := p.take(addr(s), p.connections())
		if want == "" && err != nil || want != "" && (status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", s, err, want)
		}
		return release
	}
	first := take("192.0.2.1", "")
	take("::ffff:192.0.2.1", "")
	take("192.0.2.1", "of the address 192.0.2.1")
	take("2001:db8::1", "")
	take("2001:db8::2", "")
	take("2001:db8::3", "of the address 2001:db8::") // the same network
	take("2001:db8:0:1::1", "")
	take("127.0.0.1", "use another replica")
	first()
	first() // a connection may be closed twice
	take("192.0.2.1", "")
	take("192.0.2.2", "use another replica")

	p = newPeers(Limits{ConnectionsPerAddress: 1}.withDefaults(true))
	var releases []func()
	for range 3 {
		releases = append(releases, take("127.0.0.1", ""), take("::1", ""))
	}
	for _, release := range releases {
		release()
	}
	if p.all != (usage{}) || len(p.usage) > 0 {
		t.Errorf("%+v and %d addresses are left", p.all, len(p.usage))
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Connections = 2 })
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
		if _, err := c.Read(make([]byte, 1)); err != nil { // the server's settings
			t.Fatal(err)
		}
	}
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("a third connection is served: read %d bytes", n)
	}
	if got := s.logged("--xds-max-streams"); len(got) != 1 {
		t.Errorf("the log says of a refused connection: %q", got)
	}
	open[0].Close()
	s.cache.Publish(scope, set(res(lds, "x", "x1")))
	for s.try(t, method{deltaListeners, true, firstRequest(deltaListeners, gatewayNode("ns/gw"))}) != nil {
		time.Sleep(time.Millisecond) // until the server has noticed
	}
}

// TestHandshakeIsLimited connects and says nothing.
func TestHandshakeIsLimited(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*Config){"plaintext": func(*Config) {}, "TLS": secured} {
		s := serve(t, config, func(c *Config) { c.Limits.Handshake = 10 * time.Millisecond })
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Logf("%s: closed with %v", name, err)
		}
	}
}

func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Streams = 1 })
	s.cache.Publish("mesh", set(res(lds, "l", "l1")))
	d := s.delta(t, nil)
	d.subscribe(lds)
	d.wantAck("listeners +l=l1")
	if _, err := s.state(t, nil).Recv(); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "use another replica") {
		t.Errorf("got %v, want ResourceExhausted, and what to do", err)
	}
	d.CloseSend()
	for {
		again := s.delta(t, nil)
		_ = again.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds})
		if resp, err := again.Recv(); err == nil {
			if len(resp.GetResources()) != 1 {
				t.Errorf("got %v", resp)
			}
			break
		}
	}
}

func TestRequestsAreLimited(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Request, c.Limits.Headers = 1<<10, 1<<10 })
	d := s.delta(t, nil)
	d.subscribe(rds, strings.Repeat("x", 1<<10))
	if _, err := d.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large request: got %v, want ResourceExhausted", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", strings.Repeat("x", 1<<10))
	str, err := discoveryv3.NewAggregatedDiscoveryServiceClient(s.conn).DeltaAggregatedResources(ctx)
	if err == nil {
		_, err = str.Recv()
	}
	if err == nil {
		t.Error("large headers are read")
	}
	large := s.delta(t, gatewayNode(strings.Repeat("x", 512)))
	large.node.Id = strings.Repeat("x", 256)
	large.subscribe(lds)
	if _, err := large.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v, want InvalidArgument", err)
	}
}

// TestLargeNodes holds that what a node says of itself, which is kept, is bounded more tightly than requests.
func TestLargeNodes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	node := gatewayNode("ns/gw")
	node.Id = strings.Repeat("x", maxNode)
	d := s.delta(t, node)
	d.subscribe(lds)
	if _, err := d.Recv(); err == nil || !strings.Contains(err.Error(), "64 KiB") {
		t.Errorf("got %v, want an error that says why", err)
	}
	// A message may have a field several times, and then they are one.
	node.Id = strings.Repeat("x", maxNode/2)
	half, err := proto.Marshal(&discoveryv3.DeltaDiscoveryRequest{Node: node})
	if err != nil {
		t.Fatal(err)
	}
	if err := read(mem.BufferSlice{mem.SliceBuffer(append(half, half...))}, &discoveryv3.DeltaDiscoveryRequest{}); !errors.Is(err, errNode) {
		t.Errorf("a node in two parts: got %v, want %v", err, errNode)
	}
}

// TestEssence holds that what is kept of a node has the scope of the node.
func TestEssence(t *testing.T) {
	t.Parallel()
	node := gatewayNode("ns/gw")
	node.Id, node.Cluster, node.Locality = "n", "c", &corev3.Locality{Zone: "z"}
	node.Metadata.Fields["list"] = structpb.NewListValue(&structpb.ListValue{})
	want := gatewayNode("ns/gw")
	want.Id, want.Cluster = "n", "c"
	if got := essence(node); !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// What names a Gateway and is no string is an error, and isn't passed over.
	s := serve(t)
	wrong := gatewayNode("")
	wrong.Metadata.Fields[nodes.GatewayKey] = structpb.NewNumberValue(7)
	d := s.delta(t, wrong)
	d.subscribe(lds)
	if _, err := d.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v, want InvalidArgument", err)
	}
}

// TestAge holds that connections end, and that clients connect again.
func TestAge(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Age, c.Limits.AgeGrace = 10*time.Millisecond, 10*time.Millisecond })
	s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l1")))
	for answered := 0; answered < 3; {
		d, err := discoveryv3.NewAggregatedDiscoveryServiceClient(s.conn).DeltaAggregatedResources(t.Context())
		if err != nil {
			continue // the connection has just ended
		}
		_ = d.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds})
		for ; err == nil; _, err = d.Recv() {
			answered++
		}
	}
}

// TestNothingIsReadBeforeAuthentication sends a request to a server that doesn't know the client yet.
func TestNothingIsReadBeforeAuthentication(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	var read readCounter
	s := serve(t, authenticated(func(context.Context) (*identity.Identity, error) {
		close(asked)
		<-answer
		return nil, status.Error(codes.Unauthenticated, "no")
	}), func(c *Config) {
		c.Options = append(c.Options, grpc.ChainStreamInterceptor(read.intercept))
	})
	d := s.delta(t, nil)
	sent := make(chan error, 1)
	go func() {
		// Flow control holds up what is larger than its window.
		sent <- d.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, ResourceNamesSubscribe: []string{strings.Repeat("x", 4*window)}})
	}()
	<-asked
	select {
	case err := <-sent:
		t.Logf("sent with %v", err) // gRPC buffers some of it
	default:
	}
	close(answer)
	if _, err := d.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("got %v, want Unauthenticated", err)
	}
	if read.messages > 0 {
		t.Errorf("%d messages were read", read.messages)
	}
}

// readCounter counts the streams that come to where messages are read.
type readCounter struct{ messages int }

func (r *readCounter) intercept(srv any, str grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	r.messages++
	return handler(srv, str)
}

// received is a stream from which nothing can be read.
type received struct {
	grpc.ServerStream
	messages int
}

func (r *received) RecvMsg(any) error { r.messages++; return nil }

// TestRequestsAreSlowed reads more requests than a stream may send at once.
func TestRequestsAreSlowed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	r := &received{}
	a := &admitted{ServerStream: r, ctx: ctx, requests: rate.NewLimiter(1e-5, 3)} // the next one in a day
	for range 3 {
		if err := a.RecvMsg(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.RecvMsg(nil); err == nil || r.messages != 3 {
		t.Errorf("got %v, and %d messages were read, want 3", err, r.messages)
	}
}

// TestSlowClient holds that a client that doesn't read delays neither Publish nor others, and loses its connection.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Send = 100 * time.Millisecond })
	large := strings.Repeat("large", window)
	s.cache.Publish(scope, set(res(lds, "l", "l0"), res(rds, "r", large), res(sds, "s", large)))
	slow := s.plain(t).delta(t, gatewayNode("ns/gw"))
	slow.subscribe(rds, "r") // which gRPC queues
	slow.subscribe(sds, "s") // and this has to wait
	d := s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	d.want("listeners +l=l0")
	for _, content := range []string{"l1", "l2", "l3"} {
		d.ack(&discoveryv3.DeltaDiscoveryResponse{TypeUrl: lds})
		s.cache.Publish(scope, set(res(lds, "l", content), res(rds, "r", large+content), res(sds, "s", large+content)))
		d.want("listeners +l=" + content)
	}
	for s.inUse() > 2 { // a session and its stream
		time.Sleep(time.Millisecond)
	}
}

// TestNamesAreLimited subscribes to more and more, of which nothing is published, and takes back half of it.
func TestNamesAreLimited(t *testing.T) {
	t.Parallel()
	s := serve(t)
	d, st := s.delta(t, gatewayNode("ns/gw")), s.state(t, gatewayNode("ns/gw"))
	long := strings.Repeat("x", 1<<20)
	end := func() error {
		for i := range 100 {
			req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, ResourceNamesSubscribe: []string{"*", long + strconv.Itoa(i)}}
			if i%2 == 0 { // the client has to be told what becomes of it, so it is kept
				req.ResourceNamesUnsubscribe = []string{long + strconv.Itoa(i)}
			}
			if i == 0 {
				req.Node = gatewayNode("ns/gw")
			}
			if err := d.Send(req); err != nil {
				break
			}
		}
		_, err := d.Recv()
		return err
	}
	if err := end(); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "100,000") {
		t.Errorf("delta: got %v, want ResourceExhausted, and why", err)
	}
	var names []string
	for i := range 20 {
		names = append(names, long+strconv.Itoa(i))
	}
	st.subscribe(eds, names...)
	st.subscribe(rds, names...)
	if _, err := st.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("state of the world: got %v, want ResourceExhausted", err)
	}
	d = s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(rds, make([]string, maxFields)...)
	if _, err := d.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("many names in one request: got %v, want ResourceExhausted", err)
	}
}
