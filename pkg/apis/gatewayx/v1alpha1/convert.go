package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// AddConversions adds to s the conversions between XListenerSet and ListenerSet, and between their lists. It registers
// no types.
func AddConversions(s *runtime.Scheme) error {
	builder := runtime.NewSchemeBuilder(add(toHub), add(listToHub), add(fromHub), add(listFromHub))
	return builder.AddToScheme(s)
}

func add[In, Out any](convert func(*In, *Out)) func(*runtime.Scheme) error {
	return func(s *runtime.Scheme) error {
		return s.AddConversionFunc((*In)(nil), (*Out)(nil), func(in, out any, _ conversion.Scope) error {
			convert(in.(*In), out.(*Out))
			return nil
		})
	}
}

// toHub keeps a port of 0, which v1 knows but refuses: who reads the object in v1 sees that no port was chosen.
func toHub(in *XListenerSet, out *gatewayv1.ListenerSet) {
	out.ObjectMeta = in.ObjectMeta
	out.Spec.ParentRef = in.Spec.ParentRef
	out.Spec.Listeners = convertItems(in.Spec.Listeners, func(in *ListenerEntry, out *gatewayv1.ListenerEntry) {
		*out = gatewayv1.ListenerEntry(*in)
	})
	out.Status.Conditions = in.Status.Conditions
	out.Status.Listeners = convertItems(in.Status.Listeners, func(in *ListenerEntryStatus, out *gatewayv1.ListenerEntryStatus) {
		*out = gatewayv1.ListenerEntryStatus{
			Name: in.Name, SupportedKinds: in.SupportedKinds, AttachedRoutes: in.AttachedRoutes, Conditions: in.Conditions,
		}
	})
}

// fromHub takes the ports of status, which the hub doesn't have, from spec.
func fromHub(in *gatewayv1.ListenerSet, out *XListenerSet) {
	ports := make(map[gatewayv1.SectionName]gatewayv1.PortNumber, len(in.Spec.Listeners))
	out.ObjectMeta = in.ObjectMeta
	out.Spec.ParentRef = in.Spec.ParentRef
	out.Spec.Listeners = convertItems(in.Spec.Listeners, func(in *gatewayv1.ListenerEntry, out *ListenerEntry) {
		*out = ListenerEntry(*in)
		ports[in.Name] = in.Port
	})
	out.Status.Conditions = in.Status.Conditions
	out.Status.Listeners = convertItems(in.Status.Listeners, func(in *gatewayv1.ListenerEntryStatus, out *ListenerEntryStatus) {
		*out = ListenerEntryStatus{
			Name: in.Name, Port: ports[in.Name], AttachedRoutes: in.AttachedRoutes,
			// Both are required here, so null would be refused.
			SupportedKinds: append([]gatewayv1.RouteGroupKind{}, in.SupportedKinds...),
			Conditions:     append([]metav1.Condition{}, in.Conditions...),
		}
	})
}

func listToHub(in *XListenerSetList, out *gatewayv1.ListenerSetList) {
	out.ListMeta = in.ListMeta
	out.Items = convertItems(in.Items, toHub)
}

func listFromHub(in *gatewayv1.ListenerSetList, out *XListenerSetList) {
	out.ListMeta = in.ListMeta
	out.Items = convertItems(in.Items, fromHub)
}

// convertItems converts the items of a list. Nil stays nil.
func convertItems[In, Out any](in []In, convert func(*In, *Out)) []Out {
	if in == nil {
		return nil
	}
	out := make([]Out, len(in))
	for i := range in {
		convert(&in[i], &out[i])
	}
	return out
}
