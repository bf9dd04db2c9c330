package documents

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Place is where a document stands.
type Place struct {
	File   string // as it was given to Parse
	Number int    // of the document in the file, from 1, without those that are empty; 0 is the file itself
	Line   int    // of the document's first line of content, from 1; 0 if there is none to be told
}

// String returns a place in words, for example "web.yaml, document 2".
func (p Place) String() string {
	if p.Number == 0 {
		return p.File
	}
	return fmt.Sprintf("%s, document %d", p.File, p.Number)
}

// Document is an object as a file has it. The items of a list share their place.
type Document struct {
	Place
	// Object has an apiVersion, a kind, and a name. Whole numbers in it are int64.
	Object *unstructured.Unstructured
}

// Problem is what is wrong with a document, or with the file from there on.
type Problem struct {
	Place
	Object string // the object's title, as far as the document says it
	Err    error
}

// Error implements error.
func (p Problem) Error() string { return fmt.Sprintf("%s: %v", p.Place, p.Err) }

// Unwrap returns what is wrong, without the place.
func (p Problem) Unwrap() error { return p.Err }

// IsFile says whether a directory's file holds documents, by its name: as for kubectl apply -f DIR, the suffix is .yaml,
// .yml or .json.
func IsFile(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

// Title names an object for people, for example "HTTPRoute default/web".
func Title(o *unstructured.Unstructured) string {
	name := o.GetName()
	if o.GetNamespace() != "" {
		name = o.GetNamespace() + "/" + name
	}
	return strings.TrimSpace(o.GetKind() + " " + name)
}

// Parse reads the documents of a file. A list stands for its items. A document with a problem is left out; those around
// it are not.
//
// A file whose name ends in .json is JSON. What else it is, its content says: JSON if all of it is, and otherwise YAML.
func Parse(file string, data []byte) ([]Document, []Problem) {
	decode := decodeJSON
	chunks, err := splitJSON(data)
	if err != nil && filepath.Ext(file) != ".json" { // YAML may begin as JSON does
		decode = decodeYAML
		chunks, err = splitYAML(data)
	}
	var documents []Document
	var problems []Problem
	for i, c := range chunks {
		at := Place{File: file, Number: i + 1, Line: c.line}
		object, err := decode(c)
		if err != nil {
			problems = append(problems, Problem{Place: at, Err: err})
			continue
		}
		for _, o := range flatten(object) {
			if err := check(o); err != nil {
				problems = append(problems, Problem{at, Title(o), err})
				continue
			}
			documents = append(documents, Document{at, o})
		}
	}
	if err != nil { // what follows cannot be told apart
		problems = append(problems, Problem{Place: Place{File: file, Number: len(chunks) + 1}, Err: err})
	}
	return documents, problems
}

// flatten returns the items of a list, and those of lists in it; any other object is returned as it is.
func flatten(object map[string]any) []*unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: object}
	if !o.IsList() || !strings.HasSuffix(o.GetKind(), "List") {
		return []*unstructured.Unstructured{o}
	}
	var out []*unstructured.Unstructured
	items, _, _ := unstructured.NestedSlice(object, "items")
	for _, item := range items {
		nested, _ := item.(map[string]any) // an item that is no object is reported as one without a kind
		out = append(out, flatten(nested)...)
	}
	return out
}

// check says what is missing of an object, or makes it impossible to ask a server about it.
func check(o *unstructured.Unstructured) error {
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
	for _, field := range []string{"labels", "annotations"} {
		value, _, _ := unstructured.NestedFieldNoCopy(o.Object, "metadata", field)
		if _, ok := value.(map[string]any); value != nil && !ok {
			return fmt.Errorf("metadata.%s: want an object", field)
		}
	}
	return nil
}
