package server

import (
	"sync"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
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

// typeLabel returns the short name of a type that is served.
func typeLabel(typeURL string) string {
	switch typeURL {
	case resource.ClusterType:
		return "clusters"
	case resource.EndpointType:
		return "endpoints"
	case resource.SecretType:
		return "secrets"
	case resource.ListenerType:
		return "listeners"
	case resource.RouteType:
		return "routes"
	}
	return "other"
}
