package server

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/config"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// Clients may ping as often as Envoy and gRPC do with their shortest recommended settings, and dead ones are noticed
// within a minute.
var keepaliveEnforcement = keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}

const (
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 20 * time.Second
	// window is the flow control window of a stream and of a connection: what a client may send that has not been read.
	window = 64 << 10
	// readBuffer is that of a connection. Most requests are acknowledgements, which fit.
	readBuffer = 512
)

// Server serves xDS.
type Server struct {
	cache         *cache.Cache
	nodes         Nodes
	logger        klog.Logger
	authenticator Authenticator
	limits        Limits
	grpc          *grpc.Server
	peers         *peers
	roster        roster
	rejections    *tally
	refusals      *tally
	counters      map[string]counters // by type URL
	// proven and unproven are what questions to the authenticator pass, about streams that have been allowed something and others.
	proven, unproven gate

	mu       sync.Mutex
	sessions map[*session]struct{}
	drained  time.Time // when the last stream ends; zero unless the server is being shut down

	// ctx ends the streams.
	ctx  context.Context
	stop context.CancelFunc
}

// New returns a server that does not serve yet.
func New(c Config) *Server {
	registerMetrics()
	limits := c.Limits.withDefaults(c.TLS != nil)
	s := &Server{
		cache: c.Cache, nodes: c.Nodes, logger: c.Logger, authenticator: c.Authenticator, limits: limits,
		peers:      newPeers(limits),
		rejections: newTally(rate.Inf), refusals: newTally(maxRefusals),
		counters: newCounters(),
		proven:   make(gate, maxAsking), unproven: make(gate, maxAsking),
		sessions: map[*session]struct{}{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	context.AfterFunc(s.ctx, c.Nodes.Follow(s.nodesChanged))
	options := []grpc.ServerOption{
		grpc.ChainStreamInterceptor(s.admit),
		grpc.UnknownServiceHandler(unimplemented),
		grpc.ForceServerCodecV2(codec{}),
		grpc.MaxRecvMsgSize(limits.Request),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxHeaderListSize(uint32(limits.Headers)),
		grpc.MaxConcurrentStreams(uint32(limits.StreamsPerConnection)),
		grpc.ConnectionTimeout(limits.Handshake),
		grpc.StaticStreamWindowSize(window),
		grpc.StaticConnWindowSize(window),
		grpc.ReadBufferSize(readBuffer),
		grpc.KeepaliveEnforcementPolicy(keepaliveEnforcement),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout,
			MaxConnectionAge: limits.Age, MaxConnectionAgeGrace: limits.AgeGrace,
		}),
	}
	if c.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(withoutResumption(c.TLS))))
	}
	s.grpc = grpc.NewServer(append(options, c.Options...)...)
	s.register()
	return s
}

// withoutResumption returns a configuration in which each connection shows its certificates.
func withoutResumption(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.SessionTicketsDisabled = true
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if forClient := c.GetConfigForClient; forClient != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			per, err := forClient(hello)
			if per == nil || err != nil {
				return nil, err
			}
			per = per.Clone()
			per.SessionTicketsDisabled = true
			per.MinVersion = max(per.MinVersion, tls.VersionTLS12)
			per.NextProtos = c.NextProtos
			return per, nil
		}
	}
	return c
}

// Serve serves on l until Shutdown, which makes it return nil, or until l fails. It closes l.
func (s *Server) Serve(l net.Listener) error {
	err := s.grpc.Serve(s.limit(l))
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Shutdown takes no more connections and tells clients to use another one for what comes (GOAWAY). It ends the streams one after
// the other, at random within the time of Limits.Drain, so that they don't arrive at another replica at once, and returns when all
// connections are closed, by force when ctx ends.
func (s *Server) Shutdown(ctx context.Context) {
	period := s.limits.Drain
	if deadline, ok := ctx.Deadline(); ok {
		period = max(0, min(period, time.Until(deadline)*2/3))
	}
	if period == 0 {
		s.stop()
	}
	s.drain(period)
	defer s.stop()
	defer context.AfterFunc(ctx, s.grpc.Stop)()
	s.grpc.GracefulStop()
}

// drain ends the streams, and those that begin from now on, within a time.
func (s *Server) drain(period time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = time.Now().Add(period)
	for ses := range s.sessions {
		ses.drain(s.drained)
	}
}

// drain ends a stream at a random time until another.
func (s *session) drain(until time.Time) {
	timer := time.AfterFunc(time.Duration(rand.Float64()*float64(time.Until(until))), func() { s.end(nil) })
	context.AfterFunc(s.ctx, func() { timer.Stop() })
}

// byName are the types that have no legacy wildcard: an empty request subscribes to nothing (the protocol's section "How
// the client specifies what resources to return").
var byName = config.DeactivateLegacyWildcardForTypes([]string{resource.EndpointType, resource.SecretType, resource.RouteType})

// serveState serves a stream of the state-of-the-world protocol, of one type or of all (resource.AnyType).
func (s *Server) serveState(str stream.Stream, typeURL string) error {
	ses := s.open(str.Context(), "sotw", typeURL)
	defer ses.close()
	return ses.result(sotw.NewServer(ses.ctx, ses, ses, byName, sotw.WithOrderedADS()).StreamHandler(&stateSession{Stream: str, session: ses}, typeURL))
}

// nodesChanged ends the sessions whose nodes are to have another scope than they have, and asks again for those whose Gateway
// belongs to another fleet, in which not everybody may read it who could before.
func (s *Server) nodesChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := 0
	for ses := range s.sessions {
		if ses.stream == nil {
			continue
		}
		if scope, err := s.nodes.Scope(ses.node); err != nil || scope != ses.scope {
			ses.end(errMoved)
			ended++
			continue
		}
		if fleet := s.fleetOf(ses.scope); fleet != ses.fleet {
			ses.fleet = fleet
			ses.proof.soon()
		}
	}
	if ended > 0 {
		s.logger.Info("Ended xDS streams whose nodes are to serve something else from now on", "streams", ended)
	}
}
