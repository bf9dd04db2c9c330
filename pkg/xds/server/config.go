package server

import (
	"context"
	"crypto/tls"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

// Config is what a server takes.
type Config struct {
	Cache  *cache.Cache
	Nodes  Nodes
	Logger klog.Logger

	// TLS is how connections are encrypted; nil for plaintext, which is for loopback addresses. Its ClientAuth says whether a
	// certificate is demanded (tls.RequireAndVerifyClientCert) or one way of several to prove who a client is
	// (tls.VerifyClientCertIfGiven). Sessions are never resumed, whatever it says: a resumed one would outlive its certificates.
	TLS *tls.Config
	// Authenticator finds out who the client of a stream is; if it is nil, nobody is asked, and everybody may read everything.
	Authenticator Authenticator
	// Limits are what clients may take. What is zero has its default.
	Limits Limits

	// Options are more options of the gRPC server, which may not be interceptors of unary calls: there are none.
	Options []grpc.ServerOption
}

// Authenticator finds out who the client of a stream is. It is asked when a stream begins, for each request and once a while, and
// is safe for concurrent use.
type Authenticator interface {
	// Authenticate returns an identity, or a gRPC status: Unavailable if there is no answer, for which a stream that had one is not
	// ended at once.
	Authenticate(ctx context.Context) (*identity.Identity, error)
}

// Nodes says which scope of the cache a node gets. It is safe for concurrent use.
type Nodes interface {
	identity.Fleets
	// Scope returns the scope of a node. The error is for the node.
	Scope(node *corev3.Node) (string, error)
	// Follow has changed called, one call at a time, after each change of what the other methods return, until stop is called.
	Follow(changed func()) (stop func())
}

// Limits bound what clients may take. Zero stands for the default, which is given for each, and a negative number for no limit.
// Those per address don't apply to loopback addresses, where one address is many clients.
type Limits struct {
	// Connections bounds open connections (20,000), ConnectionsPerAddress those of one IP address (2,000). What is more is closed at
	// once.
	Connections, ConnectionsPerAddress int
	// Streams bounds open streams (50,000), StreamsPerAddress those of one IP address (10,000), StreamsPerConnection those of one
	// connection (10,000). A client has one, or one for each type or resource.
	Streams, StreamsPerAddress, StreamsPerConnection int
	// Unproven bounds the streams of one IP address whose clients are being authenticated, or wait for that (64). It is asked about 8
	// of them at a time.
	Unproven int
	// Handshake bounds the time until a connection is ready for streams (10 s).
	Handshake time.Duration
	// Headers bounds the headers of a stream, in bytes (32 KiB).
	Headers int
	// Request bounds a request, in bytes (32 MiB: one that names 100,000 resources and their versions). Nothing is read of a stream
	// before its client has been authenticated; until then it may send what the flow control of HTTP/2 allows, which is 64 KiB.
	Request int
	// Requests is the rate at which the requests of a stream are read (1,000/s, with bursts of as many). Flow control stops a
	// client that sends more.
	Requests rate.Limit
	// Send bounds the time in which a client has to take a response (2 min). Then its connection is closed.
	Send time.Duration
	// Age is the age at which a connection is told to end (GOAWAY), give or take a tenth, and AgeGrace how much later its streams
	// end (1 h and 10 s). So clients spread over replicas that are added. Plaintext connections have no such end by default.
	Age, AgeGrace time.Duration
	// Drain is the time over which Shutdown ends streams, each at a random time, or two thirds of the time it is given if that is
	// less (10 s).
	Drain time.Duration
	// Recheck is how often it is asked again who the client of a silent stream is, and what it may read (1 min, or a little less).
	Recheck time.Duration
	// Unanswered is how long a stream may go on without an answer to that, as when a kube-apiserver is away (10 min).
	Unanswered time.Duration
}

// noLimit is more than there can be of anything.
const noLimit = 1 << 30

// withDefaults returns limits in which nothing is zero or negative, but for durations: zero there means never.
func (l Limits) withDefaults(encrypted bool) Limits {
	for _, n := range []struct {
		limit    *int
		standard int
	}{
		{&l.Connections, 20_000}, {&l.ConnectionsPerAddress, 2_000},
		{&l.Streams, 50_000}, {&l.StreamsPerAddress, 10_000}, {&l.StreamsPerConnection, 10_000},
		{&l.Unproven, 64}, {&l.Headers, 32 << 10}, {&l.Request, 32 << 20},
	} {
		switch {
		case *n.limit == 0:
			*n.limit = n.standard
		case *n.limit < 0:
			*n.limit = noLimit
		}
	}
	if l.Age == 0 && !encrypted {
		l.Age = -1
	}
	for _, d := range []struct {
		limit    *time.Duration
		standard time.Duration
	}{
		{&l.Handshake, 10 * time.Second}, {&l.Send, 2 * time.Minute}, {&l.Age, time.Hour}, {&l.AgeGrace, 10 * time.Second},
		{&l.Drain, 10 * time.Second}, {&l.Recheck, time.Minute}, {&l.Unanswered, 10 * time.Minute},
	} {
		switch {
		case *d.limit == 0:
			*d.limit = d.standard
		case *d.limit < 0:
			*d.limit = 0
		}
	}
	switch {
	case l.Requests == 0:
		l.Requests = 1_000
	case l.Requests < 0:
		l.Requests = rate.Inf
	}
	return l
}
