package crd

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Channel is a release channel of the Gateway API. It decides which CustomResourceDefinitions validate.
type Channel string

const (
	// ExperimentalChannel has every kind, version and field.
	ExperimentalChannel Channel = "experimental"
	// StandardChannel has those that upstream holds for stable.
	StandardChannel Channel = "standard"
)

// Rules validate the objects of one kind and version as a channel demands it.
//
// An object may say more than the schema of its version knows: in a channel without some of its fields, and in a retired
// version that shares its Go type with the hub. The schemas that know the rest validate it too, so that nothing is stored
// that no schema has seen.
type Rules struct {
	// schemas validate, the next one only what the one before doesn't know all of.
	schemas []*Schema
	// fields are the first of the schemas, which define the fields of the channel. Empty means that every field is in it.
	fields []*Schema
	// absent says why nothing new may be of this version, if that is not in the channel.
	absent string
}

// NewRules returns the rules of gvk, which must be a kind and version that Lookup knows. Objects are of the Go type of
// hub, which is gvk itself for a version that has a Go type of its own.
func NewRules(channel Channel, gvk, hub schema.GroupVersionKind) *Rules {
	r := &Rules{}
	if channel == StandardChannel {
		if Standard(gvk) == nil {
			r.absent = absent(gvk)
		} else {
			r.fields = distinct(Standard(gvk), Standard(hub))
		}
	}
	if len(r.fields) == 0 {
		r.schemas = distinct(Lookup(gvk), Lookup(hub))
	} else {
		r.schemas = distinct(append(slices.Clone(r.fields), Lookup(hub))...)
	}
	return r
}

// distinct returns the schemas that are none of those before them.
func distinct(schemas ...*Schema) []*Schema {
	var all []*Schema
	for _, s := range schemas {
		if s != nil && !slices.ContainsFunc(all, s.Same) {
			all = append(all, s)
		}
	}
	return all
}

// Validate checks a new object, which has its defaults. What is not in the channel is refused.
func (r *Rules) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	if r.absent != "" {
		return field.ErrorList{field.Forbidden(field.NewPath("kind"), r.absent)}
	}
	forbidden := r.forbidden(obj, nil)
	return collect(forbidden, r.judges(obj, specPart, forbidden), func(s *Schema) field.ErrorList { return s.Validate(ctx, obj) })
}

// ValidateUpdate checks an object that replaces old, with ratcheting: an object that is not in the channel, or has fields
// that are not, keeps them, and gets no more. What must never change doesn't, by way of any version.
func (r *Rules) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	forbidden := r.forbidden(obj, old)
	judges := slices.Clip(r.judges(obj, specPart, forbidden))
	for _, s := range r.schemas[len(judges):] {
		if s.structure.parse().transitions {
			judges = append(judges, s)
		}
	}
	return collect(forbidden, judges, func(s *Schema) field.ErrorList { return s.ValidateUpdate(ctx, obj, old) })
}

// ValidateStatusUpdate checks the status that a client wrote to the status subresource, with ratcheting. Controllers may
// write every field: what they say does nothing to anyone who expects the channel.
func (r *Rules) ValidateStatusUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return collect(nil, r.judges(obj, statusPart, nil), func(s *Schema) field.ErrorList { return s.ValidateStatusUpdate(ctx, obj, old) })
}

// judges returns the first of the schemas, up to one that knows all of obj. With forbidden fields, which have to go
// first, these are the channel's.
func (r *Rules) judges(obj runtime.Object, part part, forbidden field.ErrorList) []*Schema {
	schemas := r.schemas
	if len(forbidden) > 0 {
		schemas = r.fields
	}
	for i, s := range schemas[:len(schemas)-1] {
		if len(s.unknown(obj, part)) == 0 {
			return schemas[:i+1]
		}
	}
	return schemas
}

// collect adds the errors of the schemas to errs, each once.
func collect(errs field.ErrorList, schemas []*Schema, validate func(*Schema) field.ErrorList) field.ErrorList {
	for _, s := range schemas {
		for _, err := range validate(s) {
			if !slices.ContainsFunc(errs, func(known *field.Error) bool { return known.Error() == err.Error() }) {
				errs = append(errs, err)
			}
		}
	}
	return errs
}

// forbidden returns errors for the fields of obj that are not in the channel, without those that were set in old: a field
// that is set in as many places as before may have moved with the elements of its list.
func (r *Rules) forbidden(obj, old runtime.Object) field.ErrorList {
	paths := r.outside(obj)
	if len(paths) == 0 {
		return nil
	}
	var before []string
	if old != nil {
		before = r.outside(old)
	}
	now, then := countFields(paths), countFields(before)
	var errs field.ErrorList
	for _, path := range paths {
		if now[fieldOf(path)] <= then[fieldOf(path)] || slices.Contains(before, path) {
			continue
		}
		err := field.Forbidden(nil, "is in the experimental channel of the Gateway API, and this server runs with --channel=standard; remove the field, or run the server with --channel=experimental")
		err.Field = path
		errs = append(errs, err)
	}
	return errs
}

// outside returns the paths of the fields in the spec of obj that none of the channel's schemas defines.
func (r *Rules) outside(obj runtime.Object) []string {
	var paths []string
	for i, s := range r.fields {
		unknown := s.Unknown(obj)
		if i == 0 {
			paths = unknown
		} else {
			paths = append(within(paths, unknown), within(unknown, paths)...)
			slices.Sort(paths)
			paths = slices.Compact(paths)
		}
		if len(paths) == 0 {
			return nil
		}
	}
	return paths
}

// within returns the paths that are in parents or lie below one of them.
func within(paths, parents []string) []string {
	var found []string
	for _, path := range paths {
		if slices.ContainsFunc(parents, func(parent string) bool {
			below, ok := strings.CutPrefix(path, parent)
			return ok && (below == "" || below[0] == '.' || below[0] == '[')
		}) {
			found = append(found, path)
		}
	}
	return found
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// fieldOf is path without the indexes of lists.
func fieldOf(path string) string { return indexes.ReplaceAllString(path, "[]") }

func countFields(paths []string) map[string]int {
	counts := map[string]int{}
	for _, path := range paths {
		counts[fieldOf(path)]++
	}
	return counts
}

// absent says what is wrong with a new object of a kind and version that is not in the standard channel.
func absent(gvk schema.GroupVersionKind) string {
	message := fmt.Sprintf("%s %s is in the experimental channel of the Gateway API, and this server runs with --channel=standard; run it with --channel=experimental", gvk.GroupVersion(), gvk.Kind)
	if warning := Lookup(gvk).DeprecationWarning(); warning != "" {
		message += ". " + warning
	}
	return message
}
