package v1alpha2

import (
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gateway/v1alpha2/internal/upstream"
)

var groupVersion = schema.GroupVersion{Group: gatewayv1.GroupName, Version: "v1alpha2"}

// localSchemeBuilder collects what conversion-gen writes.
var localSchemeBuilder runtime.SchemeBuilder

// AddConversions adds to s the conversions between all v1alpha2 types, upstream's and those of this package, and their
// hubs. It registers no types.
func AddConversions(s *runtime.Scheme) error {
	builder := runtime.NewSchemeBuilder(
		upstream.AddConversions,
		localSchemeBuilder.AddToScheme,
		add(convertBackendTLSPolicyToHub), add(convertBackendTLSPolicyListToHub),
		add(convertBackendTLSPolicyFromHub), add(convertBackendTLSPolicyListFromHub),
		add(convertBackendLBPolicyToHub), add(convertBackendLBPolicyListToHub),
		add(convertBackendLBPolicyFromHub), add(convertBackendLBPolicyListFromHub),
	)
	return builder.AddToScheme(s)
}

func add[In, Out any](convert func(*In, *Out) error) func(*runtime.Scheme) error {
	return func(s *runtime.Scheme) error {
		return s.AddConversionFunc((*In)(nil), (*Out)(nil), func(in, out any, _ conversion.Scope) error {
			return convert(in.(*In), out.(*Out))
		})
	}
}

// convertItems converts the items of a list. Nil stays nil.
func convertItems[In, Out any](in []In, convert func(*In, *Out) error) ([]Out, error) {
	if in == nil {
		return nil, nil
	}
	out := make([]Out, len(in))
	for i := range in {
		if err := convert(&in[i], &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
