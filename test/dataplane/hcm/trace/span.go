package trace

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	otlpv1 "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is a part of a trace. A nil Span does nothing.
type Span struct {
	tracer  *Tracer
	sampled bool
	state   string // tracestate, which is the client's
	span    *otlpv1.Span
}

// traceparent is version 00 of https://www.w3.org/TR/trace-context/#traceparent-header.
var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$`)

// Start begins the span of a request. Whether it is sampled is what the client says in the header; else it is decided by the
// request's ID, which then tells so (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-request-id).
func (t *Tracer) Start(header http.Header, start time.Time) *Span {
	if t == nil {
		return nil
	}
	s := &Span{tracer: t, sampled: t.decide(header), span: &otlpv1.Span{
		Name: "ingress", Kind: otlpv1.Span_SPAN_KIND_SERVER, StartTimeUnixNano: uint64(start.UnixNano()), SpanId: random(8),
	}}
	parent := header.Get("Traceparent")
	if parent == "" {
		s.span.TraceId = random(16)
		return s
	}
	parts := traceparent.FindStringSubmatch(parent)
	if parts == nil {
		return nil // what the client says can't be read: as in Envoy, there is no span
	}
	s.span.TraceId, s.span.ParentSpanId = decoded(parts[1]), decoded(parts[2])
	s.sampled = decoded(parts[3])[0]&1 == 1
	s.state = strings.Join(header["Tracestate"], ",")
	s.span.TraceState = s.state
	return s
}

// decide draws whether a request without a client's decision is traced.
func (t *Tracer) decide(header http.Header) bool {
	id := header.Get("X-Request-Id")
	if len(id) != 36 {
		return false
	}
	number, err := strconv.ParseUint(id[:8], 16, 32)
	if err != nil {
		return false
	}
	reason := byte(0)
	switch {
	case header.Get("X-Client-Trace-Id") != "":
		reason = 'b'
	case float64(number%10000) < t.sampling*100:
		reason = '9'
	default:
		return false
	}
	header.Set("X-Request-Id", id[:14]+string(reason)+id[15:])
	return true
}

func decoded(s string) []byte {
	out, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // the expression has only such
	}
	return out
}

// random returns an ID, which isn't zero.
func random(size int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = byte(rand.N(255) + 1)
	}
	return out
}

// Child begins the span of a try.
func (s *Span) Child(cluster string) *Span {
	if s == nil {
		return nil
	}
	return &Span{tracer: s.tracer, sampled: s.sampled, state: s.state, span: &otlpv1.Span{
		Name: "router " + cluster + " egress", Kind: otlpv1.Span_SPAN_KIND_CLIENT, StartTimeUnixNano: uint64(time.Now().UnixNano()),
		TraceId: s.span.GetTraceId(), SpanId: random(8), ParentSpanId: s.span.GetSpanId(), TraceState: s.state,
	}}
}

// Inject tells a backend of the span.
func (s *Span) Inject(header http.Header) {
	if s == nil {
		return
	}
	flags := 0
	if s.sampled {
		flags = 1
	}
	header.Set("Traceparent", fmt.Sprintf("00-%x-%x-%02x", s.span.GetTraceId(), s.span.GetSpanId(), flags))
	if s.state != "" {
		header.Set("Tracestate", s.state)
	}
}

// Tag adds an attribute, unless it is empty.
func (s *Span) Tag(key, value string) {
	if s != nil && value != "" {
		s.span.Attributes = append(s.span.Attributes, attribute(key, value))
	}
}

// Fail marks the span as that of an error.
func (s *Span) Fail() {
	if s != nil {
		s.Tag("error", "true")
		s.span.Status = &otlpv1.Status{Code: otlpv1.Status_STATUS_CODE_ERROR}
	}
}

// End has the span sent, if its trace is sampled.
func (s *Span) End() {
	if s == nil || !s.sampled {
		return
	}
	s.span.EndTimeUnixNano = uint64(time.Now().UnixNano())
	s.tracer.add(s.span)
}
