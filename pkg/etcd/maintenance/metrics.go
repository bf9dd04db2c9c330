package maintenance

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// The values of the label operation.
const (
	opStatus     = "status"
	opAlarms     = "alarms"
	opLock       = "lock"
	opCompact    = "compact"
	opDefragment = "defragment"
	opDisarm     = "disarm"
)

func gaugeOf(name, help string) *metrics.GaugeOpts {
	return &metrics.GaugeOpts{Namespace: "gateway_apiserver", Subsystem: "etcd", Name: name, Help: help, StabilityLevel: metrics.ALPHA}
}

var (
	byMember  = []string{"member"}
	sizeBytes = metrics.NewGaugeVec(gaugeOf("db_size_bytes",
		"Size of the database of an etcd member. It is what counts against the quota."), byMember)
	inUseBytes = metrics.NewGaugeVec(gaugeOf("db_in_use_bytes",
		"What is in use of the database of an etcd member. A defragmentation gives back the rest."), byMember)
	quotaBytes = metrics.NewGaugeVec(gaugeOf("db_quota_bytes",
		"Size of the database at which an etcd member raises the alarm NOSPACE and writes are refused. There is no value for etcd before 3.6, which doesn't tell."), byMember)
	alarmsRaised = metrics.NewGaugeVec(gaugeOf("alarms",
		"1 if an etcd member has raised an alarm, which is NOSPACE (writes are refused) or CORRUPT (requests are refused)."), []string{"member", "alarm"})
	unreachable = metrics.NewGauge(gaugeOf("endpoints_unreachable",
		"Endpoints of etcd that did not answer when they were last asked, every 30 seconds."))
	revision = metrics.NewGauge(gaugeOf("revision",
		"Revision of etcd, which rises by one with each write."))
	compactedRevision = metrics.NewGauge(gaugeOf("compacted_revision",
		"Revision up to which the API server has had etcd drop old values. It rises every five minutes; 0 before the first time."))
	defragmentedAt = metrics.NewGaugeVec(gaugeOf("last_defragmentation_timestamp_seconds",
		"When this process has last defragmented an etcd member, in seconds since 1970."), byMember)
	defragmentSeconds = metrics.NewGaugeVec(gaugeOf("last_defragmentation_duration_seconds",
		"How long the last defragmentation took, and the member answered nobody."), byMember)
	failures = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "gateway_apiserver", Subsystem: "etcd", Name: "maintenance_failures_total",
		Help:           "What could not be asked of etcd or done to it, by operation: status, alarms, lock, compact, defragment or disarm.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"operation"})
)

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(sizeBytes, inUseBytes, quotaBytes, alarmsRaised, unreachable, revision, compactedRevision,
		defragmentedAt, defragmentSeconds, failures)
})
