package takeover

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// takeoverAnnotation is on objects of gateway-apiserver that were taken over, and handbackAnnotation on objects of the
	// CustomResourceDefinitions while a handback is under way. The value is a record.
	takeoverAnnotation = "gateway-apiserver.dev/takeover"
	handbackAnnotation = "gateway-apiserver.dev/handback"
	// formerUIDAnnotation is on objects that got another uid in a handback, and has the one that they had.
	formerUIDAnnotation = "gateway-apiserver.dev/former-uid"
)

// record is what a moved object says about the move.
type record struct {
	// UID and ResourceVersion are those of the object that it was made from, on the other side.
	UID             types.UID `json:"uid"`
	ResourceVersion string    `json:"resourceVersion"`
	// Source are the digests of that object's content, and Target is what was made of it.
	Source parts `json:"source"`
	Target trace `json:"target"`
	// Kept says that the target has what clients had written there, and not all that the source has.
	Kept bool `json:"kept,omitempty"`
}

// trace is what shows that clients have written an object: every write by a client leaves its trace in metadata, and no
// write of status by gateway-apiserver itself does. It is the same in all versions.
type trace struct {
	Metadata string `json:"metadata"`
	// Generation is zero where it can't be known in advance.
	Generation int64 `json:"generation,omitempty"`
	// Managers are digests of the entries of managedFields.
	Managers []string `json:"managers,omitempty"`
}

// trace is that of an object that has this content. generation says that it has that too.
func (c content) trace(generation bool) trace {
	t := trace{Metadata: c.metadata()}
	if generation {
		t.Generation = c.identity.generation
	}
	for _, entry := range c.Managers {
		t.Managers = append(t.Managers, digest(entry))
	}
	return t
}

// recordOf returns the record in an annotation of an object, or nil if there is none that can be read.
func recordOf(o *unstructured.Unstructured, annotation string) *record {
	value, ok := o.GetAnnotations()[annotation]
	if !ok {
		return nil
	}
	r := &record{}
	if json.Unmarshal([]byte(value), r) != nil || r.UID == "" {
		return nil
	}
	return r
}

func (r record) String() string {
	data, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encoding a record: %v", err))
	}
	return string(data)
}

// changes are the parts of an object that have changed since a record was made.
type changes struct{ metadata, spec, status, managers bool }

func (c changes) any() bool { return c.metadata || c.spec || c.status || c.managers }

// source says what has changed of the object that the record's was made from.
func (r *record) source(c content) changes {
	now := c.parts()
	return changes{
		metadata: now.Metadata != r.Source.Metadata, spec: now.Spec != r.Source.Spec,
		status: now.Status != r.Source.Status, managers: now.Managers != r.Source.Managers,
	}
}

// target says what clients have changed of the record's object. It errs by parts that the same client manages.
func (r *record) target(c content) changes {
	out := changes{metadata: c.metadata() != r.Target.Metadata}
	began := began(c.Managers)
	var fresh []any
	left := slices.Clone(r.Target.Managers)
	for _, entry := range c.Managers {
		if i := slices.Index(left, digest(entry)); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		// While we write an object, it still has the managers that it had before.
		if nested[string](entry, "manager") != fieldManager && nested[string](entry, "time") >= began {
			fresh = append(fresh, entry)
		}
	}
	out.managers = len(fresh) > 0 || len(left) > 0 && began == ""
	unknown := len(fresh) == 0 && out.managers // a manager has gone with all that it managed
	out.spec, out.status = unknown, unknown
	for _, entry := range fresh {
		out.status = out.status || nested[string](entry, "subresource") == "status"
		for field := range nested[map[string]any](entry, "fieldsV1") {
			out.status = out.status || field == "f:status"
			out.spec = out.spec || field != "f:status" && field != "f:metadata"
		}
	}
	if r.Target.Generation > 0 {
		out.spec = c.identity.generation != r.Target.Generation
	}
	return out
}

// began returns when a move began to write an object that it has not finished, or "".
func began(managers []any) string {
	began := ""
	for _, entry := range managers {
		if at := nested[string](entry, "time"); nested[string](entry, "manager") == fieldManager && (began == "" || at < began) {
			began = at
		}
	}
	return began
}

// isUnfinished says whether a move has begun to write an object and was stopped.
func (c content) isUnfinished() bool { return began(c.Managers) != "" }
