package manifests

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// place is where a document stands. Its file is an absolute path.
type place = documents.Place

// document is an object as a file declares it, without what only a server can set.
type document struct{ documents.Document }

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
	return keyOf(d.Object.GroupVersionKind().GroupKind(), d.Object.GetNamespace(), d.Object.GetName())
}

// digest identifies what an application of a document would send.
type digest [sha256.Size]byte

func (d document) digest() (digest, error) {
	data, err := json.Marshal(d.Object)
	if err != nil {
		return digest{}, err
	}
	return sha256.Sum256(append(data, d.File...)), nil
}

// parse reads the documents of a file.
func parse(file string, data []byte) (declared []document, problems []problem) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, []problem{{place: place{File: file}, lasting: true,
			err: errors.New("the file is empty, as while it is being written: to delete its objects, delete the file")}}
	}
	found, wrong := documents.Parse(file, data)
	for _, d := range found {
		strip(d.Object)
		declared = append(declared, document{d})
	}
	for _, p := range wrong {
		problems = append(problems, problem{place: p.Place, object: p.Object, err: p.Err, lasting: true})
	}
	return declared, problems
}

// serverFields are the fields that only a server sets. They are dropped, so that a file may hold what kubectl get prints.
var serverFields = [][]string{
	{"status"},
	{"metadata", "creationTimestamp"}, {"metadata", "deletionTimestamp"}, {"metadata", "deletionGracePeriodSeconds"},
	{"metadata", "generation"}, {"metadata", "managedFields"}, {"metadata", "resourceVersion"}, {"metadata", "selfLink"}, {"metadata", "uid"},
}

// strip drops what only a server can set, and what only the follower does.
func strip(o *unstructured.Unstructured) {
	for _, fields := range serverFields {
		unstructured.RemoveNestedField(o.Object, fields...)
	}
	if annotations, _, _ := unstructured.NestedMap(o.Object, "metadata", "annotations"); annotations == nil {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations") // null, to which none can be added
	}
	unstructured.RemoveNestedField(o.Object, "metadata", "annotations", Annotation)
}
