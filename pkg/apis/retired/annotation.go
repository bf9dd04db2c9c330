package retired

import (
	"encoding/json"
	"maps"

	corev1 "k8s.io/api/core/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// Annotation keeps the values of the fields that have no successor: a JSON object, with the path of each as the key.
const Annotation = "gateway-apiserver.dev/retired-fields"

// keep puts the value of key, which has no successor, into the annotation.
func (r *rewriting) keep(f *Field, p place, key string) {
	value, found := r.take(p, key)
	switch {
	case !found:
	case value == nil:
		r.forget = r.forget || p.partial
	default:
		r.use(f, p.in(key), "")
		if r.kept == nil {
			r.kept = map[string]any{}
		}
		r.kept[p.in(key)] = value
	}
}

// annotate writes the annotation of what has been kept.
func (r *rewriting) annotate() {
	if len(r.kept) == 0 && !r.forget {
		return
	}
	annotations := objectAt(r.doc, "metadata", "annotations")
	if annotations == nil {
		return
	}
	if len(r.kept) == 0 {
		if _, found := annotations[Annotation]; !found {
			annotations[Annotation] = nil
		}
		return
	}
	values := map[string]any{}
	if before, ok := annotations[Annotation].(string); !ok || utiljson.Unmarshal([]byte(before), &values) != nil {
		values = map[string]any{} // none, or not ours
	}
	maps.Copy(values, r.kept)
	text, err := json.Marshal(values)
	if err != nil {
		r.refuse("metadata.annotations", "%v", err)
		return
	}
	annotations[Annotation] = string(text)
}

// applied says whether the manifest that kubectl apply leaves in an annotation has something at the path of a successor.
// Such a patch deletes what has gone from the manifest. So when a manifest moves from a retired field to its successor,
// the patch deletes the first, and says nothing of the second, which has its value already.
func (r *rewriting) applied(to string) bool {
	text, _ := lookup(r.doc, "metadata", "annotations", corev1.LastAppliedConfigAnnotation)
	manifest, ok := text.(string)
	if !ok {
		return false
	}
	var object map[string]any
	if err := utiljson.Unmarshal([]byte(manifest), &object); err != nil {
		return false
	}
	if _, errs := r.fields.Rewrite(object, Object); len(errs) > 0 {
		return false
	}
	value, _ := lookup(object, split(to)...)
	return value != nil
}
