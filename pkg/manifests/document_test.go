package manifests

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// summary lists documents as "number:line title" and problems as "number:line object: error".
func summary(documents []document, problems []problem) []string {
	var out []string
	for _, d := range documents {
		out = append(out, fmt.Sprintf("%d:%d %s", d.number, d.line, title(d.object)))
	}
	for _, p := range problems {
		out = append(out, strings.Join(strings.Fields(fmt.Sprintf("%d:%d %s! %v", p.number, p.line, p.object, p.err)), " "))
	}
	return out
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		file string
		in   string
		want []string
	}{
		{"documents", "a.yaml", `# a comment
apiVersion: v1
kind: Namespace
metadata: {name: a}
---
# nothing
---
--- # and nothing

apiVersion: v1
kind: Secret
metadata: {name: b, namespace: a}
---
`, []string{"1:2 Namespace a", "2:10 Secret a/b"}},
		{"Windows line ends", "a.yml", "apiVersion: v1\r\nkind: Namespace\r\nmetadata: {name: a}\r\n---\r\napiVersion: v1\r\nkind: Namespace\r\nmetadata: {name: b}\r\n",
			[]string{"1:1 Namespace a", "2:5 Namespace b"}},
		{"dashes that separate nothing", "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    ---\n    y\n", []string{"1:1 ConfigMap a"}},
		{"comments only", "a.yaml", "# nothing yet\n", nil},
		{"empty, as while it is written", "a.yaml", " \n", []string{"0:0 ! the file is empty, as while it is being written: to delete its objects, delete the file"}},
		{"a bad document between good ones", "a.yaml", `apiVersion: v1
kind: Namespace
metadata: {name: a}
---
apiVersion: v1
kind: Namespace
metadata: {name: b
---
apiVersion: v1
kind: Namespace
metadata: {name: c}
`, []string{"1:1 Namespace a", "3:9 Namespace c", "2:5 ! yaml: line 7: did not find expected ',' or '}'"}},
		{"a key twice", "a.yaml", "\n\napiVersion: v1\nkind: Namespace\nkind: Secret\nmetadata: {name: a}\n",
			[]string{`1:3 ! yaml: unmarshal errors: line 5: key "kind" already set in map`}},
		{"text after a separator", "a.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n--- kind: Secret\n",
			[]string{"1:1 Namespace a", `2:0 ! line 4: want nothing after the document separator ---, got "kind: Secret"`}},
		{"not an object", "a.yaml", "- a\n", []string{"1:1 ! want an object, with apiVersion, kind and metadata.name"}},
		{"what is missing", "a.yaml", "kind: A\n---\napiVersion: v1\n---\napiVersion: v1\nkind: A\n---\napiVersion: v1\nkind: A\nmetadata: {generateName: a-}\n---\napiVersion: a/b/c\nkind: A\nmetadata: {name: a}\n",
			[]string{
				"1:1 A! apiVersion is required", "2:3 ! kind is required", "3:5 A! metadata.name is required",
				"4:8 A! metadata.name is required: an object with a generated name can't be found again",
				"5:12 A a! apiVersion: unexpected GroupVersion string: a/b/c",
			}},
		{"what a client refuses", "a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a/b}\n---\napiVersion: v1\nkind: A\nmetadata: {name: a, annotations: [b]}\n",
			[]string{"1:1 A a/b! metadata.name: may not contain '/'",
				"2:5 A a! metadata.annotations: .metadata.annotations accessor error: [b] is of the type []interface {}, expected map[string]interface{}"}},
		{"a list", "a.yaml", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n- 7\n",
			[]string{"1:1 Namespace a", "1:1 ! apiVersion is required"}},
		{"JSON", "a.json", "\n{\"apiVersion\": \"v1\", \"kind\": \"Namespace\",\n\t\"metadata\": {\"name\": \"a\"}}\n{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"b\"}}\n",
			[]string{"1:2 Namespace a", "2:4 Namespace b"}},
		{"JSON with a key twice", "a.json", `{"apiVersion": "v1", "kind": "Namespace", "kind": "Secret", "metadata": {"name": "a"}}`,
			[]string{`1:1 ! duplicate field "kind"`}},
		{"JSON that ends early", "a.json", "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"a\"}}\n{\"apiVersion\"\n",
			[]string{"1:1 Namespace a", "2:0 ! after line 1: unexpected EOF"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, summary(parse(test.file, []byte(test.in)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A file may hold what kubectl get prints.
func TestParseDropsWhatOnlyServersSet(t *testing.T) {
	t.Parallel()
	documents, problems := parse("a.yaml", []byte(`apiVersion: v1
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
	if len(problems) > 0 || len(documents) != 1 {
		t.Fatal(summary(documents, problems))
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": "a", "annotations": map[string]any{"keep": "me"}, "labels": map[string]any{"keep": "me"}},
		"spec":     map[string]any{"ports": []any{map[string]any{"port": int64(80)}}},
	}
	if diff := cmp.Diff(want, documents[0].object.Object); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDigestTellsObjectsAndFilesApart(t *testing.T) {
	t.Parallel()
	of := func(file, name string) digest {
		d := document{place{file: file}, &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": name}}}}
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
