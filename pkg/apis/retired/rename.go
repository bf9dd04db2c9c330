package retired

import (
	"fmt"
	"maps"
	"reflect"
)

// moveBackendTLS does what v1.4 has done (GEP-3155): the object is the same at another place.
func moveBackendTLS(r *rewriting, f *Field) {
	const from, to = "spec.backendTLS", "spec.tls.backend"
	if r.form == MergePatch {
		// What deletes spec.tls deletes the other thing in it, too.
		if deleted, found := lookup(r.doc, "spec", "tls"); found && deleted == nil && r.has(from) {
			objectAt(r.doc, "spec", "tls")["frontend"] = nil
		}
	}
	r.rename(f, from, to)
}

func renamePort(r *rewriting, f *Field) { r.rename(f, "spec.port.number", "spec.port.port") }

func renameAncestors(r *rewriting, f *Field) {
	const from = "status.ancestors"
	ancestors, _ := lookup(r.doc, split(from)...)
	for _, ancestor := range objectsIn(ancestors) {
		if ref, found := ancestor["ancestorRef"]; found && ancestor["parentRef"] == nil {
			delete(ancestor, "ancestorRef")
			ancestor["parentRef"] = ref
		}
	}
	r.rename(f, from, "status.parents")
}

// nameFeatures makes objects with a name of the features, which were strings until v1.1.
func nameFeatures(r *rewriting, f *Field) {
	value, _ := lookup(r.doc, "status", "supportedFeatures")
	features, _ := value.([]any)
	for i, feature := range features {
		if name, ok := feature.(string); ok {
			features[i] = map[string]any{"name": name}
			r.Changed = true
			path := fmt.Sprintf("status.supportedFeatures[%d]", i)
			r.use(f, path, path+".name")
		}
	}
}

// rename moves a field whose value stays the same.
func (r *rewriting) rename(f *Field, from, to string) {
	if r.has(from) {
		r.use(f, from, to)
	}
	document := place{object: r.doc, partial: r.form == MergePatch}
	r.move(document, from, document, to)
}

// has says whether there is something at a path.
func (r *rewriting) has(path string) bool {
	value, _ := lookup(r.doc, split(path)...)
	return value != nil
}

// A place is an object in the document.
type place struct {
	object map[string]any
	path   string // of the object; empty for the document itself
	// partial says that the object is merged with what the stored one has there, so that a null in it deletes. Where a
	// patch has a list, the objects in it are whole.
	partial bool
}

// in is the path of what is at a path in the object.
func (p place) in(path string) string {
	if p.path == "" {
		return path
	}
	return p.path + "." + path
}

// take removes what is at a path in p.
func (r *rewriting) take(p place, path string) (value any, found bool) {
	keys := split(path)
	last := len(keys) - 1
	around := p.object
	if last > 0 {
		inner, _ := lookup(p.object, keys[:last]...)
		around, _ = inner.(map[string]any)
	}
	if value, found = around[keys[last]]; found {
		delete(around, keys[last])
		r.Changed = true
	}
	return value, found
}

// move takes a value from one place and sets it at another.
func (r *rewriting) move(from place, path string, to place, successor string) {
	value, found := r.take(from, path)
	if !found {
		return
	}
	if value == nil {
		r.clear(to, successor)
		return
	}
	keys := split(successor)
	last := len(keys) - 1
	around := objectAt(to.object, keys[:last]...)
	if around == nil {
		return
	}
	if there := around[keys[last]]; there == nil || r.form == Patched {
		around[keys[last]] = value
	} else if !sameValue(there, value) {
		r.refuse(from.in(path), "is not what %s says, which replaces it: set only that one", to.in(successor))
	}
}

// clear takes back a successor, because a patch has deleted the retired field.
func (r *rewriting) clear(p place, successor string) {
	if !p.partial {
		return
	}
	keys := split(successor)
	for i := range keys {
		if value, found := lookup(p.object, keys[:i+1]...); found && (value == nil || i == len(keys)-1) {
			return // the patch says itself what becomes of it
		}
	}
	if r.applied(p.in(successor)) {
		return
	}
	if around := objectAt(p.object, keys[:len(keys)-1]...); around != nil {
		around[keys[len(keys)-1]] = nil
	}
}

// sameValue compares the value of a retired field with that of its successor, which may have got the defaults of a
// reference to a Secret since a client has set it.
func sameValue(a, b any) bool {
	complete := func(v any) any {
		object, _ := v.(map[string]any)
		ref, ok := object["clientCertificateRef"].(map[string]any)
		if !ok {
			return v
		}
		completed := map[string]any{"group": "", "kind": "Secret"}
		maps.Copy(completed, ref)
		object = maps.Clone(object)
		object["clientCertificateRef"] = completed
		return object
	}
	return reflect.DeepEqual(complete(a), complete(b))
}
