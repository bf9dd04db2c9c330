package registry

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/handlers/fieldmanager"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retained"
)

// strategy is what happens to an object of any kind on the way to its store: prepare, validate, warn, render the status.
// Objects are of the hub's type; version is the one in which the client speaks of them.
type strategy struct {
	names.NameGenerator
	kind    *Kind
	version *Version
	model   Model // nil for kinds of which nothing is said
}

var (
	_ rest.RESTCreateStrategy  = strategy{}
	_ rest.RESTUpdateStrategy  = strategy{}
	_ rest.RESTDeleteStrategy  = strategy{}
	_ rest.ResetFieldsStrategy = strategy{}
)

// ObjectKinds says by which name errors speak of an object: that of the version, which the client knows.
func (s strategy) ObjectKinds(runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	return []schema.GroupVersionKind{s.version.GroupVersionKind}, false, nil
}

// Recognizes implements runtime.ObjectTyper.
func (s strategy) Recognizes(gvk schema.GroupVersionKind) bool { return s.kind.Serves(gvk) }

func (s strategy) NamespaceScoped() bool                         { return s.kind.Namespaced }
func (s strategy) AllowCreateOnUpdate(context.Context) bool      { return false }
func (s strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// GetResetFields says what is not the client's, so that server-side apply gives nobody the ownership of it: status, and
// what conversions keep in annotations.
func (s strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if !s.kind.hasStatus() {
		return s.reset()
	}
	return s.reset(fieldpath.MakePathOrDie("status"))
}

// reset is fields and the annotations of conversions, in each version of the kind.
func (s strategy) reset(fields ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	set := fieldpath.NewSet(fields...)
	for _, key := range retained.Keys {
		set.Insert(fieldpath.MakePathOrDie("metadata", "annotations", key))
	}
	sets := map[fieldpath.APIVersion]*fieldpath.Set{}
	for _, v := range s.kind.Versions {
		sets[fieldpath.APIVersion(v.GroupVersion().String())] = set
	}
	return sets
}

func (s strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	sent := s.sentStatus(ctx, obj)
	if s.kind.hasStatus() {
		statusOf(obj).SetZero()
	}
	if m, err := meta.Accessor(obj); err == nil {
		m.SetGeneration(0)
		if s.kind.Generation {
			m.SetGeneration(1)
		}
	}
	if s.kind.Prepare != nil {
		s.kind.Prepare(obj, nil)
	}
	if identity := IdentityFrom(ctx); identity != nil {
		s.moved(identity, obj, nil, sent)
	}
}

func (s strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	identity, sent := IdentityFrom(ctx), s.sentStatus(ctx, obj)
	keepTimes(ctx, obj, old)
	// A patch is made from the old object, with all that is kept there. What it leaves out is meant. So it is of an object
	// that moves here, which is whole.
	if info, ok := genericapirequest.RequestInfoFrom(ctx); ok && info.Verb == "update" && s.version.Keep != nil && identity == nil {
		s.version.Keep(obj, old)
	}
	if s.kind.hasStatus() {
		statusOf(obj).Set(statusOf(old.DeepCopyObject()))
	}
	if s.kind.Prepare != nil {
		s.kind.Prepare(obj, old)
	}
	if m, err := meta.Accessor(obj); err == nil && s.kind.Generation && !sameDesire(obj, old) {
		m.SetGeneration(m.GetGeneration() + 1)
	}
	if identity != nil {
		s.moved(identity, obj, old, sent)
	}
}

func (s strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	errs := s.version.Rules.Validate(ctx, obj)
	if IdentityFrom(ctx) != nil {
		errs = s.forgive(ctx, obj, errs)
	}
	return errs
}

func (s strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := s.version.Rules.ValidateUpdate(ctx, obj, old)
	if IdentityFrom(ctx) != nil {
		errs = s.forgive(ctx, obj, errs)
	}
	return errs
}

func (s strategy) WarningsOnCreate(ctx context.Context, obj runtime.Object) (warnings []string) {
	if s.version.Warnings != nil {
		warnings = s.version.Warnings(ctx, obj)
	}
	if s.model != nil && IdentityFrom(ctx) == nil { // what an object that moves here refers to is moving too
		warnings = append(warnings, s.model.Warnings(obj)...)
	}
	return warnings
}

func (s strategy) WarningsOnUpdate(ctx context.Context, obj, old runtime.Object) (warnings []string) {
	if s.version.Lost != nil {
		warnings = s.version.Lost(obj, old)
	}
	return append(warnings, s.WarningsOnCreate(ctx, obj)...)
}

// Canonicalize is the last step before the object is stored, and the place where its status becomes true.
func (s strategy) Canonicalize(obj runtime.Object) {
	if s.model != nil {
		s.model.Render(obj)
	}
}

// statusStrategy is strategy for the status subresource: nothing but the status changes, and of that only what does
// not belong to this implementation.
type statusStrategy struct{ strategy }

func (s statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.reset(fieldpath.MakePathOrDie("metadata"), fieldpath.MakePathOrDie("spec"))
}

func (s statusStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	keepTimes(ctx, obj, old)
	written, err := meta.Accessor(obj)
	if err != nil {
		return
	}
	status := reflect.New(statusOf(obj).Type()).Elem()
	status.Set(statusOf(obj))
	// managedFields already tell who wrote this status.
	managedFields := written.GetManagedFields()
	reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(old.DeepCopyObject()).Elem())
	written.SetManagedFields(managedFields)
	statusOf(obj).Set(status)
	if s.kind.DefaultStatus != nil {
		s.kind.DefaultStatus(obj)
	}
	if s.model != nil {
		s.model.Restore(obj, old)
	}
}

