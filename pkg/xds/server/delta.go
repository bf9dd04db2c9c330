package server

import (
	"errors"
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// deltaSession serves a stream of the delta protocol. Two goroutines wait for as long as it is open: gRPC's, for its end, and one for
// requests. What either is to do is done elsewhere, by one goroutine at a time, whose turn it is: it takes a request, or sends what
// the cache has responded with, in its order.
type deltaSession struct {
	*session
	str  grpc.ServerStream
	turn sync.Mutex

	mu        sync.Mutex
	responses []*cache.DeltaResponse // not sent yet
	sending   bool                   // somebody will send them
}

// serveDelta serves a stream of the delta protocol, of one type or of all (resource.AnyType).
func (s *Server) serveDelta(str grpc.ServerStream, typeURL string) error {
	ses := s.open(str.Context(), "delta", typeURL)
	defer ses.close()
	d := &deltaSession{session: ses, str: str}
	go d.receive()
	<-ses.ctx.Done()
	d.turn.Lock() // nobody uses the session after that
	defer d.turn.Unlock()
	return ses.result(nil)
}

// receive takes requests until the stream ends. None is read before the one before it has been taken.
func (d *deltaSession) receive() {
	for d.ctx.Err() == nil {
		r := &rawRequest{}
		if err := d.str.RecvMsg(r); err != nil {
			d.end(nil) // gRPC has told the client why
			return
		}
		elsewhere(func() { d.take(r) })
	}
}

// elsewhere calls f in a goroutine of its own and waits for it. Stacks grow by doubling, and one of which more than a quarter is used
// isn't made smaller again: so what waits for long doesn't do anything itself.
//
//go:noinline
func elsewhere(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// take takes a request.
func (d *deltaSession) take(r *rawRequest) {
	d.turn.Lock()
	defer d.turn.Unlock()
	d.send() // what it may answer
	if d.ctx.Err() != nil {
		return
	}
	if err := d.request(r); err != nil {
		d.end(err)
		return
	}
	d.send()
}

func (d *deltaSession) request(r *rawRequest) error {
	req := &discoveryv3.DeltaDiscoveryRequest{}
	if err := unmarshal(mem.BufferSlice{mem.SliceBuffer(r.bytes)}, req, deltaFields); err != nil {
		code := codes.InvalidArgument
		if errors.Is(err, errFields) {
			code = codes.ResourceExhausted
		}
		return status.Errorf(code, "reading a request: %v", err)
	}
	if err := d.admits(req.GetNode()); err != nil {
		return err
	}
	if req.GetTypeUrl() == "" {
		if d.typeURL == resource.AnyType {
			return status.Error(codes.InvalidArgument, "type URL is required for ADS")
		}
		req.TypeUrl = d.typeURL
	}
	if !d.serves(req.GetTypeUrl()) {
		return nil
	}
	d.rejected(req.GetTypeUrl(), req.GetResponseNonce(), req.GetErrorDetail())
	d.stream.Delta(req, d.respond)
	d.server.roster.touch(d.session)
	return nil
}

// respond has a response sent, or ends the stream. The cache calls it.
func (d *deltaSession) respond(r *cache.DeltaResponse, err error) {
	if err != nil {
		d.end(asEnd(err))
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.responses = append(d.responses, r)
	if !d.sending {
		d.sending = true
		go d.sendNow()
	}
}

func (d *deltaSession) sendNow() {
	d.turn.Lock()
	defer d.turn.Unlock()
	d.send()
}

// send sends what there is to be sent, unless the stream has ended.
func (d *deltaSession) send() {
	for r := d.next(); r != nil && d.ctx.Err() == nil; r = d.next() {
		d.responds(r.TypeURL(), r.Nonce(), r.Version(), r.Resources())
		if err := d.deliver(func() error { return d.str.SendMsg(&encoded{r.Encode()}) }); err != nil {
			d.end(err)
		}
	}
}

// next returns the next response, or nil.
func (d *deltaSession) next() *cache.DeltaResponse {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sending = len(d.responses) > 0; !d.sending {
		d.responses = nil
		return nil
	}
	r := d.responses[0]
	d.responses = d.responses[1:]
	return r
}
