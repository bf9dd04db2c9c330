package takeover

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
)

// definitionOf is a CustomResourceDefinition as clusters have it. The first version is stored.
func definitionOf(group, kind, plural string, versions ...string) *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names:      apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, Plural: plural},
			Conversion: &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.NoneConverter},
		},
		Status: apiextensionsv1.CustomResourceDefinitionStatus{Conditions: []apiextensionsv1.CustomResourceDefinitionCondition{
			{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue},
		}},
	}
	for i, name := range versions {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{
			Name: name, Served: true, Storage: i == 0,
			Schema:       &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{}},
			Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
		})
	}
	return crd
}

func TestLanes(t *testing.T) {
	t.Parallel()
	found, without := newLanes([]*apiextensionsv1.CustomResourceDefinition{
		definitionOf(groups[1], "XListenerSet", "xlistenersets", "v1alpha1"),
		definitionOf(groups[0], "HTTPRoute", "httproutes", "v1beta1", "v1", sideDoor),
		definitionOf(groups[0], "ListenerSet", "listenersets", "v1"),
		definitionOf(groups[0], "ReferencePolicy", "referencepolicies", "v1alpha2"),
		definitionOf(groups[0], "GRPCRoute", "grpcroutes", "v2", "v1"),
		definitionOf(groups[1], "BackendLBPolicy", "backendlbpolicies", "v1alpha1"), // of the wrong group
	})
	type facts struct {
		Row, CRD, Storage, Door string
		Versions                string
	}
	var got []facts
	for _, row := range found {
		for _, l := range row {
			got = append(got, facts{l.row.Hub().Kind, l.crd, l.storage.Version, l.door().String(), strings.Join(l.versions, " ")})
		}
	}
	want := []facts{
		{"ListenerSet", "listenersets.gateway.networking.k8s.io", "v1", "gateway.networking.k8s.io/takeover, Resource=listenersets", "v1"},
		{"ListenerSet", "xlistenersets.gateway.networking.x-k8s.io", "v1alpha1", "gateway.networking.x-k8s.io/takeover, Resource=xlistenersets", "v1alpha1"},
		{"HTTPRoute", "httproutes.gateway.networking.k8s.io", "v1beta1", "gateway.networking.k8s.io/takeover, Resource=httproutes", "v1beta1 v1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lanes (-want +got):\n%s", diff)
	}
	var reasons []string
	for _, u := range without {
		reasons = append(reasons, u.crd.Name+": "+u.why)
	}
	wantReasons := []string{
		"referencepolicies.gateway.networking.k8s.io: gateway-apiserver does not have the kind ReferencePolicy",
		"grpcroutes.gateway.networking.k8s.io: it stores v2, and gateway-apiserver has GRPCRoute in v1, v1alpha2 only",
		"backendlbpolicies.gateway.networking.x-k8s.io: gateway-apiserver does not have the kind BackendLBPolicy",
	}
	if diff := cmp.Diff(wantReasons, reasons); diff != "" {
		t.Errorf("without a lane (-want +got):\n%s", diff)
	}
	hubs := hubLanes(apis.GatewayKinds)
	if len(hubs) < 10 || hubs[0].storage.Resource != "gatewayclasses" || hubs[0].namespaced {
		t.Errorf("got hubs %+v", hubs)
	}
}

// TestGatewayVersions holds that it takes no registration of other kinds for the Gateway API to be taken over.
func TestGatewayVersions(t *testing.T) {
	t.Parallel()
	want := []schema.GroupVersion{apis.GatewayV1, apis.GatewayXV1alpha1, apis.GatewayV1alpha2, apis.GatewayV1alpha3, apis.GatewayV1beta1}
	if diff := cmp.Diff(want, gatewayVersions()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheckDefinition(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*apiextensionsv1.CustomResourceDefinition)
		want   string
	}{
		"as it should be":  {func(*apiextensionsv1.CustomResourceDefinition) {}, ""},
		"has a side door":  {func(c *apiextensionsv1.CustomResourceDefinition) { describe(c, sideDoorMark+" (copying)") }, ""},
		"has another one":  {func(c *apiextensionsv1.CustomResourceDefinition) { describe(c, "") }, "remove it"},
		"is being deleted": {func(c *apiextensionsv1.CustomResourceDefinition) { c.DeletionTimestamp = &metav1.Time{} }, "being deleted"},
		"converts": {func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Conversion.Strategy = apiextensionsv1.WebhookConverter
		}, "spec.conversion.strategy"},
		"is not established": {func(c *apiextensionsv1.CustomResourceDefinition) { c.Status.Conditions = nil }, "not established"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crd := definitionOf(groups[0], "HTTPRoute", "httproutes", "v1", sideDoor)
			describe(crd, sideDoorMark)
			tt.change(crd)
			err := checkDefinition(crd)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	plain := definitionOf(groups[0], "HTTPRoute", "httproutes", "v1", sideDoor)
	if hasDoor(plain) {
		t.Error("a version that somebody else has added counts as the side door")
	}
	describe(plain, sideDoorMark)
	if !hasDoor(plain) {
		t.Error("the side door isn't found")
	}
}

func describe(crd *apiextensionsv1.CustomResourceDefinition, description string) {
	crd.Spec.Versions[1].Schema.OpenAPIV3Schema.Description = description
}
