package retained

import (
	"encoding/json"
	"maps"
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Annotation is the key of the annotation. Its value is a [data] as JSON.
const Annotation = "gateway-apiserver.dev/conversion-data"

// Keys are the keys of all annotations that conversions make. Field managers must not own them.
var Keys = []string{Annotation}

// Hidden says whether a converted object stands for more than its version shows. If so, the rules of its version don't
// cover all of what was converted.
func Hidden(obj metav1.Object) bool {
	_, ok := obj.GetAnnotations()[Annotation]
	return ok
}

// data is the spec of an object in a version.
type data struct {
	metav1.TypeMeta `json:",inline"`
	Spec            json.RawMessage `json:"spec"`
}

// A Conversion turns the spec of an object into that of another version. Its functions share memory between their
// arguments and results at will, and write to nothing but their results.
type Conversion[From, To any] struct {
	From, To schema.GroupVersionKind

	// Plain returns what of a spec the other version can express, Back does so in the opposite direction.
	Plain func(*From) To
	Back  func(*To) From

	// Restore completes to, the plain conversion of from, by those parts of kept that Back loses. A part comes back only
	// if what it belongs to says in from what it says in shown, which is Back of kept, or less ([Within]).
	Restore func(to *To, kept *To, from, shown *From)
}

// Convert converts the metadata and the spec of an object.
func (c Conversion[From, To]) Convert(meta *metav1.ObjectMeta, from *From, toMeta *metav1.ObjectMeta, to *To) error {
	*to = c.Plain(from)
	var kept To
	if read(meta.Annotations, c.To, &kept) {
		shown := c.Back(&kept)
		c.Restore(to, &kept, from, &shown)
	}
	*toMeta = *meta
	toMeta.Annotations = without(meta.Annotations)
	if shown := c.Back(to); equality.Semantic.DeepEqual(&shown, from) {
		return nil
	}
	value, err := write(c.From, from)
	if err != nil {
		return err
	}
	annotations := map[string]string{Annotation: value}
	for key, value := range toMeta.Annotations {
		annotations[key] = value
	}
	toMeta.Annotations = annotations
	return nil
}

// Within says whether each field of part that is set is as in whole. Lists and maps are compared as they are.
//
// Server-side apply converts objects without the fields that nobody owns, defaults among them, to learn which others have
// an owner. If parts didn't come back there, an apply would take away what its own manager has set.
func Within[T any](part, whole *T) bool {
	return within(reflect.ValueOf(part), reflect.ValueOf(whole))
}

func within(part, whole reflect.Value) bool {
	switch {
	case part.IsZero():
		return true
	case part.Kind() == reflect.Pointer && !whole.IsNil():
		return within(part.Elem(), whole.Elem())
	case part.Kind() == reflect.Struct:
		for i := range part.NumField() {
			if !within(part.Field(i), whole.Field(i)) {
				return false
			}
		}
		return true
	}
	return equality.Semantic.DeepEqual(part.Interface(), whole.Interface())
}

// read says whether annotations have a spec of gvk, and sets it.
func read(annotations map[string]string, gvk schema.GroupVersionKind, spec any) bool {
	value, ok := annotations[Annotation]
	if !ok || len(value) > validation.TotalAnnotationSizeLimitB {
		return false
	}
	var d data
	if json.Unmarshal([]byte(value), &d) != nil || d.GroupVersionKind() != gvk {
		return false
	}
	return json.Unmarshal(d.Spec, spec) == nil
}

func write(gvk schema.GroupVersionKind, spec any) (string, error) {
	d := data{}
	d.SetGroupVersionKind(gvk)
	var err error
	if d.Spec, err = json.Marshal(spec); err != nil {
		return "", err
	}
	value, err := json.Marshal(d)
	return string(value), err
}

// without returns annotations, or a copy, without the one of this package.
func without(annotations map[string]string) map[string]string {
	if _, ok := annotations[Annotation]; !ok {
		return annotations
	}
	if len(annotations) == 1 {
		return nil
	}
	rest := maps.Clone(annotations)
	delete(rest, Annotation)
	return rest
}
