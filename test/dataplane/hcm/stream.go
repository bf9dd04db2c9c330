package hcm

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/accesslog"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/trace"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
)

// Why a stream ends, if it isn't the client that goes away.
var (
	errStreamIdle      = errors.New("stream_idle_timeout")
	errStreamDuration  = errors.New("max_stream_duration")
	errResponseTimeout = errors.New("response_timeout")
)

// stream is a request and its response. All of it belongs to the goroutine that net/http calls the Manager in; what others have to
// say, timers and whoever waits for the client, they say by ending ctx.
type stream struct {
	m *Manager
	c *conn
	w response
	r *http.Request

	ctx    context.Context
	cancel context.CancelCauseFunc // with one of the errors above
	body   *body
	idle   *idleTimer

	x       filter.Exchange
	match   *router.Match // nil until there is a route
	filters []filter.Filter
	span    *trace.Span
	grpc    bool
	close   bool // tell the client "Connection: close"

	flags   []string
	entry   accesslog.Entry
	aborted bool // the response can't be ended properly
}

// ServeHTTP serves a request. It is for net/http.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !m.begin() {
		panic(http.ErrAbortHandler)
	}
	defer m.active.Done()
	c := r.Context().Value(connKey{}).(*conn)
	c.begin()
	s := m.newStream(c, w, r)
	s.serve()
	s.finish()
	if s.aborted {
		panic(http.ErrAbortHandler)
	}
}

func (m *Manager) newStream(c *conn, w http.ResponseWriter, r *http.Request) *stream {
	s := &stream{m: m, c: c, r: r, w: response{ResponseWriter: w, control: http.NewResponseController(w)}}
	s.ctx, s.cancel = context.WithCancelCause(r.Context())
	s.idle = newIdleTimer(m.streamIdleTimeout, func() { s.cancel(errStreamIdle) })
	if r.ProtoMajor == 1 {
		_ = s.w.control.EnableFullDuplex() // which HTTP/1.1 of net/http always can
	}
	now := time.Now()
	s.entry.Start = now
	s.x = filter.Exchange{
		Context: s.ctx, ID: m.streams.Add(1), Start: now, Protocol: protocol(r),
		Request: &router.Request{Method: r.Method, Authority: r.Host, Path: target(r), Header: r.Header.Clone(), Random: rand.Uint64()},
		TLS:     c.TLS, Local: c.Local, Remote: c.Remote,
		Clusters: m.deps.Clusters,
	}
	s.grpc = s.x.Request.IsGRPC()
	return s
}

func protocol(r *http.Request) string {
	switch {
	case r.ProtoMajor == 2:
		return "HTTP/2"
	case r.ProtoAtLeast(1, 1):
		return "HTTP/1.1"
	}
	return "HTTP/1.0"
}

// target returns the path of a request with its query, as it came. It is empty for CONNECT.
func target(r *http.Request) string {
	t := r.RequestURI
	if r.Method == http.MethodConnect && !strings.HasPrefix(t, "/") {
		return ""
	}
	if _, rest, ok := strings.Cut(t, "://"); ok && !strings.HasPrefix(t, "/") {
		end := strings.IndexAny(rest, "/?")
		switch {
		case end < 0:
			return "/"
		case rest[end] == '?':
			return "/" + rest[end:]
		}
		return rest[end:]
	}
	return t
}

// serve does all with a request until the response is sent.
func (s *stream) serve() {
	s.body = newBody(s.r, s.bufferLimit(), s.idle.touch, func() { s.cancel(nil) })
	s.x.Body = s.body
	reply := s.prepare()
	if reply == nil && !s.aborted {
		reply = s.route()
	}
	if reply != nil {
		s.reply(reply)
	}
}

// bufferLimit is how much of a body is held: of HTTP/2, as much as may come at once.
func (s *stream) bufferLimit() int {
	switch {
	case s.r.ProtoMajor == 2:
		return s.m.h2BufferLimit
	case s.c.BufferLimit == 0:
		return defaultBufferLimit
	}
	return s.c.BufferLimit
}

// route finds the route of a request, and has it pass the filters, of which the router is the last.
func (s *stream) route() *filter.Reply {
	if s.m.health.Match(s.x.Request.Path) {
		return s.checkHealth()
	}
	table := s.m.table
	if table == nil {
		table = s.m.deps.Routes.Table(s.m.routes)
	}
	if table != nil {
		s.match = table.Match(s.x.Request)
	}
	if s.match == nil {
		return &filter.Reply{Status: http.StatusNotFound, Flag: "NR", Details: "route_not_found"}
	}
	s.x.Match = s.match
	s.entry.RouteName = s.match.Route
	if s.x.Upgrade != "" && !s.mayUpgrade() {
		// Envoy takes what follows on the connection for bytes of the protocol that was refused.
		s.close = true
		return &filter.Reply{Status: http.StatusForbidden, Details: "upgrade_failed"}
	}
	if f := s.match.Forward; f != nil {
		if f.IdleTimeout != nil {
			s.idle.set(*f.IdleTimeout)
		}
		if f.MaxStreamDuration > 0 {
			timer := time.AfterFunc(f.MaxStreamDuration, func() { s.cancel(errStreamDuration) })
			defer timer.Stop()
		}
	}
	s.filters = s.m.of(s.match)
	for _, f := range s.filters {
		if reply := f.Decode(&s.x); reply != nil {
			if s.ctx.Err() != nil {
				return s.ended()
			}
			return reply
		}
	}
	return s.act()
}

