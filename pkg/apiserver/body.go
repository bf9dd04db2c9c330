package apiserver

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	cbor "k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retired"
)

// encoding is how a document is written in the body of a request. Integers are decoded as int64.
type encoding struct {
	// decode also returns the complaints of strict field validation about the document: keys that are there twice.
	decode func(data []byte, into any) (strict []error, err error)
	encode func(doc any) ([]byte, error)
	// escapes are texts of which each document has one in which strings are not as they are elsewhere.
	escapes []string
}

// mayHave says whether a document may have one of the fields.
func (e encoding) mayHave(fields retired.Fields, document []byte) bool {
	return fields.MentionedIn(document) || slices.ContainsFunc(e.escapes, func(escape string) bool { return bytes.Contains(document, []byte(escape)) })
}

var (
	jsonEncoding = encoding{decode: decodeJSON, encode: json.Marshal, escapes: []string{jsonEscape}}
	yamlEncoding = encoding{decode: decodeYAML, encode: yaml.Marshal, escapes: []string{`\`, "!", "\x00"}} // YAML can be UTF-16
	cborEncoding = encoding{decode: decodeCBOR, encode: cbor.Marshal, escapes: []string{""}}               // strings can be in pieces
)

const jsonEscape = `\u`

func decodeJSON(data []byte, into any) (strict []error, err error) {
	return kjson.UnmarshalStrict(data, into, kjson.DisallowDuplicateFields)
}

func decodeYAML(data []byte, into any) (strict []error, err error) {
	if err := utilyaml.Unmarshal(data, into); err != nil {
		return nil, err
	}
	var again map[string]any
	if err := utilyaml.UnmarshalStrict(data, &again); err != nil {
		strict = append(strict, err)
	}
	return strict, nil
}

// decodeCBOR refuses keys that are there twice.
func decodeCBOR(data []byte, into any) (strict []error, err error) {
	return nil, cbor.Unmarshal(data, into)
}

// bodyOf returns what the handlers will take the body of a write for: the type of a patch, empty for an object, and its
// encoding. They refuse what is not ok.
func bodyOf(req *http.Request) (patch types.PatchType, _ encoding, ok bool) {
	contentType := req.Header.Get("Content-Type")
	if req.Method == http.MethodPatch {
		contentType, _, _ = strings.Cut(contentType, ";")
		switch patch = types.PatchType(contentType); patch {
		case types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType:
			return patch, jsonEncoding, true
		case types.ApplyYAMLPatchType:
			return patch, yamlEncoding, true
		case types.ApplyCBORPatchType:
			return patch, cborEncoding, true
		}
		return patch, encoding{}, false
	}
	if contentType == "" {
		return "", jsonEncoding, true
	}
	switch mediaType, _, _ := mime.ParseMediaType(contentType); mediaType {
	case runtime.ContentTypeJSON:
		return "", jsonEncoding, true
	case runtime.ContentTypeYAML:
		return "", yamlEncoding, true
	case runtime.ContentTypeCBOR:
		return "", cborEncoding, true
	}
	return "", encoding{}, false
}

// readBody returns the body of a request, and a copy of the request in which it can be read again. Of a body that can't
// be read or is longer than limit, if there is one, it returns false: whoever reads the copy finds the same.
func readBody(req *http.Request, limit int64) (data []byte, again *http.Request, ok bool) {
	body := io.Reader(req.Body)
	if limit > 0 {
		body = io.LimitReader(body, limit+1)
	}
	data, err := io.ReadAll(body)
	again = req.WithContext(req.Context())
	again.Body = readAgain{io.MultiReader(bytes.NewReader(data), req.Body), req.Body}
	return data, again, err == nil && (limit <= 0 || int64(len(data)) <= limit)
}

// readAgain is a body of which a part has been read.
type readAgain struct {
	io.Reader
	io.Closer
}

// setBody gives a request, which must be a copy, another body.
func setBody(req *http.Request, data []byte) {
	req.Body = readAgain{bytes.NewReader(data), req.Body}
	req.ContentLength, req.TransferEncoding = int64(len(data)), nil
	req.Header = req.Header.Clone()
	req.Header.Set("Content-Length", strconv.Itoa(len(data)))
}
