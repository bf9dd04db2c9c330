package transfer

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// serverFields are the fields that only the server that has an object can set.
var serverFields = [][]string{
	{"metadata", "creationTimestamp"}, {"metadata", "deletionTimestamp"}, {"metadata", "deletionGracePeriodSeconds"},
	{"metadata", "generation"}, {"metadata", "resourceVersion"}, {"metadata", "selfLink"}, {"metadata", "uid"},
}

// strip removes from an object what only the server that has it can say.
func strip(o *unstructured.Unstructured) {
	for _, fields := range serverFields {
		unstructured.RemoveNestedField(o.Object, fields...)
	}
	if owners, ok, _ := unstructured.NestedSlice(o.Object, "metadata", "ownerReferences"); ok {
		for _, owner := range owners {
			if o, ok := owner.(map[string]any); ok {
				delete(o, "uid")
			}
		}
		_ = unstructured.SetNestedSlice(o.Object, owners, "metadata", "ownerReferences") // metadata is a map
	}
	DropUnset(o)
}

// DropUnset removes spec.tls.validation of an XBackend if nothing of it is set: it is optional, and the Go type in which
// gateway-apiserver keeps XBackends can't leave it out. A CRD refuses it without a hostname.
func DropUnset(o *unstructured.Unstructured) {
	if o.GetKind() != "XBackend" || o.GroupVersionKind().Group != gatewayXGroup {
		return
	}
	validation, ok, _ := unstructured.NestedMap(o.Object, "spec", "tls", "validation")
	if ok && len(validation) == 1 && validation["hostname"] == "" {
		unstructured.RemoveNestedField(o.Object, "spec", "tls", "validation")
	}
}

// encode writes an object as a YAML document. One with characters that YAML forbids or takes for line breaks stays JSON,
// with these escaped, which is YAML too.
func encode(o *unstructured.Unstructured) ([]byte, error) {
	data, err := json.Marshal(o.Object)
	if err != nil {
		return nil, err
	}
	if !bytes.ContainsFunc(data, isSpecial) && !bytes.Contains(data, []byte(`\u202`)) { // JSON escapes these line breaks
		return yaml.JSONToYAML(data)
	}
	var escaped bytes.Buffer
	for _, r := range string(data) {
		if isSpecial(r) {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		} else {
			escaped.WriteRune(r)
		}
	}
	return append(escaped.Bytes(), '\n'), nil
}

// isSpecial says whether a character is none that YAML documents may hold as it is, or a line break in them but not in JSON
// (the productions c-printable and b-char of YAML 1.1). Those below U+0020 are escaped in JSON.
func isSpecial(r rune) bool {
	return r >= 0x7f && r < 0xa0 || r == 0xfeff || r == 0xfffe || r == 0xffff
}
