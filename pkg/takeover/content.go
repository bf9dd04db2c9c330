package takeover

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retained"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retired"
)

// content is what moves of an object.
type content struct {
	GenerateName string `json:"generateName,omitempty"`

	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Finalizers  []string          `json:"finalizers,omitempty"`
	Owners      []any             `json:"owners,omitempty"`
	Managers    []any             `json:"managers,omitempty"` // managedFields
	Deleting    bool              `json:"deleting,omitempty"`
	// Body are the fields besides metadata and status.
	Body map[string]any `json:"body,omitempty"`
	// Status is what other controllers have written.
	Status map[string]any `json:"status,omitempty"`

	// Identity is only kept where gateway-apiserver is told to.
	identity identity
}

type identity struct {
	uid        types.UID
	created    metav1.Time
	generation int64
}

// contentOf returns what moves of an object whose status others have written in part. It shares memory with o.
func contentOf(o *unstructured.Unstructured, others map[string]any) content {
	c := content{
		GenerateName: o.GetGenerateName(),
		Labels:       o.GetLabels(),
		Annotations:  maps.Clone(o.GetAnnotations()),
		Finalizers:   o.GetFinalizers(),
		Deleting:     o.GetDeletionTimestamp() != nil,
		Body:         maps.Clone(o.Object),
		Status:       others,
		identity:     identity{o.GetUID(), o.GetCreationTimestamp(), o.GetGeneration()},
	}
	c.Owners, _, _ = unstructured.NestedSlice(o.Object, "metadata", "ownerReferences")
	c.Managers, _, _ = unstructured.NestedSlice(o.Object, "metadata", "managedFields")
	for _, field := range []string{"apiVersion", "kind", "metadata", "status"} {
		delete(c.Body, field)
	}
	for _, key := range []string{takeoverAnnotation, handbackAnnotation} {
		delete(c.Annotations, key)
	}
	return c
}

// parts are digests of the parts of content, most of which only one client changes at a time: users and their tools write
// metadata and spec, controllers write status.
type parts struct {
	Metadata string `json:"metadata"`
	Spec     string `json:"spec"`
	Status   string `json:"status"`
	Managers string `json:"managers"`
}

func (c content) parts() parts {
	return parts{c.metadata(), digest(c.Body), digest(c.Status), digest(c.Managers)}
}

// metadata identifies what users say in metadata. It is the same in all versions.
func (c content) metadata() string {
	c.Body, c.Status, c.Managers = nil, nil, nil
	c.Annotations = maps.Clone(c.Annotations)
	delete(c.Annotations, retained.Annotation)
	return digest(c)
}

// digest identifies a value.
func digest(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("encoding what was decoded from JSON: %v", err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// withSuccessors returns an object as gateway-apiserver takes it: with the successors of fields that its version had in
// another release of the Gateway API.
func withSuccessors(o *unstructured.Unstructured) *unstructured.Unstructured {
	fields := retired.Lookup(o.GroupVersionKind().GroupKind())
	if len(fields) == 0 {
		return o
	}
	o = o.DeepCopy()
	fields.Rewrite(o.Object, retired.Object) // what it refuses, the server refuses
	return o
}

// differences names the fields in which have isn't what want says. Both may have more than the other where defaults are
// filled in, but in metadata.
func differences(want, have content) []string {
	var fields []string
	add := func(field string, same bool) {
		if !same {
			fields = append(fields, field)
		}
	}
	add("metadata.generateName", want.GenerateName == have.GenerateName)
	add("metadata.labels", sameMaps(want.Labels, have.Labels))
	hidden := maps.Clone(have.Annotations)
	if _, ok := want.Annotations[retained.Annotation]; !ok {
		delete(hidden, retained.Annotation) // what the version that is looked at can't express
	}
	add("metadata.annotations", sameMaps(want.Annotations, hidden))
	add("metadata.finalizers", slices.Equal(want.Finalizers, have.Finalizers))
	add("metadata.ownerReferences", equality.Semantic.DeepEqual(want.Owners, have.Owners))
	add("metadata.managedFields", equality.Semantic.DeepEqual(want.Managers, have.Managers))
	add("metadata.deletionTimestamp", want.Deleting == have.Deleting)
	fields = append(fields, lacking("", want.Body, have.Body)...)
	fields = append(fields, lacking("status", anyMap(want.Status), anyMap(have.Status))...)
	return fields
}

// differ names the parts of two identities that are different.
func (i identity) differ(other identity) []string {
	var fields []string
	if i.uid != other.uid {
		fields = append(fields, "metadata.uid")
	}
	if !i.created.Equal(&other.created) {
		fields = append(fields, "metadata.creationTimestamp")
	}
	if i.generation != other.generation {
		fields = append(fields, "metadata.generation")
	}
	return fields
}

// lacking returns the paths at which want has something that have doesn't have, or has otherwise. In lists, what have adds
// counts too.
func lacking(path string, want, have any) []string {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok && !isNothing(want) {
			return []string{path}
		}
		var paths []string
		for _, key := range slices.Sorted(maps.Keys(want)) {
			paths = append(paths, lacking(strings.TrimPrefix(path+"."+key, "."), want[key], have[key])...)
		}
		return paths
	case []any:
		have, ok := have.([]any)
		if len(want) != len(have) || !ok && len(want) > 0 {
			return []string{path}
		}
		var paths []string
		for i := range want {
			paths = append(paths, lacking(fmt.Sprintf("%s[%d]", path, i), want[i], have[i])...)
		}
		return paths
	case nil:
		return nil // null is what isn't there
	}
	if !equality.Semantic.DeepEqual(want, have) {
		return []string{path}
	}
	return nil
}

// isNothing says whether a value says no more than its absence. Go types make no difference where it could mean anything.
func isNothing(value map[string]any) bool {
	for _, inner := range value {
		if nested, ok := inner.(map[string]any); inner != nil && (!ok || !isNothing(nested)) {
			return false
		}
	}
	return true
}

func anyMap(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

func sameMaps(a, b map[string]string) bool {
	return len(a) == 0 && len(b) == 0 || maps.Equal(a, b)
}

// withGeneration returns a status in which what was observed of generation from was observed of generation to, and what was
// observed before that was observed before this. It is what has to be done where generations can't be kept.
func withGeneration(status any, from, to int64) any {
	switch status := status.(type) {
	case map[string]any:
		out := make(map[string]any, len(status))
		for key, value := range status {
			observed, ok := value.(int64)
			switch {
			case key != "observedGeneration" || !ok:
				out[key] = withGeneration(value, from, to)
			case observed >= from:
				out[key] = to
			default:
				out[key] = max(0, min(observed, to-1))
			}
		}
		return out
	case []any:
		out := make([]any, len(status))
		for i := range status {
			out[i] = withGeneration(status[i], from, to)
		}
		return out
	}
	return status
}
