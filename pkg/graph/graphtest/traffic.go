package graphtest

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

func randomTrafficPolicy(c *choices, meta metav1.ObjectMeta) *gwxv1alpha1.XBackendTrafficPolicy {
	meta.CreationTimestamp = metav1.NewTime(time.Unix(int64(c.n(2)), 0))
	policy := &gwxv1alpha1.XBackendTrafficPolicy{ObjectMeta: meta}
	// No two are equal: the list is a map, which server-side apply insists on.
	policy.Spec.TargetRefs = slices.Compact(some(c, 1, 2, func() gwv1.LocalPolicyTargetReference {
		ref := gwv1.LocalPolicyTargetReference{Kind: "Service", Name: pick[gwv1.ObjectName](c, "s", "s", "s", "missing")}
		switch c.n(8) {
		case 1:
			ref.Group, ref.Kind = "core", "service"
		case 2, 3, 4:
			ref.Group, ref.Kind = xgroup, "XBackend"
		}
		return ref
	}))
	if c.flip(2) {
		policy.Spec.SessionPersistence = randomSession(c)
	}
	switch c.n(4) {
	case 1:
		policy.Spec.RetryConstraint = &gwxv1alpha1.RetryConstraint{}
	case 2:
		policy.Spec.RetryConstraint = &gwxv1alpha1.RetryConstraint{
			Budget:       &gwxv1alpha1.BudgetDetails{Percent: maybe(c, 0, 50, 101), Interval: maybe[gwv1.Duration](c, "1s", "1h")},
			MinRetryRate: &gwxv1alpha1.RequestRate{Count: maybe(c, 1, 3), Interval: maybe[gwv1.Duration](c, "1s")},
		}
	}
	return policy
}

func randomSession(c *choices) *gwv1.SessionPersistence {
	s := &gwv1.SessionPersistence{
		SessionName:     pick(c, nil, new("a"), new("b"), new("not a token")),
		Type:            maybe(c, gwv1.CookieBasedSessionPersistence, gwv1.HeaderBasedSessionPersistence),
		AbsoluteTimeout: maybe[gwv1.Duration](c, "1h", "0s"),
	}
	if c.flip(4) {
		s.CookieConfig = &gwv1.CookieConfig{LifetimeType: maybe(c, gwv1.SessionCookieLifetimeType, gwv1.PermanentCookieLifetimeType)}
	}
	return s
}
