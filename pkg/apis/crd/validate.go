package crd

import (
	"context"
	"reflect"
	"slices"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// part is a part of an object that is validated by itself.
type part struct {
	field string // of the Go type
	key   string // in JSON
}

var (
	specPart   = part{"Spec", "spec"}
	statusPart = part{"Status", "status"}
)

func (p part) of(obj runtime.Object) reflect.Value {
	return reflect.ValueOf(obj).Elem().FieldByName(p.field)
}

// part returns the schema of a part. It must not be changed.
func (s *Schema) part(part part) *structuralschema.Structural {
	schema := s.structure.parse().structural.Properties[part.key]
	return &schema
}

// Validate checks the metadata and spec of a new object, which has its defaults: metadata, schema, list types, CEL.
func (s *Schema) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return field.ErrorList{field.InternalError(field.NewPath("metadata"), err)}
	}
	errs := apivalidation.ValidateObjectMetaAccessor(accessor, s.Namespaced(), apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if s.accepts != nil && s.accepts(specPart.of(obj).Addr().Interface()) {
		if err := blocking(errs); err != nil {
			errs = append(errs, err) // as kube-apiserver says it
		}
		return errs
	}
	content, err := s.content(obj, specPart)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	v := s.structure.parse().validators(specPart)
	errs = append(errs, validation.ValidateCustomResource(nil, content, v.schema)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structural, content)...)
	if err := blocking(errs); err != nil {
		return append(errs, err)
	}
	celErrs, _ := v.cel().Validate(ctx, nil, v.structural, content, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, celErrs...)
}

// ValidateUpdate checks the spec of an object that replaces old. As for custom resources, what was invalid before and
// has not changed is not an error (ratcheting), and besides, nothing that is missing as before is one. Metadata is left to rest.BeforeUpdate, which checks it for every kind.
func (s *Schema) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	if s.accepts != nil && s.accepts(specPart.of(obj).Addr().Interface()) && !s.structure.parse().transitions {
		return nil
	}
	return s.validateUpdate(ctx, obj, old, specPart)
}

// ValidateStatusUpdate checks the status that a client wrote to the status subresource, with ratcheting.
func (s *Schema) ValidateStatusUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return s.validateUpdate(ctx, obj, old, statusPart)
}

// validateUpdate validates the change of one part of an object; the other part is left out. An unchanged part has no
// errors that ratcheting would keep, and most writes of metadata leave it unchanged.
func (s *Schema) validateUpdate(ctx context.Context, obj, old runtime.Object, part part) field.ErrorList {
	if equality.Semantic.DeepEqual(part.of(obj).Interface(), part.of(old).Interface()) {
		return nil
	}
	content, err := s.content(obj, part)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	oldContent, err := s.content(old, part)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	v := s.structure.parse().validators(part)
	correlated := common.NewCorrelatedObject(content, oldContent, &model.Structural{Structural: v.structural})
	var errs field.ErrorList
	if part == specPart {
		errs = validation.ValidateCustomResourceUpdate(nil, content, oldContent, v.schema, validation.WithRatcheting(correlated))
		errs = forgiveMissing(errs, func() field.ErrorList { return validation.ValidateCustomResource(nil, oldContent, v.schema) })
	} else if written, ok := content[part.key]; ok {
		errs = validation.ValidateCustomResourceUpdate(field.NewPath(part.key), written, oldContent[part.key], v.schema,
			validation.WithRatcheting(correlated.Key(part.key)))
	}
	if len(listtype.ValidateListSetsAndMaps(nil, v.structural, oldContent)) == 0 {
		errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structural, content)...)
	}
	if err := blocking(errs); err != nil {
		return append(errs, err)
	}
	celErrs, _ := v.cel().Validate(ctx, nil, v.structural, content, oldContent, celconfig.RuntimeCELCostBudget, cel.WithRatcheting(correlated))
	return append(errs, celErrs...)
}

// forgiveMissing drops the errors about required fields that were missing before, too. The library forgives what is wrong
// in an unchanged value, and a missing field makes the value around it wrong: it would refuse every change of a TLSRoute
// without hostnames.
func forgiveMissing(errs field.ErrorList, before func() field.ErrorList) field.ErrorList {
	isMissing := func(err *field.Error) bool { return err.Type == field.ErrorTypeRequired }
	if !slices.ContainsFunc(errs, isMissing) {
		return errs
	}
	forgiven := sets.New[string]()
	for _, err := range before() {
		if isMissing(err) {
			forgiven.Insert(err.Field)
		}
	}
	return slices.DeleteFunc(errs, func(err *field.Error) bool { return isMissing(err) && forgiven.Has(err.Field) })
}

// content returns obj as a JSON value: its type, the metadata that CEL rules can see, and one part, if that has a value.
func (s *Schema) content(obj runtime.Object, part part) (map[string]any, error) {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return nil, err
	}
	metadata := map[string]any{"name": accessor.GetName()}
	if generateName := accessor.GetGenerateName(); generateName != "" {
		metadata["generateName"] = generateName
	}
	content := map[string]any{
		"apiVersion": s.gvk.GroupVersion().String(),
		"kind":       s.gvk.Kind,
		"metadata":   metadata,
	}
	value := part.of(obj)
	if part == statusPart && value.IsZero() {
		return content, nil
	}
	content[part.key], err = runtime.DefaultUnstructuredConverter.ToUnstructured(value.Addr().Interface())
	if err != nil {
		return nil, err
	}
	// A nil list is null in JSON, which is not a list. Custom resources lose their nulls when they are decoded.
	defaulting.PruneNonNullableNullsWithoutDefaults(content, s.structure.parse().structural)
	if backend, ok := obj.(*gatewayxv1alpha1.XBackend); ok && part == specPart && backend.Spec.TLS != nil {
		leaveOutValidation(backend.Spec.TLS, content)
	}
	if part == statusPart {
		restoreLists(content[part.key], s.part(part))
	}
	return content, nil
}

// leaveOutValidation removes spec.tls.validation of an XBackend, which is optional, if nothing of it is set: its Go type is no
// pointer, so that it is in JSON always, and without a hostname it is invalid.
func leaveOutValidation(tls *gatewayxv1alpha1.BackendTLS, content map[string]any) {
	if reflect.ValueOf(tls.Validation).IsZero() {
		unstructured.RemoveNestedField(content, specPart.key, "tls", "validation")
	}
}

// incomplete is the detail of an error that says that there may be more of them.
const incomplete = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"

// IsIncomplete says whether err, one of several, only says that there may be more.
func IsIncomplete(err *field.Error) bool { return err.Detail == incomplete }

// blocking returns an error to add if one of errs means that CEL rules, which assume values of the right types and of
// bounded sizes, may be unable to run. Which errors these are is kube-apiserver's rule for custom resources.
func blocking(errs field.ErrorList) *field.Error {
	for _, err := range errs {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return field.Invalid(nil, nil, incomplete)
		}
	}
	return nil
}
