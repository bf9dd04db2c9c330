package server

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

// proof is what is known of the client of a stream: who it is, and since when. It asks again from time to time.
type proof struct {
	session *session
	ctx     context.Context // of the stream, which has the client's credentials

	mu       sync.Mutex
	identity *identity.Identity // nil if nobody is asked
	good     bool               // the identity may read the scope
	proven   bool               // it was allowed to at some time
	at       time.Time          // of the last answer that was good
	timer    *time.Timer
	ended    bool
	// generation is raised when what was asked before doesn't count any more.
	generation uint
}

// begin notes an identity, if clients have one.
func (p *proof) begin(ctx context.Context, s *session, id *identity.Identity) {
	p.session, p.ctx = s, ctx
	if id == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.identity, p.at = id, time.Now()
	p.timer = time.AfterFunc(p.next(), p.again)
}

func (p *proof) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// soon asks again at once. The answers so far don't count any more, nor does one that is on its way.
func (p *proof) soon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil && !p.ended {
		p.good = false
		p.generation++
		p.timer.Reset(0)
	}
}

// next returns when to ask again: when the identity expires, or after the time that is configured, less a random part of it, so that
// streams that began together don't ask together.
func (p *proof) next() time.Duration {
	next := p.session.server.limits.Recheck
	if next > 0 {
		next -= rand.N(next/4 + 1)
	}
	if expires := p.identity.Expires; !expires.IsZero() && (next == 0 || time.Until(expires) < next) {
		next = max(0, time.Until(expires))
	}
	if next == 0 && p.identity.Expires.IsZero() {
		return time.Duration(1<<63 - 1) // never
	}
	return next
}

// again asks who the client of a stream is that may have nothing to say for a long time, and ends it if that is no good.
func (p *proof) again() {
	if err := p.session.check(); err != nil {
		p.session.end(err)
	}
}

// name returns that of the identity.
func (p *proof) name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.identity == nil {
		return ""
	}
	return p.identity.Name
}

// expired returns an error if the identity has expired.
func (p *proof) expired() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expiredLocked()
}

func (p *proof) expiredLocked() error {
	if p.identity == nil || p.identity.Expires.IsZero() || time.Now().Before(p.identity.Expires) {
		return nil
	}
	return status.Errorf(codes.Unauthenticated, "the certificate or token of %s expired at %s: reconnect with a new one",
		p.identity.Name, p.identity.Expires.UTC().Format(time.RFC3339))
}

// asks returns what judge takes of a question that is asked now, and whether the client was allowed to read the scope before.
func (p *proof) asks() (generation uint, proven bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation, p.proven
}

// judge notes an answer, if it counts. It returns no error if the stream may go on, which it may for a while without an answer, once it
// had a good one.
func (p *proof) judge(generation uint, id *identity.Identity, authorized bool, err error) (counts bool, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
		return true, err
	case generation != p.generation:
		return false, nil
	case err == nil:
		p.identity, p.at = id, time.Now()
		p.good = p.good || authorized
		p.proven = p.proven || authorized
	case status.Code(err) != codes.Unavailable || !p.good || time.Since(p.at) > p.session.server.limits.Unanswered:
		return true, err
	}
	if err := p.expiredLocked(); err != nil {
		return true, err
	}
	if p.timer != nil {
		p.timer.Reset(p.next())
	}
	return true, nil
}

// check asks who the client is, and whether it may read the scope, once there is one. The error is for the client.
func (s *session) check() error {
	if s.server.authenticator == nil {
		return nil
	}
	s.server.mu.Lock()
	scope, who := s.scope, s.id
	s.server.mu.Unlock()
	for {
		generation, proven := s.proof.asks()
		id, err := s.server.ask(s.proof.ctx, proven, scope)
		counts, err := s.proof.judge(generation, id, scope != "", err)
		if !counts {
			continue
		}
		if err != nil && s.ctx.Err() == nil {
			s.server.refuse("identity", who, err)
		}
		return err
	}
}
