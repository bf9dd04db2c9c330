package crd_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// deprecated is upstream's text.
func deprecated(version, kind, successor string) string {
	return "The " + version + " version of " + kind + " has been deprecated and will be removed in a future release of the API. Please upgrade to " + successor + "."
}

func TestLookup(t *testing.T) {
	t.Parallel()
	const (
		k8s = "gateway.networking.k8s.io"
		x   = "gateway.networking.x-k8s.io"
	)
	served := crd.Served()
	for _, test := range []struct {
		gvk        schema.GroupVersionKind
		plural     string
		short      string
		namespaced bool
		status     bool
		standard   bool
		columns    []string
		warning    string
	}{
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "GatewayClass"}, "gatewayclasses", "gc", false, true, true, []string{"Name", "Controller", "Accepted", "Age", "Description"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1beta1", Kind: "GatewayClass"}, "gatewayclasses", "gc", false, true, true, []string{"Name", "Controller", "Accepted", "Age", "Description"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "GatewayClass"}, "gatewayclasses", "gc", false, true, true, []string{"Name", "Controller", "Accepted", "Age", "Description"}, deprecated("v1alpha2", "GatewayClass", "v1beta1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "Gateway"}, "gateways", "gtw", true, true, true, []string{"Name", "Class", "Address", "Programmed", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1beta1", Kind: "Gateway"}, "gateways", "gtw", true, true, true, []string{"Name", "Class", "Address", "Programmed", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "Gateway"}, "gateways", "gtw", true, true, true, []string{"Name", "Class", "Address", "Programmed", "Age"}, deprecated("v1alpha2", "Gateway", "v1beta1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "HTTPRoute"}, "httproutes", "", true, true, true, []string{"Name", "Hostnames", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1beta1", Kind: "HTTPRoute"}, "httproutes", "", true, true, true, []string{"Name", "Hostnames", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "HTTPRoute"}, "httproutes", "", true, true, true, []string{"Name", "Hostnames", "Age"}, deprecated("v1alpha2", "HTTPRoute", "v1beta1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "GRPCRoute"}, "grpcroutes", "", true, true, true, []string{"Name", "Hostnames", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "GRPCRoute"}, "grpcroutes", "", true, true, true, []string{"Name", "Hostnames", "Age"}, deprecated("v1alpha2", "GRPCRoute", "v1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "TLSRoute"}, "tlsroutes", "", true, true, true, []string{"Name", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha3", Kind: "TLSRoute"}, "tlsroutes", "", true, true, true, []string{"Name", "Age"}, deprecated("v1alpha3", "TLSRoute", "v1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "TLSRoute"}, "tlsroutes", "", true, true, true, []string{"Name", "Age"}, deprecated("v1alpha2", "TLSRoute", "v1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "TCPRoute"}, "tcproutes", "", true, true, true, []string{"Name", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "TCPRoute"}, "tcproutes", "", true, true, true, []string{"Name", "Age"}, deprecated("v1alpha2", "TCPRoute", "v1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "UDPRoute"}, "udproutes", "", true, true, true, []string{"Name", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "UDPRoute"}, "udproutes", "", true, true, true, []string{"Name", "Age"}, deprecated("v1alpha2", "UDPRoute", "v1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "ReferenceGrant"}, "referencegrants", "refgrant", true, false, true, []string{"Name", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1beta1", Kind: "ReferenceGrant"}, "referencegrants", "refgrant", true, false, true, []string{"Name", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "ReferenceGrant"}, "referencegrants", "refgrant", true, false, true, []string{"Name", "Age"}, deprecated("v1alpha2", "ReferenceGrant", "v1beta1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "BackendTLSPolicy"}, "backendtlspolicies", "btlspolicy", true, true, true, []string{"Name", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha3", Kind: "BackendTLSPolicy"}, "backendtlspolicies", "btlspolicy", true, true, true, []string{"Name", "Age"}, deprecated("v1alpha3", "BackendTLSPolicy", "v1")},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "BackendTLSPolicy"}, "backendtlspolicies", "btlspolicy", true, true, false, []string{"Name", "Age"}, "The v1alpha2 version of BackendTLSPolicy has been removed in release v1.1.0 of the API. Please upgrade to v1."},
		{schema.GroupVersionKind{Group: k8s, Version: "v1", Kind: "ListenerSet"}, "listenersets", "lset", true, true, true, []string{"Name", "Accepted", "Programmed", "Age"}, ""},
		{schema.GroupVersionKind{Group: k8s, Version: "v1alpha2", Kind: "BackendLBPolicy"}, "backendlbpolicies", "blbpolicy", true, true, false, []string{"Name", "Age"}, "The v1alpha2 version of BackendLBPolicy has been removed in release v1.3.0 of the API. Please upgrade to gateway.networking.x-k8s.io/v1alpha1 XBackendTrafficPolicy."},
		{schema.GroupVersionKind{Group: x, Version: "v1alpha1", Kind: "XBackend"}, "xbackends", "xbackend", true, true, false, []string{"Name", "Age"}, ""},
		{schema.GroupVersionKind{Group: x, Version: "v1alpha1", Kind: "XBackendTrafficPolicy"}, "xbackendtrafficpolicies", "xbtrafficpolicy", true, true, false, []string{"Name", "Age"}, ""},
		{schema.GroupVersionKind{Group: x, Version: "v1alpha1", Kind: "XListenerSet"}, "xlistenersets", "lset", true, true, false, []string{"Name", "Accepted", "Programmed", "Age"}, "The v1alpha1 version of XListenerSet has been removed in release v1.5.0 of the API. Please upgrade to gateway.networking.k8s.io/v1 ListenerSet."},
		{schema.GroupVersionKind{Group: "gateway-apiserver.dev", Version: "v1alpha1", Kind: "EnvoyFleet"}, "envoyfleets", "fleet", true, true, true, []string{"Name", "Accepted", "Gateways", "Age"}, ""},
		{schema.GroupVersionKind{Group: "gateway-apiserver.dev", Version: "v1alpha1", Kind: "EnvoyNode"}, "envoynodes", "enode", false, false, true, []string{"Name", "Node", "Scope", "Version", "Current", "Rejections", "Since", "Identity", "Protocol", "Replica"}, ""},
		{schema.GroupVersionKind{Group: x, Version: "v1alpha1", Kind: "XMesh"}, "xmeshes", "mesh", false, true, false, []string{"Name", "Accepted", "Age"}, ""},
	} {
		if !served.Has(test.gvk) {
			t.Errorf("%v is not served", test.gvk)
			continue
		}
		served.Delete(test.gvk)
		t.Run(test.gvk.String(), func(t *testing.T) {
			t.Parallel()
			s := crd.Lookup(test.gvk)
			names := s.Names()
			if names.Kind != test.gvk.Kind || names.Plural != test.plural || strings.Join(names.ShortNames, ",") != test.short || slices.Contains(names.Categories, "gateway-api") == (test.plural == "envoynodes") {
				t.Errorf("names %+v", names)
			}
			if s.Namespaced() != test.namespaced {
				t.Errorf("namespaced %v, expected %v", s.Namespaced(), test.namespaced)
			}
			if s.HasStatus() != test.status {
				t.Errorf("status %v, expected %v", s.HasStatus(), test.status)
			}
			if (crd.Standard(test.gvk) != nil) != test.standard {
				t.Errorf("in the standard channel: %v, expected %v", !test.standard, test.standard)
			}
			if diff := cmp.Diff(test.warning, s.DeprecationWarning()); diff != "" {
				t.Errorf("deprecation (-want +got):\n%s", diff)
			}
			obj, err := apis.Scheme.New(test.gvk)
			if err != nil {
				t.Fatal(err)
			}
			table, err := s.Columns().ConvertToTable(t.Context(), obj, nil)
			if err != nil {
				t.Fatal(err)
			}
			var columns []string
			for _, column := range table.ColumnDefinitions {
				columns = append(columns, column.Name)
			}
			if diff := cmp.Diff(test.columns, columns); diff != "" {
				t.Errorf("columns (-want +got):\n%s", diff)
			}
		})
	}
	for gvk := range served {
		t.Errorf("%v is not expected", gvk)
	}
	service := schema.GroupVersionKind{Version: "v1", Kind: "Service"}
	if crd.Lookup(service) != nil || crd.Standard(service) != nil {
		t.Error("Service has a CustomResourceDefinition")
	}
}