func (s *stream) checkHealth() *filter.Reply {
	if s.m.deps.Failing != nil && s.m.deps.Failing() {
		return &filter.Reply{Status: http.StatusServiceUnavailable, Details: "health_check_failed", Modify: func(h http.Header) {
			h.Set("X-Envoy-Immediate-Health-Check-Fail", "true")
		}}
	}
	return &filter.Reply{Status: http.StatusOK, Details: "health_check_ok"}
}

// mayUpgrade: what the route says of a protocol comes before what the manager says.
func (s *stream) mayUpgrade() bool {
	if s.match.Forward != nil {
		if enabled, ok := s.match.Forward.Upgrades[s.x.Upgrade]; ok {
			return enabled
		}
	}
	return s.m.upgrades[s.x.Upgrade]
}

// act does what the route says.
func (s *stream) act() *filter.Reply {
	switch {
	case s.match.Redirect != nil:
		return &filter.Reply{Status: s.match.Redirect.Status, Details: "direct_response", Modify: func(h http.Header) {
			h.Set("Location", s.match.Redirect.Location(s.x.Request))
			s.match.MutateResponse(h)
		}}
	case s.match.Direct != nil:
		return &filter.Reply{
			Status: s.match.Direct.Status, Body: string(s.match.Direct.Body), Details: "direct_response",
			Modify: s.match.MutateResponse,
		}
	}
	return s.forward(s.match.Forward)
}

// finish ends what the stream has begun, and logs it.
func (s *stream) finish() {
	s.idle.stop()
	s.body.close()
	if s.r.ProtoMajor == 1 && !s.w.hijacked {
		select {
		case <-s.body.pumped:
		default:
			// The client was told that this is the last response on the connection.
			s.c.sending.Store(true)
			_ = s.w.control.SetReadDeadline(time.Now().Add(-time.Second)) // it can: it isn't hijacked
		}
	} else {
		_ = s.r.Body.Close() // interrupts reading, and has nothing to say
	}
	<-s.body.pumped
	s.cancel(nil)
	s.logAccess()
	s.endSpan()
}

// endSpan says of the request what HttpTracerUtility::finalizeDownstreamSpan does.
func (s *stream) endSpan() {
	e := &s.entry
	s.span.Tag("component", "proxy")
	s.span.Tag("guid:x-request-id", e.RequestHeader.Get("X-Request-Id"))
	s.span.Tag("http.url", e.Scheme+"://"+e.Authority+e.Path)
	s.span.Tag("http.method", e.Method)
	s.span.Tag("http.protocol", e.Protocol)
	s.span.Tag("user_agent", e.RequestHeader.Get("User-Agent"))
	s.span.Tag("peer.address", addressOf(s.c.Remote))
	s.span.Tag("http.status_code", strconv.Itoa(e.Status))
	s.span.Tag("request_size", strconv.FormatInt(e.BytesReceived, 10))
	s.span.Tag("response_size", strconv.FormatInt(e.BytesSent, 10))
	s.span.Tag("response_flags", cmp.Or(e.ResponseFlags, "-"))
	s.span.Tag("upstream_cluster", e.UpstreamCluster)
	if e.Status == 0 || e.Status >= http.StatusInternalServerError {
		s.span.Fail()
	}
	s.span.End()
}

// flagOrder is how response flags are ordered in Envoy (StreamInfo::CoreResponseFlag).
var flagOrder = []string{"UH", "UT", "UF", "UC", "UO", "NR", "UAEX", "DC", "URX", "SI", "DPE", "DT", "UPE", "NC"}

func (s *stream) logAccess() {
	e := &s.entry
	e.Duration = time.Since(e.Start)
	r := s.x.Request
	e.Method, e.Path, e.Authority, e.Scheme, e.Protocol, e.RequestHeader = r.Method, r.Path, r.Authority, r.Scheme, s.x.Protocol, r.Header
	e.Status, e.BytesSent, e.BytesReceived = s.w.status, s.w.sent, e.BytesReceived+s.body.Received()
	slices.SortFunc(s.flags, func(a, b string) int { return slices.Index(flagOrder, a) - slices.Index(flagOrder, b) })
	e.ResponseFlags = strings.Join(s.flags, ",")
	e.Downstream = accesslog.Peer{Local: s.c.Local, Remote: s.c.Remote}
	e.Upstream.Remote = s.x.Host
	if s.c.TLS != nil {
		e.ServerName = s.c.TLS.ServerName
	}
	s.m.log.Log(*e)
}

// ended returns the answer to a request whose context has ended; nil if there is nobody to answer.
func (s *stream) ended() *filter.Reply {
	// "408 or 504", as maybeRequestTimeoutCode has it: whose fault it is that nothing moves.
	status := http.StatusRequestTimeout
	if s.body.complete() && s.x.Upgrade == "" {
		status = http.StatusGatewayTimeout
	}
	switch context.Cause(s.ctx) {
	case errStreamIdle:
		return &filter.Reply{Status: status, Body: "stream timeout", Flag: "SI", Details: "stream_idle_timeout"}
	case errStreamDuration:
		return &filter.Reply{Status: status, Body: "downstream duration timeout", Flag: "DT", Details: "max_duration_timeout"}
	case errResponseTimeout:
		return &filter.Reply{Status: http.StatusGatewayTimeout, Body: "upstream request timeout", Flag: "UT", Details: "response_timeout"}
	}
	s.abort("DC", "downstream_remote_disconnect")
	return nil
}

// abort gives up a response.
func (s *stream) abort(flag, details string) {
	s.aborted = true
	s.note(flag, details)
}

// note keeps what access logs tell of a response.
func (s *stream) note(flag, details string) {
	if flag != "" {
		s.flags = append(s.flags, flag)
	}
	s.entry.StatusDetails = details
}
