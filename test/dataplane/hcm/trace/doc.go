// Package trace is Envoy's tracer envoy.tracers.opentelemetry: it makes spans of requests, tells backends of them in W3C's
// traceparent header, and sends them to a collector in OTLP over gRPC.
//
// Its invariant: a trace that a client has begun is sampled if the client says so; only of others is it decided here.
package trace