// eachSchema runs a test for every kind and version in both channels.
func eachSchema(t *testing.T, run func(t *testing.T, gvk schema.GroupVersionKind, s *crd.Schema)) {
	for gvk := range crd.Served() {
		t.Run(gvk.String(), func(t *testing.T) {
			t.Parallel()
			run(t, gvk, crd.Lookup(gvk))
			if standard := crd.Standard(gvk); standard != nil && !standard.Same(crd.Lookup(gvk)) {
				run(t, gvk, standard)
			}
		})
	}
}

// TestSchemas holds that today's libraries take every schema as they take those of today: structure, defaults and rules.
func TestSchemas(t *testing.T) {
	t.Parallel()
	crd.Load()
	eachSchema(t, func(t *testing.T, _ schema.GroupVersionKind, s *crd.Schema) {
		structural := s.Structural()
		if errs := structuralschema.ValidateStructural(nil, structural); len(errs) > 0 {
			t.Errorf("structure: %v", errs.ToAggregate())
		}
		errs, err := defaulting.ValidateDefaults(t.Context(), nil, structural, true, true)
		if err != nil {
			t.Error(err)
		}
		if len(errs) > 0 {
			t.Errorf("defaults: %v", errs.ToAggregate())
		}
		if len(s.OpenAPI().Properties) != len(structural.Properties) {
			t.Errorf("OpenAPI has the properties %v", s.OpenAPI().Properties)
		}
		visitor := structuralschema.Visitor{Structural: func(s *structuralschema.Structural) bool {
			if len(s.XValidations) == 0 {
				return false
			}
			results, err := cel.Compile(s, model.SchemaDeclType(s, false), celconfig.PerCallLimit,
				environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), cel.StoredExpressionsEnvLoader())
			if err != nil {
				t.Error(err)
			}
			for i, result := range results {
				if result.Error != nil {
					t.Errorf("%s: %v", s.XValidations[i].Rule, result.Error)
				}
			}
			return false
		}}
		visitor.Visit(structural)
	})
}

