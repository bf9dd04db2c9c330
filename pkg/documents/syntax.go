package documents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	goyaml "go.yaml.in/yaml/v2"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// chunk is the text of a document.
type chunk struct {
	line int // of its first line of content, from 1
	text []byte
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
		if rest, ok := bytes.CutPrefix(line, []byte("---")); ok {
			flush()
			if isBlank(rest) && !bytes.HasPrefix(rest, []byte("#")) {
				continue
			}
			return chunks, fmt.Errorf("line %d: want nothing after the document separator ---, got %q", number, bytes.TrimSpace(rest))
		}
		if current.line == 0 {
			if isBlank(line) {
				continue
			}
			if line[0] == '%' {
				return chunks, fmt.Errorf("line %d: want no YAML directives, got %q: remove the line", number, bytes.TrimSpace(line))
			}
			current.line = number
		}
		current.text = append(current.text, line...)
	}
	flush()
	return chunks, nil
}

// isBlank says whether a line has no content but a comment, which ends at line breaks that are none elsewhere too.
func isBlank(line []byte) bool {
	line = bytes.Trim(line, " \t\r\n")
	return len(line) == 0 || line[0] == '#' && !bytes.ContainsAny(line, "\r\u0085\u2028\u2029")
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
	object, err := decodeJSON(chunk{c.line, data})
	if err != nil {
		return nil, err
	}
	return object, checkEnd(c.text)
}

// checkEnd says whether there is anything behind the end of the first document, which package yaml would ignore. A
// document also ends at a line "...", and at line breaks that are none elsewhere, such as U+2028.
func checkEnd(text []byte) error {
	decoder := goyaml.NewDecoder(bytes.NewReader(text))
	for _, want := range []error{nil, io.EOF} {
		var value any
		if err := decoder.Decode(&value); !errors.Is(err, want) {
			return errors.New("there is more after the end of the document: want a line --- before it")
		}
	}
	return nil
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

// decodeJSON reads an object, with whole numbers as int64, and no field twice.
func decodeJSON(c chunk) (map[string]any, error) {
	if !utf8.Valid(c.text) { // what isn't would be replaced
		return nil, errors.New("want UTF-8")
	}
	var value any
	strict, err := kjson.UnmarshalStrict(c.text, &value)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	if _, ok := value.(map[string]any); !ok {
		return nil, errors.New("want an object, with apiVersion, kind and metadata.name")
	}
	var object map[string]any
	return object, utiljson.Unmarshal(c.text, &object)
}
