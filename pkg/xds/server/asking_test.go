package server

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

// contextStream is a stream of which only the context is used.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s contextStream) Context() context.Context { return s.ctx }

// admitFrom has a server admit a stream from an address, and returns what comes of it.
func (s *testServer) admitFrom(ctx context.Context, address string) error {
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: remote{Addr: &net.TCPAddr{IP: net.ParseIP(address), Port: 1}}})
	return s.admit(nil, contextStream{ctx: ctx}, nil, func(any, grpc.ServerStream) error { return nil })
}

// TestAddressesAreAskedAboutInTurn has one address open as many streams as it may, of which nobody says whose they are. That holds
// up neither other addresses nor streams that are served.
func TestAddressesAreAskedAboutInTurn(t *testing.T) {
	t.Parallel()
	const attacker = "192.0.2.1"
	asked, answer := make(chan struct{}, maxAsking), make(chan struct{})
	s := serve(t, authenticated(func(ctx context.Context) (*identity.Identity, error) {
		if p, _ := peer.FromContext(ctx); address(p.Addr.(remote).Addr).String() == attacker {
			asked <- struct{}{}
			<-answer
			return nil, status.Error(codes.Unauthenticated, "no")
		}
		return mayRead(time.Time{}), nil
	}), func(c *Config) { c.Limits.Recheck, c.Limits.Handshake = -1, 20*time.Second })
	s.cache.Publish(scope, set(res(lds, "l", "l1"), res(rds, "r", "r1")))
	served := s.delta(t, gatewayNode("ns/gw"))
	served.subscribe(lds)
	served.wantAck("listeners +l=l1")

	ended := make(chan error, s.limits.Unproven)
	for range s.limits.Unproven {
		go func() { ended <- s.admitFrom(t.Context(), attacker) }()
	}
	for range maxAskingPerAddress {
		<-asked
	}
	s.waitUnproven(s.limits.Unproven)
	if err := s.admitFrom(t.Context(), attacker); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one stream more: got %v, want ResourceExhausted", err)
	}
	for _, other := range []string{"192.0.2.2", "2001:db8::1"} {
		if err := s.admitFrom(t.Context(), other); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
	served.subscribe(rds, "r")
	served.wantAck("routes +r=r1")
	select {
	case <-asked:
		t.Errorf("more than %d questions are about one address at a time", maxAskingPerAddress)
	default:
	}
	close(answer)
	for range s.limits.Unproven {
		if err := <-ended; status.Code(err) != codes.Unauthenticated {
			t.Errorf("got %v, want Unauthenticated", err)
		}
	}
}

// waitUnproven waits until so many clients are being authenticated.
func (s *testServer) waitUnproven(n int) {
	for {
		s.peers.mu.Lock()
		unproven := s.peers.all.unproven
		s.peers.mu.Unlock()
		if unproven == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestProvenStreamsDoNotWait has new streams of many addresses take every turn there is.
func TestProvenStreamsDoNotWait(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := serve(t, authenticated(func(context.Context) (*identity.Identity, error) {
		asked.Add(1)
		return mayRead(time.Time{}), nil
	}), func(c *Config) { c.Limits.Recheck, c.Limits.Handshake = -1, 50*time.Millisecond })
	s.cache.Publish(scope, set(res(lds, "l", "l1"), res(rds, "r", "r1")))
	served := s.delta(t, gatewayNode("ns/gw"))
	served.subscribe(lds)
	served.wantAck("listeners +l=l1")
	for range maxAsking {
		s.unproven <- struct{}{}
	}
	if err := s.admitFrom(t.Context(), "192.0.2.1"); status.Code(err) != codes.Unavailable {
		t.Errorf("a new stream: got %v, want Unavailable", err)
	}
	before := asked.Load()
	served.subscribe(rds, "r")
	served.wantAck("routes +r=r1")
	if asked.Load() == before {
		t.Error("the stream went on without an answer")
	}
}

// TestStaleAnswer has the fleets change while it is asked what a client may read. The answer is one about what was before.
func TestStaleAnswer(t *testing.T) {
	t.Parallel()
	var ses *session
	var asked atomic.Bool
	s := serve(t, authenticated(func(context.Context) (*identity.Identity, error) {
		if !asked.Swap(true) {
			ses.proof.soon()
			return mayRead(time.Time{}), nil
		}
		return nil, status.Error(codes.PermissionDenied, "it isn't one of the fleet any more")
	}), func(c *Config) { c.Limits.Recheck = -1 })
	ses = s.open(context.WithValue(t.Context(), admissionKey{}, admission{identity: mayRead(time.Time{})}), "delta", "")
	defer ses.close()
	ses.scope = scope
	if err := ses.check(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %v, want PermissionDenied", err)
	}
}

// TestNothingIsSentAfterTheEnd ends streams as a drain does, and as one whose client is unknown by now.
func TestNothingIsSentAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, why := range []error{nil, errMoved} {
		ses := s.open(t.Context(), "delta", "")
		defer ses.close()
		ses.end(why)
		if err := ses.deliver(func() error { t.Errorf("sent after the end (%v)", why); return nil }); err == nil {
			t.Errorf("%v: the sender isn't told of the end", why)
		}
		if err := ses.result(nil); err != why {
			t.Errorf("the client is told %v, want %v", err, why)
		}
	}
}
