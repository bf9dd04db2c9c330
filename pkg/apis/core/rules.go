package core

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// KindRules validates the objects of one kind. Errors have the paths, types and wording of kube-apiserver.
type KindRules struct {
	namespaced bool
	name       validation.ValidateNameFunc

	// Each is nil if there is nothing to check: any object that is written, what a change may change, and the status
	// that a client writes.
	object func(obj runtime.Object) field.ErrorList
	change func(obj, old runtime.Object) field.ErrorList
	status func(obj runtime.Object) field.ErrorList
}

var rules = map[string]KindRules{
	"Namespace": {
		name:   validation.ValidateNamespaceName,
		status: of(validateNamespaceStatus),
	},
	"Service": {
		namespaced: true,
		name:       validation.NameIsDNS1035Label,
		object:     of(validateService),
		change:     change(validateServiceChange),
		status:     of(validateServiceStatus),
	},
	"Secret": {
		namespaced: true,
		name:       validation.NameIsDNSSubdomain,
		object:     of(validateSecret),
		change:     change(validateSecretChange),
	},
	"ConfigMap": {
		namespaced: true,
		name:       validation.NameIsDNSSubdomain,
		object:     of(validateConfigMap),
		change:     change(validateConfigMapChange),
	},
	"Event": {
		namespaced: true,
		name:       validation.NameIsDNSSubdomain,
		object:     of(validateEvent),
	},
	"EndpointSlice": {
		namespaced: true,
		name:       validation.NameIsDNSSubdomain,
		object:     of(validateEndpointSlice),
		change:     change(validateEndpointSliceChange),
	},
}

// Rules returns the rules of one of this package's kinds; asking for another is a mistake of the program.
func Rules(kind string) KindRules {
	r, ok := rules[kind]
	if !ok {
		panic(fmt.Sprintf("no rules for kind %q", kind))
	}
	return r
}

// of and change make functions of one type usable for any object.

func of[T runtime.Object](f func(T) field.ErrorList) func(runtime.Object) field.ErrorList {
	return func(obj runtime.Object) field.ErrorList { return f(obj.(T)) }
}

func change[T runtime.Object](f func(obj, old T) field.ErrorList) func(obj, old runtime.Object) field.ErrorList {
	return func(obj, old runtime.Object) field.ErrorList { return f(obj.(T), old.(T)) }
}

// Validate checks a new object, which has its defaults.
func (r KindRules) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return field.ErrorList{field.InternalError(field.NewPath("metadata"), err)}
	}
	errs := validation.ValidateObjectMetaAccessor(accessor, r.namespaced, r.name, field.NewPath("metadata"))
	if r.object != nil {
		errs = append(errs, r.object(obj)...)
	}
	return errs
}

// ValidateUpdate checks an object that replaces old. Metadata is left to rest.BeforeUpdate, which checks it for every
// kind.
func (r KindRules) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	var errs field.ErrorList
	if r.object != nil {
		errs = append(errs, r.object(obj)...)
	}
	if r.change != nil {
		errs = append(errs, r.change(obj, old)...)
	}
	return errs
}

// ValidateStatusUpdate checks the status that a client wrote to the status subresource.
func (r KindRules) ValidateStatusUpdate(_ context.Context, obj, _ runtime.Object) field.ErrorList {
	if r.status == nil {
		return nil
	}
	return r.status(obj)
}