// TestSame holds that schemas that are the same are parsed and compiled once.
func TestSame(t *testing.T) {
	t.Parallel()
	of := func(version, kind string) *crd.Schema {
		return crd.Lookup(schema.GroupVersionKind{Group: gatewayVersion.Group, Version: version, Kind: kind})
	}
	for name, same := range map[string][2]*crd.Schema{
		"versions": {of("v1", "HTTPRoute"), of("v1beta1", "HTTPRoute")},
		"kinds":    {of("v1", "TCPRoute"), of("v1", "UDPRoute")},
		"channels": {of("v1", "ListenerSet"), crd.Standard(gatewayVersion.WithKind("ListenerSet"))},
	} {
		if !same[0].Same(same[1]) {
			t.Errorf("%s differ", name)
		}
	}
	if of("v1", "HTTPRoute").Same(of("v1alpha2", "HTTPRoute")) || of("v1", "HTTPRoute").Same(crd.Standard(gatewayVersion.WithKind("HTTPRoute"))) {
		t.Error("schemas that differ are the same")
	}
}

// TestChannelsDefaultAlike holds that an object without experimental fields gets the same defaults in both channels. It
// always gets those of the experimental one: a default there that the standard schema lacks would be a field that nobody
// has asked for, and that the standard channel refuses.
func TestChannelsDefaultAlike(t *testing.T) {
	t.Parallel()
	var compare func(t *testing.T, path string, experimental, standard *structuralschema.Structural)
	compare = func(t *testing.T, path string, experimental, standard *structuralschema.Structural) {
		if !reflect.DeepEqual(experimental.Default, standard.Default) {
			t.Errorf("%s has the default %v, in the standard channel %v", path, experimental.Default.Object, standard.Default.Object)
		}
		for name, property := range standard.Properties {
			if _, ok := experimental.Properties[name]; !ok {
				t.Errorf("%s.%s is in the standard channel only", path, name)
			}
			other := experimental.Properties[name]
			compare(t, path+"."+name, &other, &property)
		}
		for name, property := range experimental.Properties {
			if _, ok := standard.Properties[name]; !ok && property.Default.Object != nil {
				t.Errorf("%s.%s is in the experimental channel only and has a default", path, name)
			}
		}
		if standard.Items != nil {
			compare(t, path+"[]", experimental.Items, standard.Items)
		}
		if standard.AdditionalProperties != nil && standard.AdditionalProperties.Structural != nil {
			compare(t, path+"{}", experimental.AdditionalProperties.Structural, standard.AdditionalProperties.Structural)
		}
	}
	for gvk := range crd.Served() {
		if standard := crd.Standard(gvk); standard != nil {
			t.Run(gvk.String(), func(t *testing.T) {
				t.Parallel()
				compare(t, "", crd.Lookup(gvk).Structural(), standard.Structural())
			})
		}
	}
}

// TestColumns holds that the columns have the values of a typed object, and of each in a list.
func TestColumns(t *testing.T) {
	t.Parallel()
	programmed := gateway(func(g *gatewayv1.Gateway) {
		g.Status.Addresses = []gatewayv1.GatewayStatusAddress{{Value: "10.0.0.1"}, {Value: "10.0.0.2"}}
		g.Status.Conditions = []metav1.Condition{{Type: "Accepted", Status: "False"}, {Type: "Programmed", Status: "True"}}
	})
	list := &gatewayv1.GatewayList{Items: []gatewayv1.Gateway{*programmed, *gateway(func(*gatewayv1.Gateway) {})}}
	table, err := lookup("Gateway").Columns().ConvertToTable(t.Context(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]any{{"gateway", "class", "10.0.0.1", "True", nil}, {"gateway", "class", nil, nil, nil}}
	for i, row := range table.Rows {
		if diff := cmp.Diff(want[i], row.Cells); diff != "" {
			t.Errorf("row %d (-want +got):\n%s", i, diff)
		}
	}
}
