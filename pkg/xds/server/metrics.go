package server

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

var (
	streams = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Name:           "gateway_apiserver_xds_streams",
		Help:           "Number of open xDS streams, by protocol (delta or sotw).",
		StabilityLevel: metrics.ALPHA,
	}, []string{"protocol"})
	responses = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "gateway_apiserver_xds_responses_total",
		Help:           "Number of xDS responses sent, by resource type.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	resourcesSent = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "gateway_apiserver_xds_resources_sent_total",
		Help:           "Number of resources in the xDS responses sent, by resource type.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	nacks = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "gateway_apiserver_xds_nacks_total",
		Help:           "Number of xDS responses that clients rejected, by resource type.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	refused = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "gateway_apiserver_xds_refused_total",
		Help: "Number of xDS connections and streams refused or ended, by reason: connections or streams (there are too many), " +
			"identity (the client is unknown, or may not read what it asks for), node (what it says of itself is wrong).",
		StabilityLevel: metrics.ALPHA,
	}, []string{"reason"})
)

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(streams, responses, resourcesSent, nacks, refused)
})

// counters are those of a type.
type counters struct{ responses, resources, nacks metrics.CounterMetric }

// newCounters returns those of the types that are served, by type URL. The metrics have to be registered.
func newCounters() map[string]counters {
	all := map[string]counters{}
	for _, typeURL := range cache.TypeURLs() {
		label := typeLabel(typeURL)
		all[typeURL] = counters{responses.WithLabelValues(label), resourcesSent.WithLabelValues(label), nacks.WithLabelValues(label)}
	}
	return all
}

// typeLabel returns the short name of a type. It is one of a few, whatever clients ask for.
func typeLabel(typeURL string) string {
	if name := cache.TypeName(typeURL); name != typeURL {
		return name
	}
	return "other"
}
