package apiserver

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	deprecatedRequests = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "gateway_apiserver", Name: "deprecated_version_requests_total",
		Help:           "Requests for objects in a deprecated version of their kind, by group, version, kind and verb. Discovery is not counted.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"group", "version", "kind", "verb"})
	retiredFieldWrites = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "gateway_apiserver", Name: "retired_field_writes_total",
		Help:           "Writes that had a field of another release of the Gateway API, by group, version, kind and field. Dry runs and refused writes are counted.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"group", "version", "kind", "field"})
)

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(deprecatedRequests, retiredFieldWrites)
})
