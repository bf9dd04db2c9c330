package server

import (
	"context"
	"net/netip"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

// admission is what is known of a stream before anything is read of it.
type admission struct {
	addr     netip.Addr
	identity *identity.Identity // nil if nobody is asked
	hangUp   func()
}

type admissionKey struct{}

// admit is the interceptor of all methods, also of those that are not served: it counts streams, and lets those pass whose
// clients are known.
func (s *Server) admit(srv any, str grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	p, ok := peer.FromContext(str.Context())
	if !ok {
		return status.Error(codes.Unauthenticated, "the peer of the connection is unknown")
	}
	addr, hangUp := peerOf(p)
	release, err := s.peers.take(addr, s.peers.streams())
	if err != nil {
		s.refuse("streams", addr.String(), err)
		return err
	}
	defer release()
	a := admission{addr: addr, hangUp: hangUp}
	if s.authenticator != nil {
		done, err := s.peers.take(addr, s.peers.unproven())
		if err != nil {
			s.refuse("streams", addr.String(), err)
			return err
		}
		elsewhere(func() { a.identity, err = s.ask(context.WithValue(str.Context(), admissionKey{}, a), false, "") })
		done()
		if err != nil {
			s.refuse("identity", addr.String(), err)
			return err
		}
	}
	return handler(srv, &admitted{
		ServerStream: str,
		ctx:          context.WithValue(str.Context(), admissionKey{}, a),
		requests:     rate.NewLimiter(s.limits.Requests, int(max(1, min(s.limits.Requests, noLimit)))),
	})
}

// admitted is a stream that is read no faster than clients may send.
type admitted struct {
	grpc.ServerStream
	ctx      context.Context
	requests *rate.Limiter
}

// Context implements grpc.ServerStream.
func (a *admitted) Context() context.Context { return a.ctx }

// RecvMsg implements grpc.ServerStream.
func (a *admitted) RecvMsg(m any) error {
	if err := a.wait(); err != nil {
		return err
	}
	return a.ServerStream.RecvMsg(m)
}

// wait waits until a request may be read. It is no part of RecvMsg, for that is where streams are most of the time, and what it needs
// of the stack is there for each.
//
//go:noinline
func (a *admitted) wait() error {
	if err := a.requests.Wait(a.ctx); err != nil { // the stream has ended, or will have before there is a turn
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return nil
}
