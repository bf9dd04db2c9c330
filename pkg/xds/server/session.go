package server

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// session is a stream as go-control-plane sees it: where its resources come from, and whom to tell what happens. All of
// its methods are called by the goroutine that serves the stream.
type session struct {
	server   *Server
	protocol string
	typeURL  string              // of the stream, or resource.AnyType
	node     string              // printable
	stream   *cache.Stream       // nil until the first request
	sent     map[string]response // the last one by type URL

	// identity is what the node says of itself, and scope what it gets. They are written once, under Server.mu.
	identity *corev3.Node
	scope    string

	// moved says that the node is to have another scope. Its end ends ctx.
	moved atomic.Bool
	ctx   context.Context
	stop  context.CancelFunc
}

type response struct{ nonce, version string }

var (
	_ xdscache.ConfigWatcher = (*session)(nil)
	_ delta.Callbacks        = (*session)(nil)
	_ sotw.Callbacks         = (*session)(nil)
)

func (s *Server) open(protocol, typeURL string) *session {
	streams.WithLabelValues(protocol).Inc()
	ses := &session{server: s, protocol: protocol, typeURL: typeURL, sent: map[string]response{}}
	ses.ctx, ses.stop = context.WithCancel(s.ctx)
	return ses
}

func (s *session) close() {
	s.stop()
	streams.WithLabelValues(s.protocol).Dec()
	s.server.mu.Lock()
	delete(s.server.sessions, s)
	s.server.mu.Unlock()
	if s.stream != nil {
		s.stream.Close()
	}
}

// identify finds the scope of the node of the first request.
func (s *session) identify(node *corev3.Node) error {
	if s.stream != nil {
		return nil
	}
	s.node = printable(node.GetId(), 256)
	if err := s.enroll(node); err != nil {
		if reason := printable(err.Error(), 1024); !s.server.rejections.seen(rejection{node: s.node}, reason) {
			s.server.logger.Info("Refused an xDS node", "node", s.node, "reason", reason)
		}
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if !s.server.cache.Published(s.scope) {
		s.server.logger.Info("An xDS node waits for configuration that nothing has published", "node", s.node, "scope", printable(s.scope, 512))
	}
	s.stream = s.server.cache.Stream(s.scope)
	return nil
}

// enroll notes the session among those whose nodes may come to have another scope.
func (s *session) enroll(node *corev3.Node) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	scope, err := s.server.nodes.Scope(node)
	if err != nil {
		return err
	}
	// The rest of what Envoy says of itself, such as its extensions, is much.
	s.identity = &corev3.Node{Id: node.GetId(), Cluster: node.GetCluster(), Metadata: node.GetMetadata()}
	s.scope = scope
	s.server.sessions[s] = struct{}{}
	return nil
}

// errMoved has the client connect again.
var errMoved = status.Error(codes.Unavailable, "this node is to serve something else from now on: reconnect")

// end ends the stream. Nothing is sent on it any more, such as that all that the node has is removed.
func (s *session) end() {
	s.moved.Store(true)
	s.stop()
}

// over is why nothing may be sent any more; nil if something may.
func (s *session) over() error {
	if s.moved.Load() {
		return errMoved
	}
	return nil
}

// result is what the client is told of the end of the stream.
func (s *session) result(err error) error {
	switch {
	case s.moved.Load():
		return errMoved
	case errors.Is(err, cache.ErrBehind):
		return status.Error(codes.Unavailable, err.Error())
	}
	return err
}

type deltaSender struct {
	stream.DeltaStream
	session *session
}

func (d deltaSender) Send(r *discoveryv3.DeltaDiscoveryResponse) error {
	if err := d.session.over(); err != nil {
		return err
	}
	return d.DeltaStream.Send(r)
}

type stateSender struct {
	stream.Stream
	session *session
}

func (d stateSender) Send(r *discoveryv3.DiscoveryResponse) error {
	if err := d.session.over(); err != nil {
		return err
	}
	return d.Stream.Send(r)
}

// CreateDeltaWatch implements xdscache.ConfigWatcher.
func (s *session) CreateDeltaWatch(req *discoveryv3.DeltaDiscoveryRequest, sub xdscache.Subscription, ch chan xdscache.DeltaResponse) (func(), error) {
	return s.stream.CreateDeltaWatch(req, sub, ch)
}

