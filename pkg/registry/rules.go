package registry

import (
	"context"
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retained"
)

// rulesOf are the rules by which objects are validated that clients write in version v of a kind.
func rulesOf(v, hub apis.Version, channel crd.Channel) Rules {
	if sameShape(v, hub) {
		return crd.NewRules(channel, v.GroupVersionKind, hub.GroupVersionKind)
	}
	return convertedRules{
		version: v.GroupVersion(),
		own:     crd.NewRules(channel, v.GroupVersionKind, v.GroupVersionKind),
		hub:     crd.NewRules(channel, hub.GroupVersionKind, hub.GroupVersionKind),
	}
}

// sameShape says that the spec of an object has the same fields in both versions.
func sameShape(v, hub apis.Version) bool {
	return v.GroupVersionKind == hub.GroupVersionKind || specType(v).ConvertibleTo(specType(hub))
}

func specType(v apis.Version) reflect.Type {
	spec, _ := reflect.TypeOf(v.New()).Elem().FieldByName("Spec")
	return spec.Type
}

// convertedRules validates objects as clients see them in a version of another shape: the field paths in errors are
// those of that version.
type convertedRules struct {
	version schema.GroupVersion
	own     Rules
	hub     Rules
}

func (r convertedRules) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	seen, err := r.convert(obj)
	if err != nil {
		return err
	}
	errs := append(refusals(seen), r.own.Validate(ctx, seen)...)
	if len(errs) == 0 && retained.Hidden(seen.(metav1.Object)) {
		errs = r.hub.Validate(ctx, obj)
	}
	return errs
}

func (r convertedRules) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	seen, oldSeen, err := r.convertBoth(obj, old)
	if err != nil {
		return err
	}
	var errs field.ErrorList
	if len(refusals(oldSeen)) == 0 {
		errs = refusals(seen)
	}
	errs = append(errs, r.own.ValidateUpdate(ctx, seen, oldSeen)...)
	if len(errs) == 0 && retained.Hidden(seen.(metav1.Object)) {
		errs = r.hub.ValidateUpdate(ctx, obj, old)
	}
	return errs
}

func (r convertedRules) ValidateStatusUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	seen, oldSeen, err := r.convertBoth(obj, old)
	if err != nil {
		return err
	}
	return r.own.ValidateStatusUpdate(ctx, seen, oldSeen)
}

// refusals are what a version says of its own objects that can't be converted safely.
func refusals(seen runtime.Object) field.ErrorList {
	if refuser, ok := seen.(interface{ Refusals() field.ErrorList }); ok {
		return refuser.Refusals()
	}
	return nil
}

func (r convertedRules) convert(obj runtime.Object) (runtime.Object, field.ErrorList) {
	converted, err := apis.Scheme.ConvertToVersion(obj, r.version)
	if err != nil {
		return nil, field.ErrorList{field.InternalError(nil, err)}
	}
	return converted, nil
}

func (r convertedRules) convertBoth(obj, old runtime.Object) (seen, oldSeen runtime.Object, err field.ErrorList) {
	if seen, err = r.convert(obj); err != nil {
		return nil, nil, err
	}
	oldSeen, err = r.convert(old)
	return seen, oldSeen, err
}

// warner is a version with fields that have no effect.
type warner interface{ Warnings() []string }

// warningsOf says what whoever writes an object in version v of a kind should know.
func warningsOf(v, hub apis.Version, channel crd.Channel, modelled bool) func(context.Context, runtime.Object) []string {
	var warn []func(context.Context, runtime.Object) []string
	if !modelled {
		unimplemented := fmt.Sprintf("%s is validated and stored, but this server does not act on it", v.Kind)
		warn = append(warn, func(context.Context, runtime.Object) []string { return []string{unimplemented} })
	}
	if s := crd.Lookup(v.GroupVersionKind); !s.Same(crd.Lookup(hub.GroupVersionKind)) {
		rules := crd.NewRules(channel, hub.GroupVersionKind, hub.GroupVersionKind)
		warn = append(warn, func(ctx context.Context, obj runtime.Object) (warnings []string) {
			for _, err := range rules.Validate(ctx, obj) {
				if crd.IsIncomplete(err) {
					continue
				}
				warnings = append(warnings, fmt.Sprintf("in %s this %s is not valid, and can be changed in other fields only: %v", hub.GroupVersion(), hub.Kind, err))
			}
			return warnings
		})
	}
	if _, ok := v.New().(warner); ok {
		warn = append(warn, func(_ context.Context, obj runtime.Object) []string {
			seen, err := apis.Scheme.ConvertToVersion(obj, v.GroupVersion())
			if err != nil {
				return nil // the response, which is converted too, will tell
			}
			return seen.(warner).Warnings()
		})
	}
	return func(ctx context.Context, obj runtime.Object) (warnings []string) {
		for _, w := range warn {
			warnings = append(warnings, w(ctx, obj)...)
		}
		return warnings
	}
}
