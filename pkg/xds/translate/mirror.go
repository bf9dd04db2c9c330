package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// mirror is a RequestMirror filter whose backend is resolved.
type mirror struct {
	backend  *graph.BackendFacts
	percent  *int32
	fraction *gwv1.Fraction
}

// policy returns how a share of the requests is mirrored; nil if none of it is.
func (m mirror) policy(of share, by connector, clusters clusterSet) *routev3.RouteAction_RequestMirrorPolicy {
	// "If neither field is specified, 100% of requests will be mirrored."
	var some *typev3.FractionalPercent
	switch {
	case m.percent != nil:
		some = fractionalPercent(int64(*m.percent), 100)
	case m.fraction != nil:
		some = fractionalPercent(int64(m.fraction.Numerator), int64(deref(m.fraction.Denominator, 100)))
	}
	if some != nil && of != everything {
		some = of.within(millionths(some))
	}
	if some != nil && some.Numerator == of.from {
		return nil // older Envoys would take 0 for all of them
	}
	out := &routev3.RouteAction_RequestMirrorPolicy{
		Cluster: clusters.use(by.cluster(m.backend)),
		// The mirror sees the request as the backend does; Envoy would append "-shadow" to Host.
		DisableShadowHostSuffixAppend: true,
	}
	if some != nil {
		out.RuntimeFraction = runtimeFraction(some)
	}
	return out
}

func runtimeFraction(p *typev3.FractionalPercent) *corev3.RuntimeFractionalPercent {
	return &corev3.RuntimeFractionalPercent{DefaultValue: p}
}

// fractionalPercent returns a fraction in one of Envoy's denominators, rounded to a millionth if it is none of them.
func fractionalPercent(numerator, denominator int64) *typev3.FractionalPercent {
	switch denominator {
	case 100:
		return &typev3.FractionalPercent{Numerator: uint32(numerator), Denominator: typev3.FractionalPercent_HUNDRED}
	case 10_000:
		return &typev3.FractionalPercent{Numerator: uint32(numerator), Denominator: typev3.FractionalPercent_TEN_THOUSAND}
	default:
		return &typev3.FractionalPercent{
			Numerator:   uint32((numerator*million + denominator/2) / denominator),
			Denominator: typev3.FractionalPercent_MILLION,
		}
	}
}

func millionths(p *typev3.FractionalPercent) uint32 {
	switch p.Denominator {
	case typev3.FractionalPercent_HUNDRED:
		return p.Numerator * (million / 100)
	case typev3.FractionalPercent_TEN_THOUSAND:
		return p.Numerator * (million / 10_000)
	default:
		return p.Numerator
	}
}
