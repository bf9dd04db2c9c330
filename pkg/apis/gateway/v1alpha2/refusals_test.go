package v1alpha2

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, policy string
		target       *gatewayv1.Namespace
		refused      bool
	}{
		{name: "no namespace", policy: "shop"},
		{name: "its own", policy: "shop", target: new(gatewayv1.Namespace("shop"))},
		{name: "another", policy: "shop", target: new(gatewayv1.Namespace("other")), refused: true},
		{name: "policy without one yet", target: new(gatewayv1.Namespace("shop"))},
	} {
		policy := &BackendTLSPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: tt.policy}}
		policy.Spec.TargetRef.Namespace = tt.target
		errs := policy.Refusals()
		if refused := len(errs) > 0; refused != tt.refused {
			t.Errorf("%s: %v", tt.name, errs)
		}
		if tt.refused && errs[0].Field != "spec.targetRef.namespace" {
			t.Errorf("%s: the error is about %s", tt.name, errs[0].Field)
		}
	}
}
