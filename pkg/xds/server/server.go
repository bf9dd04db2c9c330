package server

import (
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/config"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

const (
	// maxRequest is the size of a request that names 100,000 resources and their versions (initial_resource_versions).
	maxRequest = 32 << 20
	// maxStreams bounds the streams of a connection. A client has one (ADS), or one for each resource.
	maxStreams = 10_000
)

// Clients may ping as often as Envoy and gRPC do with their shortest recommended settings, and dead ones are noticed
// within a minute.
var (
	keepaliveEnforcement = keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}
	keepaliveParameters  = keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}
)

// Nodes says which scope of the cache a node gets. It is safe for concurrent use.
type Nodes interface {
	// Scope returns the scope of a node. The error is for the node.
	Scope(node *corev3.Node) (string, error)
	// Follow has changed called, one call at a time, after each change of what Scope returns, until stop is called.
	Follow(changed func()) (stop func())
}

// Server serves xDS.
type Server struct {
	cache      *cache.Cache
	nodes      Nodes
	logger     klog.Logger
	grpc       *grpc.Server
	rejections rejections

	mu       sync.Mutex
	sessions map[*session]struct{} // whose nodes have a scope

	// ctx ends the streams.
	ctx  context.Context
	stop context.CancelFunc
}

// New returns a server of c that does not serve yet. It is plaintext unless the options say otherwise (grpc.Creds).
func New(c *cache.Cache, nodes Nodes, logger klog.Logger, options ...grpc.ServerOption) *Server {
	registerMetrics()
	s := &Server{cache: c, nodes: nodes, logger: logger, sessions: map[*session]struct{}{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	context.AfterFunc(s.ctx, nodes.Follow(s.nodesChanged))
	s.grpc = grpc.NewServer(append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveEnforcementPolicy(keepaliveEnforcement),
		grpc.KeepaliveParams(keepaliveParameters),
	}, options...)...)
	s.register()
	return s
}

// Serve serves on l until Shutdown, which makes it return nil, or until l fails. It closes l.
func (s *Server) Serve(l net.Listener) error {
	err := s.grpc.Serve(l)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Shutdown ends all streams, so that clients go to another replica, and returns when their connections are closed, by
// force when ctx ends.
func (s *Server) Shutdown(ctx context.Context) {
	s.stop()
	defer context.AfterFunc(ctx, s.grpc.Stop)()
	s.grpc.GracefulStop()
}

// byName are the types that have no legacy wildcard: an empty request subscribes to nothing (the protocol's section "How
// the client specifies what resources to return").
var byName = config.DeactivateLegacyWildcardForTypes([]string{resource.EndpointType, resource.SecretType, resource.RouteType})

// serveDelta serves a stream of the delta protocol, of one type or of all (resource.AnyType).
func (s *Server) serveDelta(str stream.DeltaStream, typeURL string) error {
	ses := s.open("delta", typeURL)
	defer ses.close()
	return ses.result(delta.NewServer(ses.ctx, ses, ses, byName).DeltaStreamHandler(deltaSender{str, ses}, typeURL))
}

// serveState serves a stream of the state-of-the-world protocol, of one type or of all (resource.AnyType).
func (s *Server) serveState(str stream.Stream, typeURL string) error {
	ses := s.open("sotw", typeURL)
	defer ses.close()
	return ses.result(sotw.NewServer(ses.ctx, ses, ses, byName, sotw.WithOrderedADS()).StreamHandler(stateSender{str, ses}, typeURL))
}

// nodesChanged ends the sessions whose nodes are to have another scope than they have.
func (s *Server) nodesChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := 0
	for ses := range s.sessions {
		if scope, err := s.nodes.Scope(ses.identity); err != nil || scope != ses.scope {
			delete(s.sessions, ses)
			ses.end()
			ended++
		}
	}
	if ended > 0 {
		s.logger.Info("Ended xDS streams whose nodes are to serve something else from now on", "streams", ended)
	}
}
