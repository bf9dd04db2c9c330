package openapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/openapi"
)

// objects returns one object of each served version of a kind. Lists that merge by key have entries.
func objects(t *testing.T) map[schema.GroupVersionKind]runtime.Object {
	t.Helper()
	contents := map[schema.GroupVersionKind]runtime.Object{
		apis.GatewayV1.WithKind("Gateway"): &gatewayv1.Gateway{Spec: gatewayv1.GatewaySpec{
			Listeners: []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: "HTTP"}},
		}},
		apis.GatewayV1.WithKind("HTTPRoute"): &gatewayv1.HTTPRoute{Spec: gatewayv1.HTTPRouteSpec{
			Rules: []gatewayv1.HTTPRouteRule{{
				Matches: []gatewayv1.HTTPRouteMatch{{
					Headers: []gatewayv1.HTTPHeaderMatch{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}},
				}},
				Timeouts: &gatewayv1.HTTPRouteTimeouts{Request: new(gatewayv1.Duration("1s"))}, // newer than v1alpha2
			}},
		}},
		apis.GatewayV1.WithKind("ReferenceGrant"): &gatewayv1.ReferenceGrant{Spec: gatewayv1.ReferenceGrantSpec{
			From: []gatewayv1.ReferenceGrantFrom{{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: "default"}},
		}},
		apis.GatewayV1.WithKind("ListenerSet"): &gatewayv1.ListenerSet{Spec: gatewayv1.ListenerSetSpec{
			Listeners: []gatewayv1.ListenerEntry{{Name: "a", Protocol: "HTTP"}, {Name: "b", Port: 80, Protocol: "HTTP"}},
		}},
		apis.GatewayV1.WithKind("BackendTLSPolicy"): &gatewayv1.BackendTLSPolicy{Spec: gatewayv1.BackendTLSPolicySpec{
			Options: map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{"a": "b"},
		}},
		apis.GatewayXV1alpha1.WithKind("XBackendTrafficPolicy"): &gatewayxv1alpha1.XBackendTrafficPolicy{
			Spec: gatewayxv1alpha1.BackendTrafficPolicySpec{
				TargetRefs: []gatewayv1.LocalPolicyTargetReference{{Kind: "Service", Name: "a"}, {Kind: "Service", Name: "b"}},
			},
		},
		corev1.SchemeGroupVersion.WithKind("Service"): &corev1.Service{Spec: corev1.ServiceSpec{
			Ports: []corev1.ServicePort{{Name: "a", Port: 80, Protocol: "TCP"}, {Name: "b", Port: 80, Protocol: "UDP"}},
		}},
		corev1.SchemeGroupVersion.WithKind("Secret"):    &corev1.Secret{Data: map[string][]byte{"a": {1}}},
		corev1.SchemeGroupVersion.WithKind("ConfigMap"): &corev1.ConfigMap{Data: map[string]string{"a": "b"}},
		corev1.SchemeGroupVersion.WithKind("Event"):     &corev1.Event{Reason: "Tested"},
		discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"): &discoveryv1.EndpointSlice{
			AddressType: "IPv4", Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}},
		},
	}
	all := map[schema.GroupVersionKind]runtime.Object{}
	for _, kind := range slices.Concat(apis.DefinedKinds, apis.CoreKinds) {
		hub := contents[kind.Hub().GroupVersionKind]
		if hub == nil {
			hub = kind.Hub().New()
		}
		hub.(metav1.Object).SetName("a")
		hub.(metav1.Object).SetLabels(map[string]string{"a": "b"})
		all[kind.Hub().GroupVersionKind] = hub
		for _, version := range kind[1:] {
			obj := version.New()
			if err := apis.Scheme.Convert(hub, obj, nil); err != nil {
				t.Fatal(err)
			}
			all[version.GroupVersionKind] = obj
		}
	}
	for gvk, obj := range all {
		obj.GetObjectKind().SetGroupVersionKind(gvk)
	}
	return all
}

// typeNames returns the names by which the server asks for the definitions of the served kinds.
func typeNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for gvk := range objects(t) {
		obj, err := apis.Scheme.New(gvk)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, util.GetCanonicalTypeName(obj))
	}
	return names
}

func buildV3(t *testing.T) map[string]*spec.Schema {
	t.Helper()
	name := openapi.DefinitionName(apis.VersionedScheme)
	schemas, err := builder3.BuildOpenAPIDefinitionsForResources(&common.OpenAPIV3Config{
		Info:              &spec.Info{},
		DefaultResponse:   &spec3.Response{},
		GetDefinitionName: name,
		Definitions: openapi.GetOpenAPIDefinitions(func(path string) spec.Ref {
			name, _ := name(path)
			return spec.MustCreateRef("#/components/schemas/" + common.EscapeJsonPointer(name))
		}),
	}, typeNames(t)...)
	if err != nil {
		t.Fatal(err)
	}
	return schemas
}

// TestServed holds that the objects of this test are all that is served.
func TestServed(t *testing.T) {
	t.Parallel()
	all := objects(t)
	for gvk := range apis.VersionedScheme.AllKnownTypes() {
		if obj, err := apis.VersionedScheme.New(gvk); err != nil {
			t.Error(err)
		} else if _, ok := obj.(metav1.Object); ok && all[gvk] == nil {
			t.Errorf("%v is not tested", gvk)
		}
	}
}