// CreateWatch implements xdscache.ConfigWatcher.
func (s *session) CreateWatch(req *discoveryv3.DiscoveryRequest, sub xdscache.Subscription, ch chan xdscache.Response) (func(), error) {
	return s.stream.CreateWatch(req, sub, ch)
}

// OnDeltaStreamOpen implements delta.Callbacks.
func (s *session) OnDeltaStreamOpen(context.Context, int64, string) error { return nil }

// OnDeltaStreamClosed implements delta.Callbacks.
func (s *session) OnDeltaStreamClosed(int64, *corev3.Node) {}

// OnStreamDeltaRequest implements delta.Callbacks.
func (s *session) OnStreamDeltaRequest(_ int64, req *discoveryv3.DeltaDiscoveryRequest) error {
	s.rejected(req.GetTypeUrl(), req.GetResponseNonce(), req.GetErrorDetail())
	return s.identify(req.GetNode())
}

// OnStreamDeltaResponse implements delta.Callbacks.
func (s *session) OnStreamDeltaResponse(_ int64, _ *discoveryv3.DeltaDiscoveryRequest, resp *discoveryv3.DeltaDiscoveryResponse) {
	s.responds(resp.GetTypeUrl(), response{resp.GetNonce(), resp.GetSystemVersionInfo()}, len(resp.GetResources()))
}

// OnStreamOpen implements sotw.Callbacks.
func (s *session) OnStreamOpen(context.Context, int64, string) error { return nil }

// OnStreamClosed implements sotw.Callbacks.
func (s *session) OnStreamClosed(int64, *corev3.Node) {}

// OnStreamRequest implements sotw.Callbacks.
func (s *session) OnStreamRequest(_ int64, req *discoveryv3.DiscoveryRequest) error {
	s.rejected(req.GetTypeUrl(), req.GetResponseNonce(), req.GetErrorDetail())
	return s.identify(req.GetNode())
}

// OnStreamResponse implements sotw.Callbacks.
func (s *session) OnStreamResponse(_ context.Context, _ int64, _ *discoveryv3.DiscoveryRequest, resp *discoveryv3.DiscoveryResponse) {
	s.responds(resp.GetTypeUrl(), response{resp.GetNonce(), resp.GetVersionInfo()}, len(resp.GetResources()))
}

func (s *session) responds(typeURL string, r response, resources int) {
	s.sent[typeURL] = r
	responses.WithLabelValues(typeLabel(typeURL)).Inc()
	resourcesSent.WithLabelValues(typeLabel(typeURL)).Add(float64(resources))
}

// rejected counts a rejection, and logs it if this node has not rejected this version before.
func (s *session) rejected(typeURL, nonce string, detail *rpcstatus.Status) {
	if typeURL == "" {
		typeURL = s.typeURL
	}
	last, ok := s.sent[typeURL]
	if detail == nil || !ok {
		return
	}
	version := last.version
	if nonce != last.nonce {
		version = "superseded" // another response was on its way
	}
	nacks.WithLabelValues(typeLabel(typeURL)).Inc()
	if s.server.rejections.seen(rejection{s.scope, s.node, typeURL}, version) {
		return
	}
	s.server.logger.Error(errors.New(printable(detail.GetMessage(), 4096)), "An xDS node rejected its configuration",
		"node", s.node, "scope", s.scope, "type", typeLabel(typeURL), "version", version)
}

// rejections remembers the version that a node rejected last, so that it is logged once, also if the node reconnects; and why a
// node was refused, under no scope and type.
type rejections struct {
	mu   sync.Mutex
	last map[rejection]string
}

type rejection struct{ scope, node, typeURL string }

// maxRejections bounds the memory for nodes that come and go. What is forgotten is logged again.
const maxRejections = 4096

// seen reports whether the last version that was rejected is this one, and remembers it.
func (r *rejections) seen(by rejection, version string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last[by]; ok && last == version {
		return true
	}
	if r.last == nil || len(r.last) >= maxRejections {
		r.last = map[rejection]string{}
	}
	r.last[by] = version
	return false
}

// printable makes what a client sent fit for a line of the log: cut to n bytes, and with line breaks, control characters
// and quotes escaped.
func printable(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "..."
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
