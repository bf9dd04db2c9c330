package server

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
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
	typeURL  string // of the stream, or resource.AnyType
	node     string // printable
	scope    string
	stream   *cache.Stream       // nil until the first request
	sent     map[string]response // the last one by type URL
}

type response struct{ nonce, version string }

var (
	_ xdscache.ConfigWatcher = (*session)(nil)
	_ delta.Callbacks        = (*session)(nil)
	_ sotw.Callbacks         = (*session)(nil)
)

func (s *Server) open(protocol, typeURL string) *session {
	streams.WithLabelValues(protocol).Inc()
	return &session{server: s, protocol: protocol, typeURL: typeURL, sent: map[string]response{}}
}

func (s *session) close() {
	streams.WithLabelValues(s.protocol).Dec()
	if s.stream != nil {
		s.stream.Close()
	}
}

// identify takes the scope from the node of the first request.
func (s *session) identify(node *corev3.Node) error {
	if s.stream != nil {
		return nil
	}
	s.node = printable(node.GetId(), 256)
	scope, err := NodeScope(node)
	if err != nil {
		s.server.logger.Info("Refused an xDS node", "node", s.node, "reason", printable(err.Error(), 1024))
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if !s.server.cache.Published(scope) {
		s.server.logger.Info("An xDS node waits for configuration that nothing has published", "node", s.node, "scope", printable(scope, 512))
	}
	s.scope, s.stream = scope, s.server.cache.Stream(scope)
	return nil
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

// rejections remembers the version that a node rejected last, so that it is logged once, also if the node reconnects.
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
