package v1alpha2

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retained"
)

var (
	backendLBPolicyKind    = groupVersion.WithKind("BackendLBPolicy")
	backendLBPolicyHubKind = schema.GroupVersion(gatewayxv1alpha1.GroupVersion).WithKind("XBackendTrafficPolicy")
)

// backendLBPolicyToHub and its reverse share out the fields as follows.
//
//	BackendLBPolicy                   XBackendTrafficPolicy
//	targetRefs                        targetRefs
//	-                                 retryConstraint          belongs to targetRefs
//	sessionPersistence                sessionPersistence
//	sessionPersistence.idleTimeout    -                        belongs to sessionPersistence
var backendLBPolicyToHub = retained.Conversion[BackendLBPolicySpec, gatewayxv1alpha1.BackendTrafficPolicySpec]{
	From: backendLBPolicyKind, To: backendLBPolicyHubKind,
	Plain: hubBackendLBPolicySpec,
	Back:  backendLBPolicySpec,
	Restore: func(hub, kept *gatewayxv1alpha1.BackendTrafficPolicySpec, spec, shown *BackendLBPolicySpec) {
		if !slices.ContainsFunc(spec.TargetRefs, func(target gatewayv1.LocalPolicyTargetReference) bool {
			return !slices.Contains(shown.TargetRefs, target)
		}) {
			hub.RetryConstraint = kept.RetryConstraint
		}
	},
}

var backendLBPolicyFromHub = retained.Conversion[gatewayxv1alpha1.BackendTrafficPolicySpec, BackendLBPolicySpec]{
	From: backendLBPolicyHubKind, To: backendLBPolicyKind,
	Plain: backendLBPolicySpec,
	Back:  hubBackendLBPolicySpec,
	Restore: func(spec, kept *BackendLBPolicySpec, hub, shown *gatewayxv1alpha1.BackendTrafficPolicySpec) {
		if spec.SessionPersistence != nil && shown.SessionPersistence != nil && retained.Within(hub.SessionPersistence, shown.SessionPersistence) {
			spec.SessionPersistence.IdleTimeout = kept.SessionPersistence.IdleTimeout
		}
	},
}

// hubBackendLBPolicySpec returns what an XBackendTrafficPolicy can express of a spec: everything but
// sessionPersistence.idleTimeout.
func hubBackendLBPolicySpec(in *BackendLBPolicySpec) gatewayxv1alpha1.BackendTrafficPolicySpec {
	out := gatewayxv1alpha1.BackendTrafficPolicySpec{TargetRefs: in.TargetRefs}
	if persistence := in.SessionPersistence; persistence != nil {
		out.SessionPersistence = &gatewayv1.SessionPersistence{
			SessionName:     persistence.SessionName,
			AbsoluteTimeout: persistence.AbsoluteTimeout,
			Type:            persistence.Type,
			CookieConfig:    persistence.CookieConfig,
		}
	}
	return out
}

// backendLBPolicySpec returns what a BackendLBPolicy can express of a spec: everything but retryConstraint.
func backendLBPolicySpec(in *gatewayxv1alpha1.BackendTrafficPolicySpec) BackendLBPolicySpec {
	out := BackendLBPolicySpec{TargetRefs: in.TargetRefs}
	if persistence := in.SessionPersistence; persistence != nil {
		out.SessionPersistence = &SessionPersistence{
			SessionName:     persistence.SessionName,
			AbsoluteTimeout: persistence.AbsoluteTimeout,
			Type:            persistence.Type,
			CookieConfig:    persistence.CookieConfig,
		}
	}
	return out
}

func convertBackendLBPolicyToHub(in *BackendLBPolicy, out *gatewayxv1alpha1.XBackendTrafficPolicy) error {
	out.Status = in.Status
	return backendLBPolicyToHub.Convert(&in.ObjectMeta, &in.Spec, &out.ObjectMeta, &out.Spec)
}

func convertBackendLBPolicyFromHub(in *gatewayxv1alpha1.XBackendTrafficPolicy, out *BackendLBPolicy) error {
	out.Status = in.Status
	return backendLBPolicyFromHub.Convert(&in.ObjectMeta, &in.Spec, &out.ObjectMeta, &out.Spec)
}

func convertBackendLBPolicyListToHub(in *BackendLBPolicyList, out *gatewayxv1alpha1.XBackendTrafficPolicyList) (err error) {
	out.ListMeta = in.ListMeta
	out.Items, err = convertItems(in.Items, convertBackendLBPolicyToHub)
	return err
}

func convertBackendLBPolicyListFromHub(in *gatewayxv1alpha1.XBackendTrafficPolicyList, out *BackendLBPolicyList) (err error) {
	out.ListMeta = in.ListMeta
	out.Items, err = convertItems(in.Items, convertBackendLBPolicyFromHub)
	return err
}
