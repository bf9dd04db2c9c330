package trace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	otlpv1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/call"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
)

var fields = strict.Fields{
	"envoy.config.trace.v3.OpenTelemetryConfig":  "grpc_service service_name",
	"envoy.config.core.v3.GrpcService":           "envoy_grpc timeout",
	"envoy.config.core.v3.GrpcService.EnvoyGrpc": "cluster_name authority",
}

// Envoy's defaults: tracing.opentelemetry.min_flush_spans, flush_interval_ms, and OpenTelemetryConfig.max_cache_size.
const (
	flushSpans    = 5
	flushInterval = 5 * time.Second
	maxSpans      = 1024

	defaultTimeout = 500 * time.Millisecond // of an export
)

// Tracer makes the spans of a connection manager.
type Tracer struct {
	service  string
	export   call.GRPC
	clusters call.Clusters
	log      *slog.Logger
	sampling float64 // percent

	mu    sync.Mutex
	spans []*otlpv1.Span
	full  chan struct{} // has something if there is enough for an export
}

// New returns a tracer for what a connection manager's tracing says, which needs Run; nil if that is nil.
func New(config *hcmv3.HttpConnectionManager_Tracing, clusters call.Clusters, log *slog.Logger) (*Tracer, error) {
	if config == nil {
		return nil, nil
	}
	if config.GetProvider().GetTypedConfig() == nil {
		return nil, errors.New("provider.typed_config: required")
	}
	if !config.GetSpawnUpstreamSpan().GetValue() {
		return nil, errors.New("spawn_upstream_span: false isn't executed")
	}
	provider := &tracev3.OpenTelemetryConfig{}
	if err := config.GetProvider().GetTypedConfig().UnmarshalTo(provider); err != nil {
		return nil, fmt.Errorf("provider.typed_config: %w", err)
	}
	if err := errors.Join(provider.ValidateAll(), fields.Check(provider)); err != nil {
		return nil, fmt.Errorf("provider.typed_config: %w", err)
	}
	t := &Tracer{
		service: cmp.Or(provider.GetServiceName(), "unknown_service:envoy"),
		export: call.GRPC{
			Cluster:   provider.GetGrpcService().GetEnvoyGrpc().GetClusterName(),
			Authority: provider.GetGrpcService().GetEnvoyGrpc().GetAuthority(),
			Method:    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
			Timeout:   cmp.Or(provider.GetGrpcService().GetTimeout().AsDuration(), defaultTimeout),
		},
		clusters: clusters, log: log, sampling: 100, full: make(chan struct{}, 1),
	}
	if t.export.Cluster == "" {
		return nil, errors.New("provider.typed_config.grpc_service.envoy_grpc.cluster_name: required")
	}
	if config.GetRandomSampling() != nil {
		t.sampling = config.GetRandomSampling().GetValue()
	}
	return t, nil
}

// Run sends spans to the collector until ctx ends, and then those that are left.
func (t *Tracer) Run(ctx context.Context) {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		case <-t.full:
		}
		t.flush(ctx)
	}
}

func (t *Tracer) add(span *otlpv1.Span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.spans) == maxSpans {
		return // the collector doesn't keep up
	}
	t.spans = append(t.spans, span)
	if len(t.spans) < flushSpans {
		return
	}
	select {
	case t.full <- struct{}{}:
	default:
	}
}

func (t *Tracer) flush(ctx context.Context) {
	t.mu.Lock()
	spans := t.spans
	t.spans = nil
	t.mu.Unlock()
	if len(spans) == 0 {
		return
	}
	request := &collectorv1.ExportTraceServiceRequest{ResourceSpans: []*otlpv1.ResourceSpans{{
		Resource:   &resourcev1.Resource{Attributes: []*commonv1.KeyValue{attribute("service.name", t.service)}},
		ScopeSpans: []*otlpv1.ScopeSpans{{Spans: spans}},
	}}}
	if err := t.export.Do(ctx, t.clusters, request, &collectorv1.ExportTraceServiceResponse{}); err != nil {
		t.log.Warn("Exporting spans", "spans", len(spans), "err", err)
	}
}

func attribute(key, value string) *commonv1.KeyValue {
	return &commonv1.KeyValue{Key: key, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: value}}}
}
