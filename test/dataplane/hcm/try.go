package hcm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

var (
	// errPerTryTimeout ends a try, and not the stream.
	errPerTryTimeout = errors.New("per_try_timeout")
	// errOverflow is that the request can't be sent again.
	errOverflow = errors.New("request_payload_exceeded_retry_buffer_limit")
)

// tried is the response to a try.
type tried struct {
	*http.Response
	cancel context.CancelCauseFunc
}

// discard ends the exchange, whatever there is left of it.
func (t *tried) discard() {
	t.cancel(nil)
	_ = t.Body.Close() // nobody wants it
}

// failure is why a try got no response.
type failure struct {
	flag, reason string // as "UF", "remote connection failure"
	transport    string // what went wrong, in words
	status       int
	connect      bool // retry_on connect-failure
	reset        bool // retry_on reset
	overflow     bool
	answer       *filter.Reply // in place of what a reset is answered with
}

func (f *failure) retriable(policy *router.Retry) bool {
	return f.reset && policy.OnReset || f.connect && policy.OnConnectFailure
}

// reply is what the client gets: see Router::Filter::onUpstreamReset.
func (f *failure) reply(again bool) *filter.Reply {
	if f.answer != nil {
		return f.answer
	}
	body := "upstream connect error or disconnect/reset before headers. "
	if again {
		body += "retried and the latest "
	}
	body += "reset reason: " + f.reason
	details := f.reason
	if f.transport != "" {
		body += ", transport failure reason: " + f.transport
		details += "|" + f.transport
	}
	return &filter.Reply{
		Status: f.status, Body: body, Flag: f.flag,
		Details: fmt.Sprintf("upstream_reset_before_response_started{%s}", strings.ReplaceAll(details, " ", "_")),
	}
}

// failureOf says what the error of a try means.
func failureOf(err error) *failure {
	f := &failure{status: http.StatusServiceUnavailable}
	switch {
	case errors.Is(err, errPerTryTimeout):
		f.reset = true
		f.answer = &filter.Reply{
			Status: http.StatusGatewayTimeout, Body: "upstream request timeout", Flag: "UT", Details: "upstream_per_try_timeout",
		}
	case errors.Is(err, errOverflow):
		f.answer = &filter.Reply{
			Status: http.StatusInsufficientStorage, Body: "exceeded request buffer limit while retrying upstream", Details: err.Error(),
		}
	case errors.Is(err, upstream.ErrNoHealthyUpstream):
		f.answer = &filter.Reply{Status: f.status, Body: "no healthy upstream", Flag: "UH", Details: "no_healthy_upstream"}
	case errors.Is(err, upstream.ErrOverflow):
		f.flag, f.reason, f.overflow = "UO", "overflow", true
	case errors.Is(err, upstream.ErrConnect):
		f.flag, f.reason, f.transport, f.connect, f.reset = "UF", "remote connection failure", err.Error(), true, true
	case errors.Is(err, upstream.ErrReset):
		f.flag, f.reason, f.transport, f.reset = "UC", "connection termination", err.Error(), true
	default:
		f.flag, f.reason, f.transport, f.reset = "UPE", "protocol error", err.Error(), true
		f.status = http.StatusBadGateway
	}
	return f
}

// try sends the request to a host once. It returns when there is the header of the response. One of what it returns is nil.
func (f *forwarding) try() (*tried, *failure) {
	choice := upstream.Choice{OriginalDst: f.c.Local}
	if f.retries == 0 {
		choice.Override = f.x.Override // "a session's host is for the first try" (Filter::overrideHostToSelect)
	}
	host, err := f.cluster.Pick(choice)
	if err != nil {
		return nil, failureOf(err)
	}
	request := f.outgoing()
	if request == nil {
		return nil, failureOf(errOverflow)
	}
	if f.retries == 0 {
		f.mirror()
	}
	span := f.span.Child(f.route.Cluster)
	defer span.End()
	span.Inject(request.Header)
	span.Tag("component", "proxy")
	span.Tag("upstream_cluster", f.route.Cluster)
	span.Tag("upstream_address", host.Address().String())
	f.x.Host = host.Address()
	f.entry.Attempts++
	ctx, cancel := context.WithCancelCause(f.ctx)
	timer := f.limitTry(func() { cancel(errPerTryTimeout) })
	// A transport that waits for more of the body would not hear of the end.
	context.AfterFunc(ctx, func() { _ = request.Body.Close() }) // which can't fail
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: timer.sent})
	response, err := f.cluster.RoundTrip(ctx, host, request)
	// "If we've sent anything downstream, ignore the per try timeout": it is for the header.
	f.took = timer.stop()
	if err == nil && context.Cause(ctx) == nil {
		span.Tag("http.status_code", strconv.Itoa(response.StatusCode))
		return &tried{response, cancel}, nil
	}
	if err == nil {
		_ = response.Body.Close() // it came too late
		err = context.Cause(ctx)
	}
	cancel(nil)
	span.Fail()
	return nil, failureOf(err)
}

// outgoing returns the request as it is sent to a host; nil if it can't be sent any more.
func (f *forwarding) outgoing() *http.Request {
	body := f.body.reader()
	if body == nil {
		return nil
	}
	r := f.x.Request
	out := &http.Request{
		Method: r.Method, URL: upstream.Target(r.Scheme, r.Path), Host: r.Authority, Header: r.Header.Clone(),
		Body: body, ContentLength: f.r.ContentLength,
	}
	if f.r.ProtoMajor == 2 {
		out.Trailer = f.r.Trailer // of HTTP/1.1, there are none: see trailers
	}
	return out
}

// tryTimer is the per_try_timeout. It starts when the header of the request has been sent and all of its body has come.
type tryTimer struct {
	timeout time.Duration
	fire    func()

	mu      sync.Mutex
	start   time.Time // when the header was sent
	ended   bool      // the body
	stopped bool
	timer   *time.Timer
}

func (f *forwarding) limitTry(fire func()) *tryTimer {
	t := &tryTimer{fire: fire}
	if f.route.Retry != nil && f.x.Upgrade == "" {
		t.timeout = f.route.Retry.PerTryTimeout
	}
	if t.timeout > 0 {
		f.body.whenComplete(t.complete)
	}
	return t
}

func (t *tryTimer) sent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start = time.Now()
	t.begin()
}

// complete says that the request has ended.
func (t *tryTimer) complete() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.begin()
}

func (t *tryTimer) begin() {
	if t.timeout > 0 && !t.start.IsZero() && t.ended && !t.stopped && t.timer == nil {
		t.timer = time.AfterFunc(t.timeout, t.fire)
	}
}

// stop returns how long it took from the header of the request to that of the response.
func (t *tryTimer) stop() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.start.IsZero() {
		return 0
	}
	return time.Since(t.start)
}
