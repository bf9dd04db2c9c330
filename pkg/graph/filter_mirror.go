package graph

import (
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var requestMirror = filterRow{
	filter: gwv1.HTTPRouteFilterRequestMirror, field: "requestMirror", grpc: true,
	repeatable: true, // "This filter can be used multiple times within the same rule."
	unmeshed:   true, // the answers reach nobody
	isSet:      func(f *gwv1.HTTPRouteFilter) bool { return f.RequestMirror != nil },
	check:      func(f *gwv1.HTTPRouteFilter) *Problem { return unsupportedMirror(f.RequestMirror) },
	target: &filterTarget{
		ref: func(f *gwv1.HTTPRouteFilter) *gwv1.BackendObjectReference { return &f.RequestMirror.BackendRef },
		// "If the referent cannot be found, this BackendRef is invalid and must be dropped from the Gateway."
		keep: func(f *FilterFacts, i int, b BackendFacts) {
			f.Mirrors = append(f.Mirrors, MirrorFacts{Filter: i, BackendFacts: b})
		},
	},
}

// unsupportedMirror finds what the schema of v1 refuses, and others let through: "Only one of Fraction or Percent may be
// specified"; "numerator must be less than or equal to denominator".
func unsupportedMirror(m *gwv1.HTTPRequestMirrorFilter) *Problem {
	if m.Percent != nil && m.Fraction != nil {
		return unsupportedValue("only one of percent and fraction may be set")
	}
	if m.Percent != nil && (*m.Percent < 0 || *m.Percent > 100) {
		return unsupportedValue("%d is not between 0 and 100", *m.Percent).in("percent")
	}
	if f := m.Fraction; f != nil {
		if denominator := valueOr(f.Denominator, 100); denominator < 1 || f.Numerator < 0 || f.Numerator > denominator {
			return unsupportedValue("%d of %d is not between 0 and 1", f.Numerator, denominator).in("fraction")
		}
	}
	return nil
}
