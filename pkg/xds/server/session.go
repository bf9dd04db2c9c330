package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// session is what is known of a stream. If that is of the state-of-the-world protocol, it is also what go-control-plane sees of it:
// where its resources come from, and whom to tell what happens. All of its methods but end and check are called by one goroutine at
// a time.
type session struct {
	server   *Server
	protocol string
	typeURL  string // of the stream, or resource.AnyType
	since    time.Time
	proof    proof
	hangUp   func()     // closes the connection
	sent     []response // the last one of each type

	// What the first request says and leads to, which is written once, under Server.mu.
	node   *corev3.Node // what of it is needed
	id     string       // of the node, printable
	agent  string       // the version of the proxy
	scope  string
	stream *cache.Stream // nil until then

	// touched says that the roster knows of a change since somebody looked at the session last.
	touched atomic.Bool

	// fleet is that of the Gateway whose scope it is, or "". It is guarded by Server.mu.
	fleet string

	// ctx ends with the stream. Its cause is what the client is told, or errEnded for nothing in particular.
	ctx  context.Context
	stop context.CancelCauseFunc
}

type response struct{ typeURL, nonce, version string }

var (
	_ xdscache.ConfigWatcher = (*session)(nil)
	_ sotw.Callbacks         = (*session)(nil)
)

// open begins the session of a stream that has been admitted.
func (s *Server) open(ctx context.Context, protocol, typeURL string) *session {
	streams.WithLabelValues(protocol).Inc()
	ses := &session{server: s, protocol: protocol, typeURL: typeURL, since: time.Now()}
	ses.ctx, ses.stop = context.WithCancelCause(s.ctx)
	a, _ := ctx.Value(admissionKey{}).(admission)
	if ses.hangUp = a.hangUp; a.hangUp == nil {
		ses.hangUp = func() {}
	}
	ses.proof.begin(ctx, ses, a.identity)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[ses] = struct{}{}
	if !s.drained.IsZero() {
		ses.drain(s.drained)
	}
	return ses
}

func (s *session) close() {
	s.stop(errEnded)
	s.proof.end()
	streams.WithLabelValues(s.protocol).Dec()
	s.server.mu.Lock()
	delete(s.server.sessions, s)
	s.server.mu.Unlock()
	if s.stream != nil {
		s.server.roster.leave(s)
		s.stream.Close()
	}
}

// Why streams end, beside their clients' identities.
var (
	// errMoved has the client connect again.
	errMoved = status.Error(codes.Unavailable, "this node is to serve something else from now on: reconnect")
	errEnded = errors.New("the stream has ended")
)

// end ends the stream, with a status for the client; nil is OK. Nothing is sent on it any more, such as that all that the node has
// is removed. A client that doesn't take what is being sent has its connection closed after a while.
func (s *session) end(why error) {
	if why == nil {
		why = errEnded
	}
	s.stop(why)
}

// over is why nothing may be sent any more; nil if something may.
func (s *session) over() error {
	if s.ctx.Err() == nil {
		if err := s.proof.expired(); err != nil {
			s.end(err)
		}
	}
	return context.Cause(s.ctx)
}

// result is what the client is told of the end of the stream.
func (s *session) result(err error) error {
	if why := context.Cause(s.ctx); why != nil {
		if _, ok := status.FromError(why); ok {
			return why
		}
		return nil
	}
	return asEnd(err)
}

// asEnd returns what a client is told of an error.
func asEnd(err error) error {
	switch {
	case errors.Is(err, cache.ErrBehind):
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, cache.ErrTooMany):
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return err
}