// TestServerSideApply holds that every kind has a type to merge by: objects convert to it and back unharmed.
func TestServerSideApply(t *testing.T) {
	t.Parallel()
	converter, err := managedfields.NewTypeConverter(buildV3(t), false)
	if err != nil {
		t.Fatal(err)
	}
	for gvk, obj := range objects(t) {
		t.Run(gvk.String(), func(t *testing.T) {
			t.Parallel()
			obj.GetObjectKind().SetGroupVersionKind(gvk)
			typed, err := converter.ObjectToTyped(obj)
			if err != nil {
				t.Fatal(err)
			}
			back, err := converter.TypedToObject(typed)
			if err != nil {
				t.Fatal(err)
			}
			want, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
			if err != nil {
				t.Fatal(err)
			}
			got, err := runtime.DefaultUnstructuredConverter.ToUnstructured(back)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestListTypes holds that server-side apply merges lists by the keys that the specification gives them.
func TestListTypes(t *testing.T) {
	t.Parallel()
	schemas := buildV3(t)
	for _, test := range []struct {
		definition, property string
		listType             string
		keys                 []any
	}{
		{"io.k8s.sigs.gateway-api.apis.v1.GatewaySpec", "listeners", "map", []any{"name"}},
		{"io.k8s.sigs.gateway-api.apis.v1.GatewaySpec", "addresses", "atomic", nil},
		{"io.k8s.sigs.gateway-api.apis.v1.GatewayStatus", "conditions", "map", []any{"type"}},
		{"io.k8s.sigs.gateway-api.apis.v1.HTTPRouteSpec", "rules", "atomic", nil},
		{"io.k8s.sigs.gateway-api.apis.v1.HTTPRouteMatch", "headers", "map", []any{"name"}},
		{"io.k8s.sigs.gateway-api.apis.v1.HTTPHeaderFilter", "remove", "set", nil},
		{"io.k8s.sigs.gateway-api.apisx.v1alpha1.BackendTrafficPolicySpec", "targetRefs", "map", []any{"group", "kind", "name"}},
		{"com.github.gateway-apiserver.gateway-apiserver.pkg.apis.gateway.v1alpha2.BackendLBPolicySpec", "targetRefs", "map", []any{"group", "kind", "name"}},
		{"com.github.gateway-apiserver.gateway-apiserver.pkg.apis.gatewayx.v1alpha1.ListenerSetSpec", "listeners", "map", []any{"name"}},
		{"io.k8s.api.core.v1.ServiceSpec", "ports", "map", []any{"port", "protocol"}},
		{"io.k8s.api.discovery.v1.EndpointSlice", "endpoints", "atomic", nil},
	} {
		property, ok := schemas[test.definition].Properties[test.property]
		if !ok {
			t.Errorf("%s has no %s", test.definition, test.property)
			continue
		}
		if got := property.Extensions["x-kubernetes-list-type"]; got != test.listType {
			t.Errorf("%s.%s merges as %v, expected %v", test.definition, test.property, got, test.listType)
		}
		keys, _ := property.Extensions["x-kubernetes-list-map-keys"].([]any)
		if diff := cmp.Diff(test.keys, keys); diff != "" {
			t.Errorf("%s.%s: keys (-want +got):\n%s", test.definition, test.property, diff)
		}
	}
}

// TestGroupVersionKinds holds that clients find every kind and its list in both versions of OpenAPI.
func TestGroupVersionKinds(t *testing.T) {
	t.Parallel()
	v2, err := builder.BuildOpenAPIDefinitionsForResources(&common.Config{
		Info:              &spec.Info{},
		GetDefinitionName: openapi.DefinitionName(apis.VersionedScheme),
		GetDefinitions:    openapi.GetOpenAPIDefinitions,
	}, typeNames(t)...)
	if err != nil {
		t.Fatal(err)
	}
	v3 := buildV3(t)
	for gvk, obj := range objects(t) {
		name, err := apis.VersionedScheme.ToOpenAPIDefinitionName(gvk)
		if err != nil {
			t.Fatal(err)
		}
		want := []any{map[string]any{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind}}
		definition, ok := v2.Definitions[name]
		if !ok || v3[name] == nil {
			t.Errorf("%T: no definition %s", obj, name)
			continue
		}
		for version, extensions := range map[string]spec.Extensions{"v2": definition.Extensions, "v3": v3[name].Extensions} {
			if diff := cmp.Diff(want, extensions["x-kubernetes-group-version-kind"]); diff != "" {
				t.Errorf("%s, %s: (-want +got):\n%s", name, version, diff)
			}
		}
	}
}

// TestDescriptions holds that `kubectl explain` has something to say about every kind and its fields, and about every
// field of the types that are declared here.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	schemas, described := buildV3(t), map[string]bool{}
	for gvk := range objects(t) {
		name, err := apis.VersionedScheme.ToOpenAPIDefinitionName(gvk)
		if err != nil {
			t.Fatal(err)
		}
		described[name] = true
	}
	for name := range schemas {
		if strings.HasPrefix(name, "com.github.gateway-apiserver.") {
			described[name] = true
		}
	}
	for name := range described {
		if schemas[name].Description == "" {
			t.Errorf("%s has no description", name)
		}
		for property, field := range schemas[name].Properties {
			if field.Description == "" && property != "metadata" {
				t.Errorf("%s.%s has no description", name, property)
			}
		}
	}
}

// TestMarkers holds that descriptions are for users: without what upstream tells its generator and other implementations.
func TestMarkers(t *testing.T) {
	t.Parallel()
	var look func(path string, schema spec.Schema)
	look = func(path string, schema spec.Schema) {
		if strings.Contains(schema.Description, "gateway:") {
			t.Errorf("%s: %s", path, schema.Description)
		}
		for name, property := range schema.Properties {
			look(path+"."+name, property)
		}
		if schema.Items != nil && schema.Items.Schema != nil {
			look(path+"[]", *schema.Items.Schema)
		}
	}
	schemas := buildV3(t)
	for name, schema := range schemas {
		look(name, *schema)
	}
}
