package migration

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// The values of the label result.
const (
	// rewritten objects are in the form of this release now.
	rewritten = "rewritten"
	// failed objects could not be read or written; the log says why.
	failed = "failed"
	// unknown objects have fields that this release does not know.
	unknown = "unknown_fields"
)

var (
	objectsTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "gateway_apiserver", Subsystem: "storage_migration", Name: "objects_total",
		Help: "Objects that were found stored in another form than that of this release, by what came of them: rewritten, " +
			"failed, or unknown_fields for those that have fields unknown to this release and were left as they are.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"resource", "result"})
	objectsRemaining = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "gateway_apiserver", Subsystem: "storage_migration", Name: "objects_remaining",
		Help:           "Objects that are stored in another form than that of this release. There is no value before they are counted, once after each start.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"resource"})
)

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(objectsTotal, objectsRemaining)
})
