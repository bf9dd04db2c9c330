package manifests

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// place is where a document stands.
type place struct {
	file   string // absolute path
	number int    // of the document in the file, from 1; 0 is the file itself
	line   int    // of the document's first line of content, from 1
}

// document is an object as a file declares it, without what only a server can set.
type document struct {
	place
	object *unstructured.Unstructured
}

// problem is what is wrong with a place.
type problem struct {
	place
	headline string // what happens because of it; that it is not applied, if empty
	object   string // e.g. "HTTPRoute default/web", if the document says it
	field    string // paths into the object, if known
	err      error
	// lasting says that trying again is of no use before a file changes.
	lasting bool
}

// key identifies an object across the versions of its kind. The namespace "default" stands for none as well, because
// only a server knows which kinds have one.
type key struct {
	schema.GroupKind
	namespace, name string
}

func keyOf(gk schema.GroupKind, namespace, name string) key {
	return key{gk, cmp.Or(namespace, defaultNamespace), name}
}

func (d document) key() key {
	return keyOf(d.object.GroupVersionKind().GroupKind(), d.object.GetNamespace(), d.object.GetName())
}

// title names an object for people.
func title(o *unstructured.Unstructured) string {
	name := o.GetName()
	if o.GetNamespace() != "" {
		name = o.GetNamespace() + "/" + name
	}
	return strings.TrimSpace(o.GetKind() + " " + name)
}

// chunk is the text of a document.
type chunk struct {
	line int
	text []byte
}

// parse reads the documents of a file. A document with a problem is left out; those around it are not.
func parse(file string, data []byte) ([]document, []problem) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, []problem{{place: place{file: file}, lasting: true,
			err: errors.New("the file is empty, as while it is being written: to delete its objects, delete the file")}}
	}
	split, decode := splitYAML, decodeYAML
	if filepath.Ext(file) == ".json" {
		split, decode = splitJSON, decodeJSON
	}
	var documents []document
	var problems []problem
	chunks, err := split(data)
	for i, c := range chunks {
		at := place{file: file, number: i + 1, line: c.line}
		object, err := decode(c)
		if err != nil {
			problems = append(problems, problem{place: at, err: err, lasting: true})
			continue
		}
		for _, o := range flatten(object) {
			if err := tidy(o); err != nil {
				problems = append(problems, problem{place: at, object: title(o), err: err, lasting: true})
				continue
			}
			documents = append(documents, document{at, o})
		}
	}
	if err != nil {
		problems = append(problems, problem{place: place{file: file, number: len(chunks) + 1}, err: err, lasting: true})
	}
	return documents, problems
}

// splitYAML cuts at the lines that start with "---". Documents without content don't count.
func splitYAML(data []byte) ([]chunk, error) {
	var chunks []chunk
	var current chunk
	flush := func() {
		if current.line > 0 {
			chunks = append(chunks, current)
		}
		current = chunk{}
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		trimmed := bytes.TrimSpace(line)
		if rest, ok := bytes.CutPrefix(line, []byte("---")); ok {
			rest = bytes.TrimSpace(rest)
			flush()
			if len(rest) == 0 || rest[0] == '#' {
				continue
			}
			return chunks, fmt.Errorf("line %d: want nothing after the document separator ---, got %q", number, rest)
		}
		if current.line == 0 {
			if len(trimmed) == 0 || trimmed[0] == '#' || trimmed[0] == '%' {
				continue
			}
			current.line = number
		}
		current.text = append(current.text, line...)
	}
	flush()
	return chunks, nil
}

// decodeYAML reads an object. Errors tell lines as the file counts them.
func decodeYAML(c chunk) (map[string]any, error) {
	data, err := yaml.YAMLToJSONStrict(c.text)
	if err != nil {
		padded := append(bytes.Repeat([]byte("\n"), c.line-1), c.text...)
		if _, again := yaml.YAMLToJSONStrict(padded); again != nil {
			err = again
		}
		return nil, err
	}
	return decodeJSON(chunk{c.line, data})
}

// splitJSON takes values that follow each other.
func splitJSON(data []byte) ([]chunk, error) {
	var chunks []chunk
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if err == io.EOF {
			return chunks, nil
		}
		if err != nil {
			offset := min(int(decoder.InputOffset()), len(data))
			return chunks, fmt.Errorf("after line %d: %w", 1+bytes.Count(data[:offset], []byte("\n")), err)
		}
		start := int(decoder.InputOffset()) - len(value)
		chunks = append(chunks, chunk{1 + bytes.Count(data[:start], []byte("\n")), value})
	}
}

// decodeJSON reads an object, with whole numbers as int64.
func decodeJSON(c chunk) (map[string]any, error) {
	var value any
	strict, err := kjson.UnmarshalStrict(c.text, &value)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	if _, ok := value.(map[string]any); !ok {
		return nil, fmt.Errorf("want an object, with apiVersion, kind and metadata.name")
	}
	var object map[string]any
	return object, utiljson.Unmarshal(c.text, &object)
}

// flatten returns the items of a list, and those of lists in it; any other object is returned as it is.
func flatten(content map[string]any) []*unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: content}
	if !o.IsList() || !strings.HasSuffix(o.GetKind(), "List") {
		return []*unstructured.Unstructured{o}
	}
	var out []*unstructured.Unstructured
	items, _, _ := unstructured.NestedSlice(content, "items")
	for _, item := range items {
		nested, _ := item.(map[string]any) // an item that is no object is reported as one without a kind
		out = append(out, flatten(nested)...)
	}
	return out
}

// serverFields are the fields that only a server sets. They are dropped, so that a file may hold what kubectl get prints.
var serverFields = [][]string{
	{"status"},
	{"metadata", "creationTimestamp"}, {"metadata", "deletionTimestamp"}, {"metadata", "deletionGracePeriodSeconds"},
	{"metadata", "generation"}, {"metadata", "managedFields"}, {"metadata", "resourceVersion"}, {"metadata", "selfLink"}, {"metadata", "uid"},
}

// tidy drops what only a server can set, and says what is missing.
func tidy(o *unstructured.Unstructured) error {
	switch {
	case o.GetAPIVersion() == "":
		return errors.New("apiVersion is required")
	case o.GetKind() == "":
		return errors.New("kind is required")
	case o.GetName() == "" && o.GetGenerateName() != "":
		return errors.New("metadata.name is required: an object with a generated name can't be found again")
	case o.GetName() == "":
		return errors.New("metadata.name is required")
	}
	if _, err := schema.ParseGroupVersion(o.GetAPIVersion()); err != nil {
		return fmt.Errorf("apiVersion: %w", err)
	}
	// A client refuses these before it asks a server.
	if wrong := content.IsPathSegmentName(o.GetName()); len(wrong) > 0 {
		return fmt.Errorf("metadata.name: %s", strings.Join(wrong, ", "))
	}
	if wrong := content.IsPathSegmentName(o.GetNamespace()); len(wrong) > 0 {
		return fmt.Errorf("metadata.namespace: %s", strings.Join(wrong, ", "))
	}
	if _, _, err := unstructured.NestedMap(o.Object, "metadata", "annotations"); err != nil {
		return fmt.Errorf("metadata.annotations: %w", err)
	}
	for _, fields := range serverFields {
		unstructured.RemoveNestedField(o.Object, fields...)
	}
	unstructured.RemoveNestedField(o.Object, "metadata", "annotations", Annotation)
	return nil
}