// admits checks who sends a request, and finds the scope of the node of the first one. What a later one says of its node doesn't
// matter.
func (s *session) admits(node *corev3.Node) error {
	if s.stream != nil {
		return s.check()
	}
	if err := s.enroll(node); err != nil {
		s.server.refuse("node", Printable(node.GetId(), maxID), err)
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.check(); err != nil {
		return err
	}
	if !s.server.cache.Published(s.scope) {
		if n, log := s.server.refusals.add(unpublished{s.scope}); log {
			s.server.logger.Info("An xDS node waits for configuration that nothing has published", "node", s.id, "scope", Printable(s.scope, 512), "streams", n)
		}
	}
	s.subscribe()
	return nil
}

// enroll notes what the session is of.
func (s *session) enroll(node *corev3.Node) error {
	scope, err := s.server.nodes.Scope(node)
	if err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.node, s.id, s.agent = essence(node), Printable(node.GetId(), maxID), versionOf(node)
	s.scope, s.fleet = scope, s.server.fleetOf(scope)
	return nil
}

// subscribe begins to follow the scope. If the fleets have changed since it was found and asked for, the stream ends.
func (s *session) subscribe() {
	var stream *cache.Stream
	if s.observes() {
		stream = s.server.cache.Observer(s.scope, s.id)
	} else {
		stream = s.server.cache.Stream(s.scope, s.id, func() { s.server.roster.touch(s) })
	}
	s.server.mu.Lock()
	s.stream = stream
	if scope, err := s.server.nodes.Scope(s.node); err != nil || scope != s.scope || s.server.fleetOf(scope) != s.fleet {
		s.end(errMoved)
	}
	s.server.mu.Unlock()
	s.server.roster.join(s)
}

// fleetOf returns the EnvoyFleet of the Gateway whose scope it is, or "".
func (s *Server) fleetOf(scope string) string {
	if kind, gateway := nodes.ParseScope(scope); kind == nodes.OfGateway {
		return s.nodes.FleetOf(gateway)
	}
	return ""
}

// maxID is the longest id of a node that is shown.
const maxID = 256

// essence returns what of a node decides on its scope, which is kept: what is no string in its metadata doesn't.
func essence(node *corev3.Node) *corev3.Node {
	n := &corev3.Node{Id: node.GetId(), Cluster: node.GetCluster()}
	for key, value := range node.GetMetadata().GetFields() {
		if _, ok := value.GetKind().(*structpb.Value_StringValue); !ok {
			continue
		}
		if n.Metadata == nil {
			n.Metadata = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		}
		n.Metadata.Fields[key] = value
	}
	return n
}

// forget empties a node, which go-control-plane keeps for as long as the stream.
func forget(node *corev3.Node) {
	if node != nil {
		node.Reset()
	}
}

// versionOf returns the version of the proxy that a node says it is, or "".
func versionOf(node *corev3.Node) string {
	if v := node.GetUserAgentBuildVersion().GetVersion(); v != nil {
		return fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
	}
	return Printable(node.GetUserAgentVersion(), 64)
}

// stateSession is a stream of the state-of-the-world protocol, as go-control-plane sees it, which keeps something of each type.
type stateSession struct {
	stream.Stream
	session *session
	node    *corev3.Node // of requests that were left out
}

// Send implements stream.Stream.
func (d *stateSession) Send(r *discoveryv3.DiscoveryResponse) error {
	return d.session.deliver(func() error { return d.Stream.Send(r) })
}

// Recv implements stream.Stream. It leaves out requests of types that are not served.
func (d *stateSession) Recv() (*discoveryv3.DiscoveryRequest, error) {
	for {
		req, err := d.Stream.Recv()
		if err != nil {
			return nil, err
		}
		if req.Node == nil {
			req.Node = d.node
		}
		if d.node = nil; req.GetTypeUrl() == "" || d.session.serves(req.GetTypeUrl()) {
			return req, nil
		}
		d.node = req.GetNode()
	}
}

// deliver sends a response, which blocks while the client doesn't read. After a while its connection is closed, be the session over by
// then or not.
func (s *session) deliver(send func() error) error {
	if err := s.over(); err != nil {
		return err
	}
	if s.server.limits.Send > 0 {
		timer := time.AfterFunc(s.server.limits.Send, s.hangUp)
		defer timer.Stop()
	}
	return send()
}

// CreateWatch implements xdscache.ConfigWatcher.
func (s *session) CreateWatch(req *discoveryv3.DiscoveryRequest, sub xdscache.Subscription, ch chan xdscache.Response) (func(), error) {
	cancel, err := s.stream.CreateWatch(req, sub, ch)
	s.server.roster.touch(s)
	return cancel, err
}

// CreateDeltaWatch implements xdscache.ConfigWatcher. Streams of the delta protocol have no use for it (see deltaSession).
func (s *session) CreateDeltaWatch(*discoveryv3.DeltaDiscoveryRequest, xdscache.Subscription, chan xdscache.DeltaResponse) (func(), error) {
	return nil, errors.ErrUnsupported
}

// OnStreamOpen implements sotw.Callbacks.
func (s *session) OnStreamOpen(context.Context, int64, string) error { return nil }

// OnStreamClosed implements sotw.Callbacks.
func (s *session) OnStreamClosed(int64, *corev3.Node) {}

// OnStreamRequest implements sotw.Callbacks.
func (s *session) OnStreamRequest(_ int64, req *discoveryv3.DiscoveryRequest) error {
	if err := s.admits(req.GetNode()); err != nil {
		return err
	}
	s.rejected(req.GetTypeUrl(), req.GetResponseNonce(), req.GetErrorDetail())
	forget(req.GetNode())
	s.stream.Late(req)
	s.server.roster.touch(s)
	return nil
}

// OnStreamResponse implements sotw.Callbacks.
func (s *session) OnStreamResponse(_ context.Context, _ int64, _ *discoveryv3.DiscoveryRequest, resp *discoveryv3.DiscoveryResponse) {
	s.responds(resp.GetTypeUrl(), resp.GetNonce(), resp.GetVersionInfo(), len(resp.GetResources()))
}

// responds notes a response.
func (s *session) responds(typeURL, nonce, version string, resources int) {
	r := response{typeURL, nonce, version}
	if i := s.lastSent(typeURL); i >= 0 {
		s.sent[i] = r
	} else {
		s.sent = append(s.sent, r)
	}
	c := s.server.counters[typeURL]
	c.responses.Inc()
	c.resources.Add(float64(resources))
	s.server.roster.touch(s)
}

// lastSent returns the index in sent of the last response of a type, or -1.
func (s *session) lastSent(typeURL string) int {
	return slices.IndexFunc(s.sent, func(r response) bool { return r.typeURL == typeURL })
}
