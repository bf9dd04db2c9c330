package documents_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	goyaml "go.yaml.in/yaml/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// summary lists documents as "number:line title" and problems as "number:line object: error".
func summary(found []documents.Document, problems []documents.Problem) []string {
	var out []string
	for _, d := range found {
		out = append(out, fmt.Sprintf("%d:%d %s", d.Number, d.Line, documents.Title(d.Object)))
	}
	for _, p := range problems {
		out = append(out, strings.Join(strings.Fields(fmt.Sprintf("%d:%d %s! %v", p.Number, p.Line, p.Object, p.Err)), " "))
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
		{"nothing", "a.yaml", " \n", nil},
		{"no JSON", "a.json", "\n", nil},
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
				"2:5 A a! metadata.annotations: want an object"}},
		{"fields without a value", "a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a, labels: , annotations: }\n", []string{"1:1 A a"}},
		{"a list", "a.yaml", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n- 7\n",
			[]string{"1:1 Namespace a", "1:1 ! apiVersion is required"}},
		{"lists in lists", "a.yaml", "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ConfigMapList, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]}]\n",
			[]string{"1:1 ConfigMap a"}},
		{"items of what is no list", "a.yaml", "{apiVersion: v1, kind: A, metadata: {name: a}, items: [7]}", []string{"1:1 A a"}},
		{"a scalar", "a.yaml", "a", []string{"1:1 ! want an object, with apiVersion, kind and metadata.name"}},
		{"text after the end of a document", "a.yaml", "{apiVersion: v1, kind: A, metadata: {name: a}}\n...\n{apiVersion: v1, kind: A, metadata: {name: b}}\n",
			[]string{"1:1 ! there is more after the end of the document: want a line --- before it"}},
		{"a document after other line breaks", "a.yaml", "{apiVersion: v1, kind: A, metadata: {name: a}}\u2028---\u2028{apiVersion: v1, kind: A, metadata: {name: b}}\n",
			[]string{"1:1 ! there is more after the end of the document: want a line --- before it"}},
		{"a document after a comment and other line breaks", "a.yaml", "# nothing\u2028{apiVersion: v1, kind: A, metadata: {name: a}}\n--- # next\r{apiVersion: v1, kind: A, metadata: {name: b}}\n",
			[]string{"1:1 A a", `2:0 ! line 2: want nothing after the document separator ---, got "# next\r{apiVersion: v1, kind: A, metadata: {name: b}}"`}},
		{"spaces that are none in YAML", "a.yaml", "\u2000\n", []string{"1:1 ! want an object, with apiVersion, kind and metadata.name"}},
		{"no separator", "a.yaml", "---# a\n", []string{`1:0 ! line 1: want nothing after the document separator ---, got "# a"`}},
		{"ends of documents", "a.yaml", "{apiVersion: v1, kind: A, metadata: {name: a}}\n...\n---\n{apiVersion: v1, kind: A, metadata: {name: b}}\n... # done\n",
			[]string{"1:1 A a", "2:4 A b"}},
		{"a directive", "a.yaml", "%YAML 1.2\n---\n{apiVersion: v1, kind: A, metadata: {name: a}}\n",
			[]string{`1:0 ! line 1: want no YAML directives, got "%YAML 1.2": remove the line`}},
		{"JSON", "a.json", "\n{\"apiVersion\": \"v1\", \"kind\": \"Namespace\",\n\t\"metadata\": {\"name\": \"a\"}}\n{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"b\"}}\n",
			[]string{"1:2 Namespace a", "2:4 Namespace b"}},
		{"JSON with a key twice", "a.json", `{"apiVersion": "v1", "kind": "Namespace", "kind": "Secret", "metadata": {"name": "a"}}`,
			[]string{`1:1 ! duplicate field "kind"`}},
		{"JSON that ends early", "a.json", "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"a\"}}\n{\"apiVersion\"\n",
			[]string{"1:1 Namespace a", "2:0 ! after line 1: unexpected EOF"}},
		{"JSON by its content", "standard input", `{"apiVersion":"v1","kind":"A","metadata":{"name":"a","annotations":{"<<":"\ud83d\ude00"}}}{"apiVersion":"v1","kind":"A","metadata":{"name":"b"}}`,
			[]string{"1:1 A a", "2:1 A b"}},
		{"YAML that begins like JSON", "a.yaml", `{"apiVersion": "v1", "kind": "A", "metadata": {"name": a}}`, []string{"1:1 A a"}},
		{"YAML in a file of JSON", "a.json", "# A comment\n{}", []string{"1:0 ! after line 1: invalid character '#' looking for beginning of value"}},
		{"JSON that isn't UTF-8", "a.yaml", "{\"apiVersion\": \"v1\", \"kind\": \"A\", \"metadata\": {\"name\": \"a\", \"labels\": {\"a\": \"\xff\"}}}", []string{"1:1 ! want UTF-8"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, summary(documents.Parse(test.file, []byte(test.in)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	_, problems := documents.Parse("web.yaml", []byte("{apiVersion: v1, kind: A, metadata: {name: a}}\n---\n\n{apiVersion: v1}\n"))
	if len(problems) != 1 || problems[0].Error() != "web.yaml, document 2: kind is required" || problems[0].Line != 4 {
		t.Errorf("problems %v", problems)
	}
	if got := (documents.Place{File: "web.yaml"}).String(); got != "web.yaml" {
		t.Errorf("the place of a file is %q", got)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	want := map[string]any{"whole": int64(9007199254740993), "part": 0.5}
	for name, text := range map[string]string{
		"a.yaml": "apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec: {whole: 9007199254740993, part: 0.5}\n",
		"a.json": `{"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "spec": {"whole": 9007199254740993, "part": 0.5}}`,
	} {
		found, problems := documents.Parse(name, []byte(text))
		if len(found) != 1 || problems != nil {
			t.Fatal(summary(found, problems))
		}
		if diff := cmp.Diff(want, found[0].Object.Object["spec"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestIsFile(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"a.yaml": true, "a.yml": true, "a.b.json": true, "a.yaml~": false, "yaml": false, "a.txt": false} {
		if got := documents.IsFile(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

// FuzzParse holds that no document is silently ignored: a file without problems has as many objects as a parser of whole
// YAML streams finds, unless it is JSON.
func FuzzParse(f *testing.F) {
	const a, b = "apiVersion: v1\nkind: A\nmetadata: {name: a}\n", "{apiVersion: v1, kind: A, metadata: {name: b}}"
	for _, text := range []string{
		"", "# nothing\n", a, a + "---\n" + b, "---\n" + a + "--- # next\n---\n" + b, a + "...\n" + b, a + "...\n---\n" + b, a + "\r---\r" + b,
		a + "\u2028---\u2028" + b, a + "\u0085---\n" + b, "%YAML 1.1\n---\n" + a, "%TAG ! tag:example.com:\n---\n" + a, "--- " + b, "\ufeff" + a, "\xff" + a, "null", "7",
		a + "data: |\n  ---\n", "apiVersion: v1\nkind: List\nitems:\n- " + b + "\n- null\n", a + "kind: B\n", a + "<<: {kind: B}\n", "\"a\n---\nb\"",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, problems := documents.Parse("a.yaml", []byte(text))
		for _, d := range found {
			if d.Object.GetAPIVersion() == "" || d.Object.GetKind() == "" || d.Object.GetName() == "" || d.Number < 1 || d.Line < 1 {
				t.Errorf("%s is at %s, line %d", documents.Title(d.Object), d.Place, d.Line)
			}
		}
		if len(problems) > 0 || json.Valid([]byte(text)) {
			return
		}
		want := 0
		for decoder := goyaml.NewDecoder(strings.NewReader(text)); ; {
			var value any
			err := decoder.Decode(&value)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return // several values of JSON
			}
			if value != nil { // not only comments
				want += countObjects(value)
			}
		}
		if len(found) != want {
			t.Errorf("%d objects, want %d", len(found), want)
		}
	})
}

// countObjects counts the objects that a document stands for.
func countObjects(value any) int {
	object, _ := value.(map[any]any)
	kind, _ := object["kind"].(string)
	items, ok := object["items"].([]any)
	if !ok || !strings.HasSuffix(kind, "List") {
		return 1
	}
	n := 0
	for _, item := range items {
		n += countObjects(item)
	}
	return n
}
