package accept_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// oracle is the official libraries, on the way that custom resources take.
type oracle struct {
	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	cel        *cel.Validator
}

func newOracle(t testing.TB, s *crd.Schema) *oracle {
	t.Helper()
	data, err := json.Marshal(s.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	v1, props := &apiextensionsv1.JSONSchemaProps{}, &apiextensions.JSONSchemaProps{}
	if err := json.Unmarshal(data, v1); err != nil {
		t.Fatal(err)
	}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v1, props, nil); err != nil {
		t.Fatal(err)
	}
	// Status is not looked at, so its rules need not be compiled.
	delete(props.Properties, "status")
	props.Required = slices.DeleteFunc(props.Required, func(name string) bool { return name == "status" })
	o := &oracle{}
	if o.structural, err = structuralschema.NewStructural(props); err != nil {
		t.Fatal(err)
	}
	if o.schema, _, err = validation.NewSchemaValidator(props); err != nil {
		t.Fatal(err)
	}
	o.cel = cel.NewValidator(o.structural, true, celconfig.PerCallLimit)
	return o
}

// errors returns what the libraries have against a spec, which is a pointer to a struct, as Go encodes it.
func (o *oracle) errors(t testing.TB, spec any) field.ErrorList {
	t.Helper()
	return o.errorsOf(t, encode(t, spec))
}

// errorsAsSent is errors for a spec as a user sends it: without the validation of an XBackend, which is optional but no
// pointer, if nothing in it is set. (Predicates may refuse such a spec, since the libraries have the last word.)
func (o *oracle) errorsAsSent(t testing.TB, spec any) field.ErrorList {
	t.Helper()
	value := encode(t, spec)
	if backend, ok := spec.(*gatewayxv1alpha1.BackendSpec); ok && backend.TLS != nil && reflect.ValueOf(backend.TLS.Validation).IsZero() {
		unstructured.RemoveNestedField(value, "tls", "validation")
	}
	return o.errorsOf(t, value)
}

func encode(t testing.TB, spec any) map[string]any {
	t.Helper()
	value, err := runtime.DefaultUnstructuredConverter.ToUnstructured(spec)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// errorsOf asks the libraries. As for custom resources, CEL rules don't run beside errors that they may be unable to cope
// with.
func (o *oracle) errorsOf(t testing.TB, value map[string]any) field.ErrorList {
	t.Helper()
	object := map[string]any{"metadata": map[string]any{"name": "name"}, "spec": value}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, o.structural)
	errs := validation.ValidateCustomResource(nil, object, o.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, o.structural, object)...)
	for _, err := range errs {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return append(errs, field.Invalid(nil, nil, "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"))
		}
	}
	celErrs, _ := o.cel.Validate(t.Context(), nil, o.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, celErrs...)
}

// withoutRules returns an oracle that knows no CEL rules.
func (o *oracle) withoutRules() *oracle { return &oracle{structural: o.structural, schema: o.schema} }
