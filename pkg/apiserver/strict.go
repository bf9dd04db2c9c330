package apiserver

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// explainUnknownFields makes the complaints of strict field validation say what mends them: the fields that there are,
// and what else is wrong with the object, which the handlers would only tell in answer to the next try.
func explainUnknownFields(s runtime.NegotiatedSerializer, kinds []*registry.Kind) runtime.NegotiatedSerializer {
	served := map[schema.GroupVersionKind]*registry.Version{}
	for _, kind := range kinds {
		for _, v := range kind.Versions {
			served[v.GroupVersionKind] = v
		}
	}
	mediaTypes := slices.Clone(s.SupportedMediaTypes())
	for i := range mediaTypes {
		if strict := mediaTypes[i].StrictSerializer; strict != nil {
			mediaTypes[i].StrictSerializer = strictSerializer{strict, served}
		}
	}
	return negotiated{s, mediaTypes}
}

// strictSerializer decodes objects strictly, and is verbose about those that have unknown fields.
type strictSerializer struct {
	runtime.Serializer
	served map[schema.GroupVersionKind]*registry.Version
}

func (s strictSerializer) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, gvk, err := s.Serializer.Decode(data, defaults, into)
	strict, ok := runtime.AsStrictDecodingError(err)
	if !ok || obj == nil || gvk == nil || s.served[*gvk] == nil {
		return obj, gvk, err
	}
	var complaints []error
	for _, complaint := range strict.Errors() {
		complaints = append(complaints, nameKnownFields(complaint, crd.Lookup(*gvk)))
	}
	for _, invalid := range s.validate(obj, s.served[*gvk]) {
		complaints = append(complaints, invalid)
	}
	return obj, gvk, runtime.NewStrictDecodingError(complaints)
}

// validate returns what the rules of its version say about the spec of an object that was just decoded. Its metadata is
// not complete yet.
func (s strictSerializer) validate(obj runtime.Object, v *registry.Version) field.ErrorList {
	obj = obj.DeepCopyObject()
	apis.Scheme.Default(obj)
	hub, err := apis.Scheme.ConvertToVersion(obj, schema.GroupVersion{Group: v.Group, Version: runtime.APIVersionInternal})
	if err != nil {
		return nil // the handlers will find the same
	}
	return slices.DeleteFunc(v.Rules.Validate(context.Background(), hub), func(err *field.Error) bool {
		return crd.IsIncomplete(err) || strings.HasPrefix(err.Field, "metadata")
	})
}

var (
	unknownField = regexp.MustCompile(`^unknown field "(?:(.+)\.)?[^."]+"$`)
	listIndex    = regexp.MustCompile(`\[[0-9]+\]$`)
)

// nameKnownFields adds to a complaint about an unknown field the fields that the schema has in its place.
func nameKnownFields(complaint error, s *crd.Schema) error {
	match := unknownField.FindStringSubmatch(complaint.Error())
	if match == nil || s == nil {
		return complaint
	}
	known := fieldsAt(s.OpenAPI(), match[1])
	if len(known) == 0 {
		return complaint
	}
	return fmt.Errorf("%w (the fields there are %s)", complaint, strings.Join(known, ", "))
}

// fieldsAt returns the names of the fields at a path such as spec.rules[0].matches[1], in order.
func fieldsAt(s *spec.Schema, path string) []string {
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' }) {
		plain := listIndex.ReplaceAllString(name, "")
		property, ok := s.Properties[plain]
		if !ok {
			return nil
		}
		s = &property
		if plain != name {
			if s.Items == nil || s.Items.Schema == nil {
				return nil
			}
			s = s.Items.Schema
		}
	}
	return slices.Sorted(maps.Keys(s.Properties))
}
