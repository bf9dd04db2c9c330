package translate

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// fleet returns the facts of an EnvoyFleet ns/fleet with the given spec, whose collector, if it has one, is there.
func fleet(t testing.TB, spec string) *graph.EnvoyFleetFacts {
	t.Helper()
	object := &fleetv1alpha1.EnvoyFleet{}
	object.Namespace, object.Name = "ns", "fleet"
	parse(t, spec, &object.Spec)
	f := &graph.EnvoyFleetFacts{Object: object}
	if tracing := object.Spec.Tracing; tracing != nil {
		f.Collector = &graph.BackendFacts{Weight: 1, Backend: service(tracing.OpenTelemetry.Service, 4317)}
	}
	return f
}

func TestAccessLogs(t *testing.T) {
	t.Parallel()
	file := func(config string) string {
		return `{name: envoy.access_loggers.file, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, ` + config + `}}`
	}
	for _, tc := range []struct{ spec, want string }{
		{"{accessLog: {path: /dev/stderr}}", file("path: /dev/stderr")},
		{"{accessLog: {}}", file("path: /dev/stdout")},
		{"{accessLog: {text: '%PROTOCOL%'}}", file(`path: /dev/stdout, log_format: {text_format_source: {inline_string: "%PROTOCOL%\n"}}`)},
		{`{accessLog: {text: "%PROTOCOL%\n"}}`, file(`path: /dev/stdout, log_format: {text_format_source: {inline_string: "%PROTOCOL%\n"}}`)},
		{"{accessLog: {json: {a: '%PROTOCOL%', b: text}}}", file(`path: /dev/stdout, log_format: {json_format: {a: "%PROTOCOL%", b: text}}`)},
	} {
		expect(t, accessLogs(fleet(t, tc.spec)), "["+tc.want+"]")
	}
	for _, none := range []*graph.EnvoyFleetFacts{nil, fleet(t, "{}")} {
		if logs := accessLogs(none); logs != nil {
			t.Errorf("without an access log: %v", logs)
		}
	}
}

func TestTracing(t *testing.T) {
	t.Parallel()
	clusters := clusterSet{}
	f := fleet(t, "{tracing: {openTelemetry: {service: collector}}}")
	got := tracing(f, gateway, clusters)
	validate(t, got)
	if sampled := got.GetRandomSampling().GetValue(); sampled != 100 {
		t.Errorf("%v%% are traced, want all", sampled)
	}
	if diff := cmp.Diff([]ClusterKey{{BackendKey: service("collector", 4317), HTTP2: true}}, clusters.sorted()); diff != "" {
		t.Errorf("clusters (-want +got):\n%s", diff)
	}
	if got := tracing(fleet(t, "{tracing: {samplingPercent: 0, openTelemetry: {service: collector}}}"), gateway, clusters); got.GetRandomSampling() == nil || got.GetRandomSampling().GetValue() != 0 {
		t.Errorf("with samplingPercent 0, %v are traced", got.GetRandomSampling())
	}
	f.Collector = nil // it isn't there
	for _, none := range []*graph.EnvoyFleetFacts{nil, f, fleet(t, "{}")} {
		if got := tracing(none, gateway, clusters); got != nil {
			t.Errorf("without a collector: %v", got)
		}
	}
}
