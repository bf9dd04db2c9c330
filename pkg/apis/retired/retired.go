package retired

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Form is what a document is, which decides what is missing in it and what a null means.
type Form int

const (
	// Object is a whole object, or what one manager sets of it with a server-side apply. A null is nothing.
	Object Form = iota
	// MergePatch is a JSON merge patch (RFC 7386): a null deletes, and a list replaces the whole list. A strategic merge
	// patch is the same: no retired field is in a list that it would merge.
	MergePatch
	// Patched is an object to which a merge patch has been applied. Stored objects have no retired fields, so one that is
	// here comes from the patch, and overrides its successor.
	Patched
)

// Field is a field that is not in the Go types of the served release.
type Field struct {
	// Name is its path, without indices: spec.listeners[].tls.frontendValidation.
	Name string
	// Successor is the path of what replaces it, or empty if there is nothing.
	Successor string
	// history continues a sentence that began with the field's path.
	history string
	// marker is in the text of every document that has the field.
	marker string
	// rewrite moves what r.doc has of the field.
	rewrite func(r *rewriting, f *Field)
}

// String says what became of the field.
func (f *Field) String() string {
	if f.Successor == "" {
		return fmt.Sprintf("%s %s and has no effect", f.Name, f.history)
	}
	return fmt.Sprintf("%s %s; here it is %s", f.Name, f.history, f.Successor)
}

// Fields are those of a kind.
type Fields []*Field

// Lookup returns the retired fields of a kind, which are the same in all of its versions.
func Lookup(kind schema.GroupKind) Fields { return kinds[kind] }

// Use is one place where a document has a retired field.
type Use struct {
	Field *Field
	// Path is the place: spec.listeners[0].tls.frontendValidation.
	Path string
	// Successor is the path to use instead, or empty if there is none.
	Successor string
}

// Warning is what to tell who wrote the document, after it has been rewritten.
func (u Use) Warning() string {
	if u.Successor == "" {
		return fmt.Sprintf("%s %s; it has no effect and is kept in the annotation %s", u.Path, u.Field.history, Annotation)
	}
	return fmt.Sprintf("%s %s; it is stored as %s", u.Path, u.Field.history, u.Successor)
}

// Result is what Rewrite has found and done.
type Result struct {
	// Uses are the fields found, refused ones included. A null isn't one: it is how clients take a field back.
	Uses []Use
	// Changed says that the document is another one now.
	Changed bool
	// Left says that a retired field is still in the document, because its successor depends on what the patch is applied
	// to: the patched object must be rewritten too.
	Left bool
}

// MentionedIn says whether an encoded document may have one of the fields. It is quick, and false for nearly all documents
// that have none. It can't see names that are spelled with escapes.
func (fs Fields) MentionedIn(document []byte) bool {
	return slices.ContainsFunc(fs, func(f *Field) bool { return bytes.Contains(document, []byte(f.marker)) })
}

// LeftIn says the same of the fields that Rewrite leaves in patches, of any kind.
func LeftIn(document []byte) bool { return bytes.Contains(document, []byte(frontendValidation)) }

// Rewrite moves the retired fields in doc, a decoded JSON object whose integers are int64, to their successors. After an
// error, doc is of no use any more.
func (fs Fields) Rewrite(doc map[string]any, form Form) (Result, field.ErrorList) {
	r := &rewriting{fields: fs, doc: doc, form: form}
	for _, f := range fs {
		f.rewrite(r, f)
	}
	r.annotate()
	return r.Result, r.errs
}

// rewriting is a call of Rewrite.
type rewriting struct {
	fields Fields
	doc    map[string]any
	form   Form
	Result
	errs field.ErrorList

	// kept are the values without a successor, by path; forget says that one has been taken back.
	kept   map[string]any
	forget bool
}

func (r *rewriting) use(f *Field, path, successor string) {
	r.Uses = append(r.Uses, Use{Field: f, Path: path, Successor: successor})
}

// unknown refuses the keys of an object that no release had there.
func (r *rewriting) unknown(path string, object map[string]any, known ...string) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(known, key) {
			r.refuse(path+"."+key, "unknown field")
		}
	}
}

func (r *rewriting) refuse(path, format string, args ...any) {
	r.errs = append(r.errs, field.Forbidden(field.NewPath(path), fmt.Sprintf(format, args...)))
}

func split(path string) []string { return strings.Split(path, ".") }

// lookup returns what is at path, whose steps are all keys of objects.
func lookup(doc map[string]any, path ...string) (value any, found bool) {
	for _, key := range path[:len(path)-1] {
		doc, _ = doc[key].(map[string]any)
	}
	value, found = doc[path[len(path)-1]]
	return value, found
}

// objectAt returns the object at path, and makes it and those around it where nothing or a null is. It returns nil if
// something else is in the way, which the decoder will complain about.
func objectAt(doc map[string]any, path ...string) map[string]any {
	for _, key := range path {
		if doc[key] == nil {
			doc[key] = map[string]any{}
		}
		inner, ok := doc[key].(map[string]any)
		if !ok {
			return nil
		}
		doc = inner
	}
	return doc
}

// objectsIn returns the objects of a list and their indices, and passes over everything else.
func objectsIn(list any) iter.Seq2[int, map[string]any] {
	items, _ := list.([]any)
	return func(yield func(int, map[string]any) bool) {
		for i, item := range items {
			if object, ok := item.(map[string]any); ok && !yield(i, object) {
				return
			}
		}
	}
}
