package transfer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want []string
		err  string
	}{
		"nothing":       {text: "# nothing\n---\n"},
		"one":           {text: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", want: []string{"ConfigMap a"}},
		"several":       {text: "# first\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n--- # next\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: c}\n", want: []string{"ConfigMap b/a", "Secret c"}},
		"JSON":          {text: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`, want: []string{"ConfigMap a", "ConfigMap b"}},
		"lists":         {text: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: ConfigMapList, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}]}", want: []string{"ConfigMap a", "ConfigMap b"}},
		"no kind":       {text: "{apiVersion: v1, metadata: {name: a}}", err: "test, document 1: kind is required"},
		"no name":       {text: "{apiVersion: v1, kind: A}", err: "test, document 1: metadata.name is required"},
		"version":       {text: "{apiVersion: a/b/c, kind: A, metadata: {name: a}}", err: "test, document 1: apiVersion: unexpected GroupVersion string: a/b/c"},
		"name":          {text: "{apiVersion: v1, kind: A, metadata: {name: a/b}}", err: `test, document 1: metadata.name: may not contain '/'`},
		"scalar":        {text: "a", err: "test, document 1: want an object, with apiVersion, kind and metadata.name"},
		"twice":         {text: "{apiVersion: v1, kind: A, metadata: {name: a}, kind: B}", err: `key "kind" already set in map`},
		"twice in JSON": {text: `{"apiVersion":"v1","kind":"A","kind":"B","metadata":{"name":"a"}}`, err: `duplicate field "kind"`},
		"all that is wrong": {text: "{a: b}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{x", want: []string{"ConfigMap a"},
			err: "test, document 3"},
		"item": {text: "{apiVersion: v1, kind: List, items: [7]}", err: "test, document 1: apiVersion is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			documents, err := parse("test", strings.NewReader(test.text))
			var got []string
			for _, d := range documents {
				got = append(got, Title(d.Object))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (test.err == "") != (err == nil) || !strings.Contains(messageOf(err), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}", "a.json": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`,
		"notes.txt": "not read", "sub/c.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	documents, err := Read([]string{dir, "-", filepath.Join(dir, "sub", "c.yaml")}, strings.NewReader("{apiVersion: v1, kind: ConfigMap, metadata: {name: stdin}}"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range documents {
		got = append(got, d.Object.GetName())
	}
	if diff := cmp.Diff([]string{"a", "b", "stdin", "c"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if documents, err := Read([]string{dir, filepath.Join(dir, "notes.txt"), "missing"}, nil); documents != nil || err == nil ||
		!strings.Contains(err.Error(), "notes.txt, document 1: want an object") || !strings.Contains(err.Error(), "missing: no such file") {
		t.Errorf("read %v, %v", documents, err)
	}
}

// FuzzParse holds that what is exported of an object is read back as it was.
func FuzzParse(f *testing.F) {
	f.Add(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"---\n","b":"yes","c":"1e3","d":" \u0085\t#"}}`)
	f.Add(`{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"d":"\u007f\u009f\u2028\u2029\ufeff\uffff\ud83d\ude00\u0000"}`)
	f.Add(`{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"spec":{"n":9007199254740993,"x":0.1,"l":[null,true,""]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		content, err := decodeJSON([]byte(text))
		if err != nil {
			return
		}
		o := &unstructured.Unstructured{Object: content}
		if check(o) != nil || o.IsList() {
			return
		}
		data, err := encode(o)
		if err != nil {
			t.Fatal(err)
		}
		documents, err := parse("test", strings.NewReader(string(data)+"---\n"+string(data)))
		if err != nil || len(documents) != 2 {
			t.Fatalf("%d documents, %v in\n%s", len(documents), err, data)
		}
		for _, d := range documents {
			if diff := cmp.Diff(content, d.Object.Object); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, data)
			}
		}
	})
}
