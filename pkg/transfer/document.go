package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Document is an object as a file has it.
type Document struct {
	Object *unstructured.Unstructured
	// place is where it is, for errors.
	place string
}

// suffixes are those of the files that are read in directories.
var suffixes = []string{".yaml", ".yml", ".json"}

// Read reads the objects in files, which are YAML or JSON. A directory stands for the .yaml, .yml and .json files right
// in it, and "-" for stdin. Lists stand for their items. If anything cannot be understood, all that is wrong is returned
// instead.
func Read(files []string, stdin io.Reader) ([]Document, error) {
	var documents []Document
	var errs []error
	for _, file := range files {
		found, err := readPath(file, stdin)
		documents = append(documents, found...)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return documents, nil
}

func readPath(path string, stdin io.Reader) ([]Document, error) {
	if path == "-" {
		return parse("standard input", stdin)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return readFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var documents []Document
	var errs []error
	for _, entry := range entries {
		if entry.IsDir() || !slices.Contains(suffixes, filepath.Ext(entry.Name())) {
			continue
		}
		found, err := readFile(filepath.Join(path, entry.Name()))
		documents = append(documents, found...)
		errs = append(errs, err)
	}
	return documents, errors.Join(errs...)
}

func readFile(path string) ([]Document, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parse(path, file)
}

// parse reads documents, which name says where they are from. Errors in one of them leave the others readable.
func parse(name string, r io.Reader) ([]Document, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// YAML may begin as JSON does.
	decode := decodeJSON
	texts, err := splitJSON(data)
	if err != nil {
		decode = decodeYAML
		texts, err = splitYAML(data)
	}
	var documents []Document
	var errs []error
	for i, text := range texts {
		place := fmt.Sprintf("%s, document %d", name, i+1)
		content, err := decode(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", place, err))
			continue
		}
		for _, o := range flatten(content) {
			if err := check(o); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", place, err))
				continue
			}
			documents = append(documents, Document{o, place})
		}
	}
	if err != nil { // what follows cannot be told apart
		errs = append(errs, fmt.Errorf("%s, document %d: %w", name, len(texts)+1, err))
	}
	return documents, errors.Join(errs...)
}

// splitYAML returns the documents of a YAML stream, without those that are empty.
func splitYAML(data []byte) (texts [][]byte, _ error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		text, err := reader.Read()
		if err == io.EOF {
			return texts, nil
		}
		if err != nil {
			return texts, err
		}
		if !isBlank(text) {
			texts = append(texts, text)
		}
	}
}

// isBlank says whether YAML holds nothing but comments.
func isBlank(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

// splitJSON returns the values of a JSON stream.
func splitJSON(data []byte) (texts [][]byte, _ error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if err == io.EOF {
			return texts, nil
		}
		if err != nil {
			return nil, err
		}
		texts = append(texts, value)
	}
}

func decodeYAML(text []byte) (map[string]any, error) {
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	return decodeJSON(data)
}

// decodeJSON reads an object, with whole numbers as int64, and no field twice.
func decodeJSON(text []byte) (map[string]any, error) {
	var value any
	strict, err := kjson.UnmarshalStrict(text, &value)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	if _, ok := value.(map[string]any); !ok {
		return nil, errors.New("want an object, with apiVersion, kind and metadata.name")
	}
	var object map[string]any
	return object, utiljson.Unmarshal(text, &object)
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
	case o.GetName() == "":
		return errors.New("metadata.name is required")
	}
	if _, err := schema.ParseGroupVersion(o.GetAPIVersion()); err != nil {
		return fmt.Errorf("apiVersion: %w", err)
	}
	if wrong := content.IsPathSegmentName(o.GetName()); len(wrong) > 0 {
		return fmt.Errorf("metadata.name: %s", strings.Join(wrong, ", "))
	}
	if wrong := content.IsPathSegmentName(o.GetNamespace()); len(wrong) > 0 {
		return fmt.Errorf("metadata.namespace: %s", strings.Join(wrong, ", "))
	}
	return nil
}
