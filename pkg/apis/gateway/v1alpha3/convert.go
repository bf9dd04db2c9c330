package v1alpha3

import "k8s.io/apimachinery/pkg/runtime"

// localSchemeBuilder collects what conversion-gen writes.
var localSchemeBuilder runtime.SchemeBuilder

// AddConversions adds to s the conversions between upstream's v1alpha3 types and v1. It registers no types.
func AddConversions(s *runtime.Scheme) error { return localSchemeBuilder.AddToScheme(s) }
