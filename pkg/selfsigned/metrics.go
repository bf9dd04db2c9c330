package selfsigned

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var expires = metrics.NewGaugeVec(&metrics.GaugeOpts{
	Namespace: "gateway_apiserver", Subsystem: "certificate", Name: "expiration_timestamp_seconds",
	Help: "When a certificate that this replica uses expires, as Unix time: serving and serving_ca of --self-signed, " +
		"peer and peer_ca of embedded etcd. All but CAs that somebody has put into their Secrets, and peer_ca, are renewed before.",
	StabilityLevel: metrics.ALPHA,
}, []string{"certificate"})

var registerMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(expires) })
