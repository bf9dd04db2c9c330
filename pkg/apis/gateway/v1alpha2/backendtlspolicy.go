package v1alpha2

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retained"
)

var (
	backendTLSPolicyKind    = groupVersion.WithKind("BackendTLSPolicy")
	backendTLSPolicyHubKind = schema.GroupVersion(gatewayv1.GroupVersion).WithKind("BackendTLSPolicy")
)

// backendTLSPolicyToHub and its reverse share out the fields as follows. A field of the hub that v1alpha2 doesn't have
// belongs to the one beside which it changes the meaning of the policy.
//
//	v1alpha2                      v1
//	targetRef                     targetRefs[0]
//	targetRef.namespace           -                            belongs to targetRef
//	-                             targetRefs[1] and further    belong to targetRef
//	tls.caCertRefs                validation.caCertificateRefs
//	tls.wellKnownCACerts          validation.wellKnownCACertificates
//	tls.hostname                  validation.hostname
//	-                             validation.subjectAltNames   belong to tls
//	-                             options                      belong to tls
var backendTLSPolicyToHub = retained.Conversion[BackendTLSPolicySpec, gatewayv1.BackendTLSPolicySpec]{
	From: backendTLSPolicyKind, To: backendTLSPolicyHubKind,
	Plain: hubBackendTLSPolicySpec,
	Back:  backendTLSPolicySpec,
	Restore: func(hub, kept *gatewayv1.BackendTLSPolicySpec, spec, shown *BackendTLSPolicySpec) {
		target := spec.TargetRef
		target.Namespace = nil
		if equality.Semantic.DeepEqual(target, shown.TargetRef) {
			hub.TargetRefs = kept.TargetRefs
		}
		if retained.Within(&spec.TLS, &shown.TLS) {
			hub.Validation.SubjectAltNames, hub.Options = kept.Validation.SubjectAltNames, kept.Options
		}
	},
}

var backendTLSPolicyFromHub = retained.Conversion[gatewayv1.BackendTLSPolicySpec, BackendTLSPolicySpec]{
	From: backendTLSPolicyHubKind, To: backendTLSPolicyKind,
	Plain: backendTLSPolicySpec,
	Back:  hubBackendTLSPolicySpec,
	Restore: func(spec, kept *BackendTLSPolicySpec, hub, shown *gatewayv1.BackendTLSPolicySpec) {
		if len(hub.TargetRefs) > 0 && len(shown.TargetRefs) > 0 && equality.Semantic.DeepEqual(hub.TargetRefs[0], shown.TargetRefs[0]) {
			spec.TargetRef.Namespace = kept.TargetRef.Namespace
		}
	},
}

// hubBackendTLSPolicySpec returns what v1 can express of a spec: everything but targetRef.namespace. A target that says
// nothing is none: server-side apply converts what is left of an object when it takes away what a manager has given up.
func hubBackendTLSPolicySpec(in *BackendTLSPolicySpec) gatewayv1.BackendTLSPolicySpec {
	out := gatewayv1.BackendTLSPolicySpec{Validation: gatewayv1.BackendTLSPolicyValidation{
		CACertificateRefs:       in.TLS.CACertRefs,
		WellKnownCACertificates: (*gatewayv1.WellKnownCACertificatesType)(in.TLS.WellKnownCACerts),
		Hostname:                in.TLS.Hostname,
	}}
	if in.TargetRef != (PolicyTargetReferenceWithSectionName{}) {
		out.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{
			LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{
				Group: in.TargetRef.Group, Kind: in.TargetRef.Kind, Name: in.TargetRef.Name,
			},
			SectionName: in.TargetRef.SectionName,
		}}
	}
	return out
}

// backendTLSPolicySpec returns what v1alpha2 can express of a spec of v1. Values that v1alpha2 would refuse, such as
// well-known certificates other than System, are shown: hiding them would make the policy a different one.
func backendTLSPolicySpec(in *gatewayv1.BackendTLSPolicySpec) BackendTLSPolicySpec {
	out := BackendTLSPolicySpec{TLS: BackendTLSPolicyConfig{
		CACertRefs:       in.Validation.CACertificateRefs,
		WellKnownCACerts: (*WellKnownCACertType)(in.Validation.WellKnownCACertificates),
		Hostname:         in.Validation.Hostname,
	}}
	if len(in.TargetRefs) > 0 {
		target := in.TargetRefs[0]
		out.TargetRef = PolicyTargetReferenceWithSectionName{
			PolicyTargetReference: PolicyTargetReference{Group: target.Group, Kind: target.Kind, Name: target.Name},
			SectionName:           target.SectionName,
		}
	}
	return out
}

func convertBackendTLSPolicyToHub(in *BackendTLSPolicy, out *gatewayv1.BackendTLSPolicy) error {
	out.Status = in.Status
	return backendTLSPolicyToHub.Convert(&in.ObjectMeta, &in.Spec, &out.ObjectMeta, &out.Spec)
}

func convertBackendTLSPolicyFromHub(in *gatewayv1.BackendTLSPolicy, out *BackendTLSPolicy) error {
	out.Status = in.Status
	return backendTLSPolicyFromHub.Convert(&in.ObjectMeta, &in.Spec, &out.ObjectMeta, &out.Spec)
}

func convertBackendTLSPolicyListToHub(in *BackendTLSPolicyList, out *gatewayv1.BackendTLSPolicyList) (err error) {
	out.ListMeta = in.ListMeta
	out.Items, err = convertItems(in.Items, convertBackendTLSPolicyToHub)
	return err
}

func convertBackendTLSPolicyListFromHub(in *gatewayv1.BackendTLSPolicyList, out *BackendTLSPolicyList) (err error) {
	out.ListMeta = in.ListMeta
	out.Items, err = convertItems(in.Items, convertBackendTLSPolicyFromHub)
	return err
}
