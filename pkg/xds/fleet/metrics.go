package fleet

import (
	"sync"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

var (
	connected = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Name: "gateway_apiserver_xds_nodes",
		Help: "Number of xDS nodes that are connected to this replica, by state: current ones have acknowledged all that they should have, " +
			"pending ones have not yet, rejecting ones have rejected some of it.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"state"})
	rejections = metrics.NewGauge(&metrics.GaugeOpts{
		Name:           "gateway_apiserver_xds_rejections",
		Help:           "Number of resources, as they are now, that the xDS nodes connected to this replica have rejected, counted for each node.",
		StabilityLevel: metrics.ALPHA,
	})
	deliveries = metrics.NewHistogram(&metrics.HistogramOpts{
		Name:           "gateway_apiserver_xds_delivery_seconds",
		Help:           "How long the xDS nodes connected to this replica were not current: from a change, or from when they connected, until they had acknowledged everything.",
		Buckets:        []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300},
		StabilityLevel: metrics.ALPHA,
	})
)

// ObserveDelivery counts how long an xDS node was not current. It is for cache.Cache.OnCurrent.
func ObserveDelivery(after time.Duration) { deliveries.Observe(after.Seconds()) }

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(connected, rejections, deliveries)
	for _, state := range []string{current, pending, rejecting} {
		connected.WithLabelValues(state) // also those that no node is in
	}
})

// The states of nodes.
const (
	current   = "current"
	pending   = "pending"
	rejecting = "rejecting"
)

func stateOf(info server.NodeInfo) string {
	switch {
	case len(info.Rejected) > 0:
		return rejecting
	case info.Current:
		return current
	}
	return pending
}

// count counts a node, or with -1 what was counted of it before.
func count(info server.NodeInfo, sign float64) {
	connected.WithLabelValues(stateOf(info)).Add(sign)
	rejections.Add(sign * float64(len(info.Rejected)))
}
