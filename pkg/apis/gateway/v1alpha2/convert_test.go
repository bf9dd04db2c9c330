package v1alpha2

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retained"
)

// through converts in to an Out.
func through[Out any](t *testing.T, in any) *Out {
	t.Helper()
	s := runtime.NewScheme()
	if err := AddConversions(s); err != nil {
		t.Fatal(err)
	}
	out := new(Out)
	if err := s.Convert(in, out, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

func hubTarget(name gatewayv1.ObjectName) gatewayv1.LocalPolicyTargetReferenceWithSectionName {
	return gatewayv1.LocalPolicyTargetReferenceWithSectionName{
		LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: name},
		SectionName:                new(gatewayv1.SectionName("https")),
	}
}

// hubBackendTLSPolicy has all that v1 has and v1alpha2 hasn't.
func hubBackendTLSPolicy(edit func(*gatewayv1.BackendTLSPolicySpec)) *gatewayv1.BackendTLSPolicy {
	policy := &gatewayv1.BackendTLSPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "policy", Annotations: map[string]string{"a": "b"}},
		Spec: gatewayv1.BackendTLSPolicySpec{
			TargetRefs: []gatewayv1.LocalPolicyTargetReferenceWithSectionName{hubTarget("first"), hubTarget("second")},
			Validation: gatewayv1.BackendTLSPolicyValidation{
				CACertificateRefs: []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: "ca"}},
				Hostname:          "backend.example.com",
				SubjectAltNames:   []gatewayv1.SubjectAltName{{Type: "URI", URI: "spiffe://example.com/backend"}},
			},
			Options: map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{"example.com/min-version": "1.3"},
		},
		Status: gatewayv1.PolicyStatus{Ancestors: []gatewayv1.PolicyAncestorStatus{{ControllerName: "example.com/c"}}},
	}
	edit(&policy.Spec)
	return policy
}

