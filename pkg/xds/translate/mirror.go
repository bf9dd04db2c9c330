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

func (m mirror) policy(by connector, clusters clusterSet) *routev3.RouteAction_RequestMirrorPolicy {
	out := &routev3.RouteAction_RequestMirrorPolicy{
		Cluster: clusters.use(by.cluster(m.backend)),
		// The mirror sees the request as the backend does; Envoy would append "-shadow" to Host.
		DisableShadowHostSuffixAppend: true,
	}
	// "If neither field is specified, 100% of requests will be mirrored."
	switch {
	case m.percent != nil:
		out.RuntimeFraction = runtimeFraction(&typev3.FractionalPercent{
			Numerator: uint32(*m.percent), Denominator: typev3.FractionalPercent_HUNDRED,
		})
	case m.fraction != nil:
		out.RuntimeFraction = runtimeFraction(fractionalPercent(int64(m.fraction.Numerator), int64(deref(m.fraction.Denominator, 100))))
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
		const million = 1_000_000
		return &typev3.FractionalPercent{
			Numerator:   uint32((numerator*million + denominator/2) / denominator),
			Denominator: typev3.FractionalPercent_MILLION,
		}
	}
}
