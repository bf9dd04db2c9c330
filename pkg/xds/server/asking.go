package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

// maxAsking bounds the questions that are put to an authenticator at a time about streams that have been allowed to read something,
// and as many about others. Of the latter, maxAskingPerAddress are about streams of one address, so that it doesn't hold up others
// whatever it sends.
const (
	maxAsking           = 64
	maxAskingPerAddress = maxAsking / 8
)

// gate lets questions pass, so many at a time, in the order in which they come.
type gate chan struct{}

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return status.Error(codes.Unavailable, "too many clients are being authenticated: try later")
	}
}

func (g gate) leave() { <-g }

// gates are those that a question about a stream has to pass.
func (s *Server) gates(ctx context.Context, proven bool) []gate {
	if proven {
		return []gate{s.proven}
	}
	a, _ := ctx.Value(admissionKey{}).(admission)
	if a.addr.IsLoopback() {
		return []gate{s.unproven}
	}
	return []gate{s.peers.gate(a.addr), s.unproven}
}

// ask asks who the client of a stream is, and whether it may read a scope, if there is one. That takes no longer than a handshake.
// proven says that it was allowed to before.
func (s *Server) ask(ctx context.Context, proven bool, scope string) (*identity.Identity, error) {
	if s.limits.Handshake > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.limits.Handshake)
		defer cancel()
	}
	for _, g := range s.gates(ctx, proven) {
		if err := g.enter(ctx); err != nil {
			return nil, err
		}
		defer g.leave()
	}
	id, err := s.authenticator.Authenticate(ctx)
	switch {
	case err != nil:
		return nil, asStatus(err, codes.Unauthenticated)
	case id == nil:
		return nil, status.Error(codes.Unauthenticated, "xDS clients have to prove who they are")
	case scope == "":
		return id, nil
	}
	if err := id.Authorize(ctx, scope, s.nodes); err != nil {
		return nil, asStatus(err, codes.PermissionDenied)
	}
	return id, nil
}

// asStatus returns an error that is a gRPC status.
func asStatus(err error, otherwise codes.Code) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(otherwise, err.Error())
}
