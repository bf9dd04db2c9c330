package registry

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retained"
)

// lostOf returns a function that warns whoever updates an object in version v of what has gone with the update and v
// cannot express, or nil if v can express everything. Conversions drop such parts with what they belong to.
func lostOf(v, hub apis.Version) func(obj, old runtime.Object) []string {
	if sameShape(v, hub) {
		return nil
	}
	return func(obj, old runtime.Object) (warnings []string) {
		left := hidden(v, hub, obj)
		for _, path := range hidden(v, hub, old) {
			if !slices.Contains(left, path) {
				warnings = append(warnings, fmt.Sprintf("what %s cannot express of %s was removed: the write has changed what it belongs to; write in %s to keep it",
					v.Version, path, hub.GroupVersion()))
			}
		}
		return warnings
	}
}

// keepOf returns a function that gives an object, updated in version v, what v cannot express of the object that it
// replaces, or nil if v can express everything. The annotation of the conversions does that for clients that send back what
// they have read; others leave it out, and mean nothing by it. As there, a part stays only with what it belongs to.
func keepOf(v, hub apis.Version) func(obj, old runtime.Object) {
	if sameShape(v, hub) {
		return nil
	}
	return func(obj, old runtime.Object) {
		seen, oldSeen, kept := v.New(), v.New(), hub.New()
		if apis.Scheme.Convert(obj, seen, nil) != nil || apis.Scheme.Convert(old, oldSeen, nil) != nil {
			return // what can't be converted can't be answered either
		}
		accessor, oldAccessor := seen.(metav1.Object), oldSeen.(metav1.Object)
		if retained.Hidden(accessor) || !retained.Hidden(oldAccessor) {
			return
		}
		annotations := map[string]string{retained.Annotation: oldAccessor.GetAnnotations()[retained.Annotation]}
		maps.Copy(annotations, accessor.GetAnnotations())
		accessor.SetAnnotations(annotations)
		if apis.Scheme.Convert(seen, kept, nil) == nil {
			specField(obj).Set(specField(kept))
		}
	}
}

// hidden returns the paths in the spec of obj, which is of the hub's type, that v cannot express or not all of. Lists count
// as a whole.
func hidden(v, hub apis.Version, obj runtime.Object) []string {
	seen := v.New()
	if apis.Scheme.Convert(obj, seen, nil) != nil || !retained.Hidden(seen.(metav1.Object)) {
		return nil // what can't be converted can't be answered either
	}
	accessor := seen.(metav1.Object)
	annotations := maps.Clone(accessor.GetAnnotations())
	delete(annotations, retained.Annotation)
	accessor.SetAnnotations(annotations)
	shown := hub.New()
	if apis.Scheme.Convert(seen, shown, nil) != nil {
		return nil
	}
	return differences("spec", specOf(obj), specOf(shown))
}

// specOf returns the spec of obj as a JSON value, or nil if it has none.
func specOf(obj runtime.Object) any {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(specField(obj).Addr().Interface())
	if err != nil {
		return nil
	}
	return content
}

func specField(obj runtime.Object) reflect.Value {
	return reflect.ValueOf(obj).Elem().FieldByName("Spec")
}

// differences returns the paths, in order, at which a has something and b has it not or otherwise.
func differences(path string, a, b any) (paths []string) {
	inA, ok := a.(map[string]any)
	if !ok {
		if !reflect.DeepEqual(a, b) {
			paths = append(paths, path)
		}
		return paths
	}
	inB, _ := b.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(inA)) {
		below := path + "." + key
		switch {
		case inA[key] == nil:
		case inB[key] == nil:
			paths = append(paths, below)
		default:
			paths = append(paths, differences(below, inA[key], inB[key])...)
		}
	}
	return paths
}
