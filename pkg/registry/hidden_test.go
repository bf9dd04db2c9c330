package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// versionOf is a kind's version as the table has it.
func versionOf(t *testing.T, gvk schema.GroupVersionKind) *Version {
	t.Helper()
	for _, kind := range GatewayKinds(crd.ExperimentalChannel) {
		for _, v := range kind.Versions {
			if v.GroupVersionKind == gvk {
				return v
			}
		}
	}
	t.Fatalf("%v is not served", gvk)
	return nil
}

func TestLostInBackendTLSPolicy(t *testing.T) {
	t.Parallel()
	target := func(name gatewayv1.ObjectName) gatewayv1.LocalPolicyTargetReferenceWithSectionName {
		return gatewayv1.LocalPolicyTargetReferenceWithSectionName{LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: name}}
	}
	full := func() *gatewayv1.BackendTLSPolicy {
		p := &gatewayv1.BackendTLSPolicy{}
		p.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{target("a"), target("b")}
		p.Spec.Options = map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{"example.com/x": "y"}
		p.Spec.Validation.Hostname = "a.example.com"
		p.Spec.Validation.SubjectAltNames = []gatewayv1.SubjectAltName{{Type: gatewayv1.HostnameSubjectAltNameType, Hostname: "b.example.com"}}
		return p
	}
	const targets, options, names = "spec.targetRefs", "spec.options", "spec.validation.subjectAltNames"
	tests := []struct {
		name   string
		change func(p *gatewayv1.BackendTLSPolicy)
		want   []string
	}{
		{"nothing", func(*gatewayv1.BackendTLSPolicy) {}, nil},
		{"what the version shows", func(p *gatewayv1.BackendTLSPolicy) { p.Labels = map[string]string{"a": "b"} }, nil},
		{"other targets", func(p *gatewayv1.BackendTLSPolicy) { p.Spec.TargetRefs = p.Spec.TargetRefs[:1] }, []string{targets}},
		{"names and options", func(p *gatewayv1.BackendTLSPolicy) {
			p.Spec.Validation.Hostname, p.Spec.Validation.SubjectAltNames, p.Spec.Options = "c.example.com", nil, nil
		}, []string{options, names}},
		{"everything", func(p *gatewayv1.BackendTLSPolicy) { p.Spec = gatewayv1.BackendTLSPolicySpec{} }, []string{options, targets, names}},
	}
	v := versionOf(t, apis.GatewayV1alpha2.WithKind("BackendTLSPolicy"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			changed := full()
			tt.change(changed)
			if diff := cmp.Diff(tt.want, pathsIn(v.Lost(changed, full()))); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if lost := v.Lost(full(), changed); len(lost) > 0 {
				t.Errorf("got %v of what was added", lost)
			}
		})
	}
}

func TestLostInBackendLBPolicy(t *testing.T) {
	t.Parallel()
	old := &gatewayxv1alpha1.XBackendTrafficPolicy{}
	old.Spec.RetryConstraint = &gatewayxv1alpha1.RetryConstraint{}
	v := versionOf(t, apis.GatewayV1alpha2.WithKind("BackendLBPolicy"))
	got := v.Lost(&gatewayxv1alpha1.XBackendTrafficPolicy{}, old)
	if diff := cmp.Diff([]string{"spec.retryConstraint"}, pathsIn(got)); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	if !strings.HasSuffix(strings.Join(got, ""), "write in gateway.networking.x-k8s.io/v1alpha1 to keep it") {
		t.Errorf("got %q, which says not how to keep it", got)
	}
}

func TestVersionsThatLoseNothing(t *testing.T) {
	t.Parallel()
	for _, gvk := range []schema.GroupVersionKind{apis.GatewayV1.WithKind("BackendTLSPolicy"), apis.GatewayV1alpha2.WithKind("Gateway")} {
		if versionOf(t, gvk).Lost != nil {
			t.Errorf("%v can express everything, and looks for what it can't", gvk)
		}
	}
}

// pathsIn are the paths that warnings name.
func pathsIn(warnings []string) (paths []string) {
	for _, w := range warnings {
		_, after, _ := strings.Cut(w, "cannot express of ")
		path, _, _ := strings.Cut(after, " ")
		paths = append(paths, path)
	}
	return paths
}
