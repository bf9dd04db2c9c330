package engine

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	statusWrites = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "gateway_apiserver", Subsystem: "status", Name: "writes_total",
		Help:           "Statuses written because what they depend on changed, by kind. The status in the response to a write is not counted.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"kind"})
	syncTimeouts = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "gateway_apiserver", Subsystem: "model", Name: "sync_timeouts_total",
		Help: "Times that writes went on without waiting any longer for the model to be up to date, by what they waited for: " +
			"revision (what is stored), object (a Service or Namespace) or reference (a Secret or ConfigMap, once for all who wait).",
		StabilityLevel: metrics.ALPHA,
	}, []string{"waited_for"})
	followed = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "gateway_apiserver", Subsystem: "model", Name: "followed_references",
		Help:           "Objects that are watched by name because something refers to them, by kind.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"kind"})
	provisionings = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "gateway_apiserver", Subsystem: "infrastructure", Name: "provisionings_total",
		Help: "Times that the objects of a Gateway in the cluster were looked after, by result: done, refused (by kube-apiserver, " +
			"or because of an object of the same name), error.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"result"})
	lintFindings = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "gateway_apiserver", Subsystem: "xds", Name: "lint_findings",
		Help:           "Faults in the Envoy configuration that is published, by rule. Only with --lint-xds.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"rule"})
	publicationSeconds = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace: "gateway_apiserver", Subsystem: "xds", Name: "publication_duration_seconds",
		Help:           "Time to translate what changed and to hand it to the xDS streams.",
		Buckets:        metrics.ExponentialBuckets(0.0001, 4, 8),
		StabilityLevel: metrics.ALPHA,
	})
)

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(statusWrites, syncTimeouts, followed, provisionings, lintFindings, publicationSeconds)
})
