package manifests

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// A problem with a file lasts until the file changes. An empty one may be being written.
func TestParseProblems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]problem{
		" \n":         {place: place{File: "a.yaml"}},
		"\nkind: A\n": {place: place{File: "a.yaml", Number: 1, Line: 2}, object: "A"},
	} {
		declared, problems := parse("a.yaml", []byte(text))
		if len(declared) > 0 || len(problems) != 1 {
			t.Fatalf("%q: %d documents, %d problems", text, len(declared), len(problems))
		}
		if p := problems[0]; p.place != want.place || p.object != want.object || p.err == nil || !p.lasting {
			t.Errorf("%q: got %+v, want %+v", text, p, want)
		}
	}
	if declared, problems := parse("a.yaml", []byte("# nothing yet\n")); declared != nil || problems != nil {
		t.Errorf("a comment is %v, %v", declared, problems)
	}
}

// An object whose annotations are null can take that of the follower.
func TestParseDropsNullAnnotations(t *testing.T) {
	t.Parallel()
	declared, problems := parse("a.yaml", []byte("apiVersion: v1\nkind: A\nmetadata: {name: a, annotations: }\n"))
	if len(problems) > 0 || len(declared) != 1 {
		t.Fatal(declared, problems)
	}
	if err := unstructured.SetNestedField(declared[0].Object.Object, "b", "metadata", "annotations", Annotation); err != nil {
		t.Error(err)
	}
}

// A file may hold what kubectl get prints.
func TestParseDropsWhatOnlyServersSet(t *testing.T) {
	t.Parallel()
	declared, problems := parse("a.yaml", []byte(`apiVersion: v1
kind: Service
metadata:
  name: a
  annotations: {keep: me, gateway-apiserver.dev/manifest: /elsewhere.yaml}
  labels: {keep: me}
  uid: x
  resourceVersion: "1"
  generation: 1
  creationTimestamp: null
  managedFields: []
spec: {ports: [{port: 80}]}
status: {}
`))
	if len(problems) > 0 || len(declared) != 1 {
		t.Fatal(declared, problems)
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": "a", "annotations": map[string]any{"keep": "me"}, "labels": map[string]any{"keep": "me"}},
		"spec":     map[string]any{"ports": []any{map[string]any{"port": int64(80)}}},
	}
	if diff := cmp.Diff(want, declared[0].Object.Object); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDigestTellsObjectsAndFilesApart(t *testing.T) {
	t.Parallel()
	of := func(file, name string) digest {
		d := document{documents.Document{
			Place:  place{File: file},
			Object: &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": name}}},
		}}
		sum, err := d.digest()
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	digests := map[digest]bool{of("a", "x"): true, of("b", "x"): true, of("a", "y"): true}
	if len(digests) != 3 || !digests[of("a", "x")] {
		t.Error("want equal digests for the same object in the same file, and others for others")
	}
}
