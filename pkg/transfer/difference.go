package transfer

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// differences names the fields, for example spec.rules, in which what users want of two objects is different.
func differences(a, b *unstructured.Unstructured) []string {
	var fields []string
	for _, name := range keys(a.Object, b.Object) {
		va, vb := a.Object[name], b.Object[name]
		ma, aIsMap := va.(map[string]any)
		mb, bIsMap := vb.(map[string]any)
		switch {
		case name == "status" || equality.Semantic.DeepEqual(va, vb):
		case !aIsMap || !bIsMap:
			fields = append(fields, name)
		default:
			for _, inner := range keys(ma, mb) {
				if !(name == "metadata" && slices.Contains(bookkeeping, inner)) && !equality.Semantic.DeepEqual(ma[inner], mb[inner]) {
					fields = append(fields, name+"."+inner)
				}
			}
		}
	}
	return fields
}

// bookkeeping are the fields of metadata that follow from changes to others.
var bookkeeping = []string{"generation", "managedFields", "resourceVersion"}

func keys(a, b map[string]any) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}

// joinAnd joins words as in "a, b and c".
func joinAnd(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