func TestBackendTLSPolicyShape(t *testing.T) {
	t.Parallel()
	got := through[BackendTLSPolicy](t, hubBackendTLSPolicy(func(*gatewayv1.BackendTLSPolicySpec) {}))
	const kept = `{"kind":"BackendTLSPolicy","apiVersion":"gateway.networking.k8s.io/v1","spec":{` +
		`"targetRefs":[{"group":"","kind":"Service","name":"first","sectionName":"https"},{"group":"","kind":"Service","name":"second","sectionName":"https"}],` +
		`"validation":{"caCertificateRefs":[{"group":"","kind":"ConfigMap","name":"ca"}],"hostname":"backend.example.com",` +
		`"subjectAltNames":[{"type":"URI","uri":"spiffe://example.com/backend"}]},"options":{"example.com/min-version":"1.3"}}}`
	want := &BackendTLSPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "policy", Annotations: map[string]string{"a": "b", retained.Annotation: kept}},
		Spec: BackendTLSPolicySpec{
			TargetRef: PolicyTargetReferenceWithSectionName{
				PolicyTargetReference: PolicyTargetReference{Kind: "Service", Name: "first"},
				SectionName:           new(gatewayv1.SectionName("https")),
			},
			TLS: BackendTLSPolicyConfig{
				CACertRefs: []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: "ca"}},
				Hostname:   "backend.example.com",
			},
		},
		Status: gatewayv1.PolicyStatus{Ancestors: []gatewayv1.PolicyAncestorStatus{{ControllerName: "example.com/c"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBackendTLSPolicyEdited holds what becomes of a policy of v1 that a client of v1alpha2 edits.
func TestBackendTLSPolicyEdited(t *testing.T) {
	t.Parallel()
	type hub = gatewayv1.BackendTLSPolicySpec
	dropTargets := func(s *hub) { s.TargetRefs = s.TargetRefs[:1] }
	dropTLS := func(s *hub) { s.Validation.SubjectAltNames, s.Options = nil, nil }
	for name, test := range map[string]struct {
		edit func(*BackendTLSPolicy)
		want func(*hub)
	}{
		"nothing": {func(*BackendTLSPolicy) {}, func(*hub) {}},
		"labels":  {func(p *BackendTLSPolicy) { p.Labels = map[string]string{"c": "d"} }, func(*hub) {}},
		"the host name": {
			func(p *BackendTLSPolicy) { p.Spec.TLS.Hostname = "other.example.com" },
			func(s *hub) { dropTLS(s); s.Validation.Hostname = "other.example.com" },
		},
		"the certificate authorities": {
			func(p *BackendTLSPolicy) {
				p.Spec.TLS.CACertRefs, p.Spec.TLS.WellKnownCACerts = nil, new(WellKnownCACertSystem)
			},
			func(s *hub) {
				dropTLS(s)
				s.Validation.CACertificateRefs = nil
				s.Validation.WellKnownCACertificates = new(gatewayv1.WellKnownCACertificatesSystem)
			},
		},
		"the target": {
			func(p *BackendTLSPolicy) { p.Spec.TargetRef.Name = "other" },
			func(s *hub) { dropTargets(s); s.TargetRefs[0].Name = "other" },
		},
		"the port of the target": {
			func(p *BackendTLSPolicy) { p.Spec.TargetRef.SectionName = nil },
			func(s *hub) { dropTargets(s); s.TargetRefs[0].SectionName = nil },
		},
		"target and host name": {
			func(p *BackendTLSPolicy) { p.Spec.TargetRef.Name, p.Spec.TLS.Hostname = "other", "other.example.com" },
			func(s *hub) {
				dropTargets(s)
				dropTLS(s)
				s.TargetRefs[0].Name, s.Validation.Hostname = "other", "other.example.com"
			},
		},
		"the annotation goes": {
			func(p *BackendTLSPolicy) { delete(p.Annotations, retained.Annotation) },
			func(s *hub) { dropTargets(s); dropTLS(s) },
		},
		"the annotation is damaged": {
			func(p *BackendTLSPolicy) { p.Annotations[retained.Annotation] += "}" },
			func(s *hub) { dropTargets(s); dropTLS(s) },
		},
		"the annotation is of another policy": {
			func(p *BackendTLSPolicy) {
				other := through[BackendTLSPolicy](t, hubBackendTLSPolicy(func(s *hub) {
					s.TargetRefs[0].Name, s.Validation.Hostname = "other", "other.example.com"
				}))
				p.Annotations[retained.Annotation] = other.Annotations[retained.Annotation]
			},
			func(s *hub) { dropTargets(s); dropTLS(s) },
		},
		// What a client may say in v1 it may say here: the rules of v1 are checked by who takes the result.
		"the annotation says more": {
			func(p *BackendTLSPolicy) {
				other := through[BackendTLSPolicy](t, hubBackendTLSPolicy(func(s *hub) { s.TargetRefs[1].Name = "" }))
				p.Annotations[retained.Annotation] = other.Annotations[retained.Annotation]
			},
			func(s *hub) { s.TargetRefs[1].Name = "" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := through[BackendTLSPolicy](t, hubBackendTLSPolicy(func(*hub) {}))
			test.edit(policy)
			got := through[gatewayv1.BackendTLSPolicy](t, policy)
			want := hubBackendTLSPolicy(test.want)
			want.Labels = policy.Labels
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestBackendTLSPolicyNamespace holds that the namespace of a target, which v1 doesn't have, outlives edits in v1 of
// anything but the target.
func TestBackendTLSPolicyNamespace(t *testing.T) {
	t.Parallel()
	policy := func() *BackendTLSPolicy {
		return &BackendTLSPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "policy"},
			Spec: BackendTLSPolicySpec{
				TargetRef: PolicyTargetReferenceWithSectionName{PolicyTargetReference: PolicyTargetReference{
					Kind: "Service", Name: "first", Namespace: new(gatewayv1.Namespace("elsewhere")),
				}},
				TLS: BackendTLSPolicyConfig{Hostname: "backend.example.com"},
			},
		}
	}
	hub := through[gatewayv1.BackendTLSPolicy](t, policy())
	const kept = `{"kind":"BackendTLSPolicy","apiVersion":"gateway.networking.k8s.io/v1alpha2","spec":{` +
		`"targetRef":{"group":"","kind":"Service","name":"first","namespace":"elsewhere"},"tls":{"hostname":"backend.example.com"}}}`
	if diff := cmp.Diff(map[string]string{retained.Annotation: kept}, hub.Annotations); diff != "" {
		t.Errorf("annotations of the hub (-want +got):\n%s", diff)
	}
	for name, test := range map[string]struct {
		edit       func(*gatewayv1.BackendTLSPolicySpec)
		namespaced bool
	}{
		"nothing":         {func(*gatewayv1.BackendTLSPolicySpec) {}, true},
		"the host name":   {func(s *gatewayv1.BackendTLSPolicySpec) { s.Validation.Hostname = "other.example.com" }, true},
		"one more target": {func(s *gatewayv1.BackendTLSPolicySpec) { s.TargetRefs = append(s.TargetRefs, hubTarget("second")) }, true},
		"the target":      {func(s *gatewayv1.BackendTLSPolicySpec) { s.TargetRefs[0].Name = "other" }, false},
		"a target in front": {func(s *gatewayv1.BackendTLSPolicySpec) {
			s.TargetRefs = append(s.TargetRefs[:0:0], hubTarget("second"), s.TargetRefs[0])
		}, false},
		"no target, but valid": {func(s *gatewayv1.BackendTLSPolicySpec) { s.TargetRefs = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edited := hub.DeepCopy()
			test.edit(&edited.Spec)
			got := through[BackendTLSPolicy](t, edited)
			if namespace := got.Spec.TargetRef.Namespace; (namespace != nil) != test.namespaced {
				t.Errorf("namespace %v, expected one: %v", namespace, test.namespaced)
			}
			if back := through[gatewayv1.BackendTLSPolicy](t, got); !cmp.Equal(back.Spec, edited.Spec) {
				t.Errorf("edited (-want +got):\n%s", cmp.Diff(edited.Spec, back.Spec))
			}
		})
	}
}

// TestBackendTLSPolicyWithoutTarget holds that no target is none in both versions, so that nothing has to be kept of it:
// server-side apply converts what is left of an object when a manager gives up its fields.
func TestBackendTLSPolicyWithoutTarget(t *testing.T) {
	t.Parallel()
	hub := &gatewayv1.BackendTLSPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "policy"},
		Spec:       gatewayv1.BackendTLSPolicySpec{Validation: gatewayv1.BackendTLSPolicyValidation{Hostname: "backend.example.com"}},
	}
	policy := through[BackendTLSPolicy](t, hub)
	if len(policy.Annotations) > 0 {
		t.Errorf("annotations %v", policy.Annotations)
	}
	if diff := cmp.Diff(hub, through[gatewayv1.BackendTLSPolicy](t, policy)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// hubBackendTrafficPolicy has all that XBackendTrafficPolicy has and BackendLBPolicy hasn't.
func hubBackendTrafficPolicy(edit func(*gatewayxv1alpha1.BackendTrafficPolicySpec)) *gatewayxv1alpha1.XBackendTrafficPolicy {
	policy := &gatewayxv1alpha1.XBackendTrafficPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "policy"},
		Spec: gatewayxv1alpha1.BackendTrafficPolicySpec{
			TargetRefs:      []gatewayv1.LocalPolicyTargetReference{{Kind: "Service", Name: "backend"}, {Kind: "Service", Name: "canary"}},
			RetryConstraint: &gatewayxv1alpha1.RetryConstraint{Budget: &gatewayxv1alpha1.BudgetDetails{Percent: new(20)}},
			SessionPersistence: &gatewayv1.SessionPersistence{
				SessionName:     new("session"),
				AbsoluteTimeout: new(gatewayv1.Duration("1h")),
				Type:            new(gatewayv1.CookieBasedSessionPersistence),
				CookieConfig:    &gatewayv1.CookieConfig{LifetimeType: new(gatewayv1.PermanentCookieLifetimeType)},
			},
		},
	}
	edit(&policy.Spec)
	return policy
}

// TestBackendLBPolicyEdited holds what becomes of an XBackendTrafficPolicy that is edited as a BackendLBPolicy.
func TestBackendLBPolicyEdited(t *testing.T) {
	t.Parallel()
	type hub = gatewayxv1alpha1.BackendTrafficPolicySpec
	for name, test := range map[string]struct {
		edit func(*BackendLBPolicySpec)
		want func(*hub)
	}{
		"nothing": {func(*BackendLBPolicySpec) {}, func(*hub) {}},
		"the targets": {
			func(s *BackendLBPolicySpec) {
				s.TargetRefs = append(s.TargetRefs[:1:1], gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: "second"})
			},
			func(s *hub) {
				s.TargetRefs = append(s.TargetRefs[:1], gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: "second"})
				s.RetryConstraint = nil
			},
		},
		"one target less": {
			func(s *BackendLBPolicySpec) { s.TargetRefs = s.TargetRefs[:1] },
			func(s *hub) { s.TargetRefs = s.TargetRefs[:1] },
		},
		"session persistence": {
			func(s *BackendLBPolicySpec) { s.SessionPersistence.SessionName = new("other") },
			func(s *hub) { s.SessionPersistence.SessionName = new("other") },
		},
		"no session persistence": {
			func(s *BackendLBPolicySpec) { s.SessionPersistence = nil },
			func(s *hub) { s.SessionPersistence = nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := through[BackendLBPolicy](t, hubBackendTrafficPolicy(func(*hub) {}))
			if !retained.Hidden(policy) {
				t.Errorf("the retry constraint is not kept: %v", policy.Annotations)
			}
			test.edit(&policy.Spec)
			got := through[gatewayxv1alpha1.XBackendTrafficPolicy](t, policy)
			if diff := cmp.Diff(hubBackendTrafficPolicy(test.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestBackendLBPolicyIdleTimeout holds that the idle timeout, which XBackendTrafficPolicy doesn't have, outlives edits
// there of anything but session persistence.
func TestBackendLBPolicyIdleTimeout(t *testing.T) {
	t.Parallel()
	policy := through[BackendLBPolicy](t, hubBackendTrafficPolicy(func(*gatewayxv1alpha1.BackendTrafficPolicySpec) {}))
	policy.Spec.SessionPersistence.IdleTimeout = new(gatewayv1.Duration("5m"))
	hub := through[gatewayxv1alpha1.XBackendTrafficPolicy](t, policy)
	if hub.Spec.RetryConstraint == nil {
		t.Error("the retry constraint is gone")
	}
	for name, test := range map[string]struct {
		edit func(*gatewayxv1alpha1.BackendTrafficPolicySpec)
		kept bool
	}{
		"nothing":                {func(*gatewayxv1alpha1.BackendTrafficPolicySpec) {}, true},
		"the retry constraint":   {func(s *gatewayxv1alpha1.BackendTrafficPolicySpec) { s.RetryConstraint = nil }, true},
		"the targets":            {func(s *gatewayxv1alpha1.BackendTrafficPolicySpec) { s.TargetRefs[0].Name = "other" }, true},
		"the session's name":     {func(s *gatewayxv1alpha1.BackendTrafficPolicySpec) { s.SessionPersistence.SessionName = new("other") }, false},
		"one timeout less":       {func(s *gatewayxv1alpha1.BackendTrafficPolicySpec) { s.SessionPersistence.AbsoluteTimeout = nil }, true},
		"no session persistence": {func(s *gatewayxv1alpha1.BackendTrafficPolicySpec) { s.SessionPersistence = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edited := hub.DeepCopy()
			test.edit(&edited.Spec)
			got := through[BackendLBPolicy](t, edited)
			persistence := got.Spec.SessionPersistence
			if kept := persistence != nil && persistence.IdleTimeout != nil; kept != test.kept {
				t.Errorf("session persistence %+v, expected an idle timeout: %v", persistence, test.kept)
			}
			if back := through[gatewayxv1alpha1.XBackendTrafficPolicy](t, got); !cmp.Equal(back.Spec, edited.Spec) {
				t.Errorf("edited (-want +got):\n%s", cmp.Diff(edited.Spec, back.Spec))
			}
		})
	}
}

// TestList holds that each item of a list is converted on its own.
func TestList(t *testing.T) {
	t.Parallel()
	hubs := &gatewayv1.BackendTLSPolicyList{
		ListMeta: metav1.ListMeta{ResourceVersion: "7"},
		Items: []gatewayv1.BackendTLSPolicy{
			*hubBackendTLSPolicy(func(*gatewayv1.BackendTLSPolicySpec) {}),
			*hubBackendTLSPolicy(func(s *gatewayv1.BackendTLSPolicySpec) { s.TargetRefs = s.TargetRefs[:1] }),
		},
	}
	list := through[BackendTLSPolicyList](t, hubs)
	if len(list.Items) != 2 || list.ResourceVersion != "7" {
		t.Fatalf("%+v", list)
	}
	if diff := cmp.Diff(hubs, through[gatewayv1.BackendTLSPolicyList](t, list)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
