package hcm_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlpv1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3" // for Any
)

// collector passes on what it is sent.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	spans chan *otlpv1.Span
}

func (c collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	for _, resource := range r.GetResourceSpans() {
		if got := resource.GetResource().GetAttributes()[0].GetValue().GetStringValue(); got != "infra/web" {
			continue // which the test waits for in vain
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans <- span
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func tracing(t *testing.T, sampling string) option {
	return func(c *hcmv3.HttpConnectionManager) {
		c.Tracing = fromYAML(t, `
randomSampling: {value: `+sampling+`}
spawnUpstreamSpan: true
provider:
  name: envoy.tracers.opentelemetry
  typedConfig:
    "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
    grpcService: {envoyGrpc: {clusterName: collector}}
    serviceName: infra/web
`, &hcmv3.HttpConnectionManager_Tracing{})
	}
}

func TestTracing(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend, tracing(t, "100"))
	c := collector{spans: make(chan *otlpv1.Span, 100)}
	server := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, c)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // the test waits in vain if it fails
	t.Cleanup(server.Stop)
	g.cluster("collector", []string{listener.Addr().String()}, http2Cluster)
	g.cluster("backend", []string{backend(t, echo)})

	const trace, parent = "0123456789abcdef0123456789abcdef", "0123456789abcdef"
	header := g.do(g.request(http.MethodGet, "/", nil, "Traceparent: 00-"+trace+"-"+parent+"-01", "Tracestate: a=b")).seen(t).Header
	got := strings.Split(header.Get("Traceparent"), "-")
	if len(got) != 4 || got[1] != trace || got[2] == parent || got[3] != "01" || header.Get("Tracestate") != "a=b" {
		t.Fatalf("the backend sees %v", header)
	}
	// Enough for an export: two spans each.
	for range 2 {
		id := g.get("/").seen(t).Header.Get("X-Request-Id")
		if id[14] != '9' {
			t.Errorf("x-request-id is %s, which doesn't say that the request is sampled", id)
		}
	}
	spans := map[string]*otlpv1.Span{}
	for len(spans) < 2 {
		if span := <-c.spans; hex.EncodeToString(span.GetTraceId()) == trace {
			spans[span.GetName()] = span
		}
	}
	request, try := spans["ingress"], spans["router backend egress"]
	if request == nil || try == nil || hex.EncodeToString(request.GetParentSpanId()) != parent ||
		hex.EncodeToString(try.GetParentSpanId()) != hex.EncodeToString(request.GetSpanId()) || hex.EncodeToString(try.GetSpanId()) != got[2] {
		t.Errorf("got spans %v", spans)
	}
}

func TestTracingUnsampled(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend, tracing(t, "0"))
	g.cluster("backend", []string{backend(t, echo)})
	for want, header := range map[string][]string{
		"-00": nil,
		"-01": {"Traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"},
		"":    {"Traceparent: none"},
	} {
		got := g.do(g.request(http.MethodGet, "/", nil, header...)).seen(t).Header.Get("Traceparent")
		if !strings.HasSuffix(got, want) || want == "" && got != "none" {
			t.Errorf("%v: the backend sees %q, want %q at its end", header, got, want)
		}
	}
}