func (s statusStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return s.version.Rules.ValidateStatusUpdate(ctx, obj, old)
}

func (s statusStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// keepTimes keeps the times in managedFields if nothing else is different, so that an apply that changes nothing writes
// nothing. The handler has tried before, in vain: it compares kind and version too, which it has set in old, because the
// hub's types are those of v1 and so are converted in place. And it compares entry by entry, in an order that the times
// have made.
func keepTimes(ctx context.Context, obj, old runtime.Object) {
	old.GetObjectKind().SetGroupVersionKind(obj.GetObjectKind().GroupVersionKind())
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return
	}
	oldAccessor, err := meta.Accessor(old)
	if err != nil {
		return
	}
	written, stored := accessor.GetManagedFields(), oldAccessor.GetManagedFields()
	accessor.SetManagedFields(inOrderOf(stored, written))
	_, _ = fieldmanager.IgnoreManagedFieldsTimestampsTransformer(ctx, obj, old) // fails for no object that has metadata
	if !equality.Semantic.DeepEqual(accessor.GetManagedFields(), stored) {
		accessor.SetManagedFields(written)
	}
}

// inOrderOf returns entries, sorted as the entries of the same managers in like. Further ones come last.
func inOrderOf(like, entries []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	place := func(of metav1.ManagedFieldsEntry) int {
		i := slices.IndexFunc(like, func(e metav1.ManagedFieldsEntry) bool {
			return e.Manager == of.Manager && e.Operation == of.Operation && e.APIVersion == of.APIVersion && e.Subresource == of.Subresource
		})
		return cmp.Or(i+1, len(like)+1)
	}
	return slices.SortedStableFunc(slices.Values(entries), func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Compare(place(a), place(b))
	})
}

// statusOf is the Status field of obj.
func statusOf(obj runtime.Object) reflect.Value {
	return reflect.ValueOf(obj).Elem().FieldByName("Status")
}

// sameDesire says that two objects of one type differ in nothing but metadata and status.
func sameDesire(a, b runtime.Object) bool {
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range va.NumField() {
		switch va.Type().Field(i).Name {
		case "TypeMeta", "ObjectMeta", "Status":
			continue
		}
		if !equality.Semantic.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			return false
		}
	}
	return true
}
