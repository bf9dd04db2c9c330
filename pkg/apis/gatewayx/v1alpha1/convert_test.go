package v1alpha1

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestPorts(t *testing.T) {
	t.Parallel()
	s := runtime.NewScheme()
	if err := AddConversions(s); err != nil {
		t.Fatal(err)
	}
	hub := &gatewayv1.ListenerSet{
		ObjectMeta: metav1.ObjectMeta{Name: "set", Annotations: map[string]string{"a": "b"}},
		Spec: gatewayv1.ListenerSetSpec{
			ParentRef: gatewayv1.ParentGatewayReference{Name: "gateway"},
			Listeners: []gatewayv1.ListenerEntry{
				{Name: "fixed", Port: 80, Protocol: "HTTP", Hostname: new(gatewayv1.Hostname("example.com"))},
				{Name: "free", Protocol: "HTTP"},
			},
		},
		Status: gatewayv1.ListenerSetStatus{Listeners: []gatewayv1.ListenerEntryStatus{
			{Name: "free", AttachedRoutes: 1}, {Name: "fixed", AttachedRoutes: 2}, {Name: "gone"},
		}},
	}
	got := &XListenerSet{}
	if err := s.Convert(hub, got, nil); err != nil {
		t.Fatal(err)
	}
	want := &XListenerSet{
		ObjectMeta: metav1.ObjectMeta{Name: "set", Annotations: map[string]string{"a": "b"}},
		Spec: ListenerSetSpec{
			ParentRef: gatewayv1.ParentGatewayReference{Name: "gateway"},
			Listeners: []ListenerEntry{
				{Name: "fixed", Port: 80, Protocol: "HTTP", Hostname: new(gatewayv1.Hostname("example.com"))},
				{Name: "free", Protocol: "HTTP"},
			},
		},
		Status: ListenerSetStatus{Listeners: []ListenerEntryStatus{
			{Name: "free", Port: 0, AttachedRoutes: 1, SupportedKinds: []gatewayv1.RouteGroupKind{}, Conditions: []metav1.Condition{}},
			{Name: "fixed", Port: 80, AttachedRoutes: 2, SupportedKinds: []gatewayv1.RouteGroupKind{}, Conditions: []metav1.Condition{}},
			{Name: "gone", SupportedKinds: []gatewayv1.RouteGroupKind{}, Conditions: []metav1.Condition{}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// The required lists of a status are never null.
	data, err := json.Marshal(got.Status.Listeners[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"name":"free","port":0,"supportedKinds":[],"attachedRoutes":1,"conditions":[]}`, string(data)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
