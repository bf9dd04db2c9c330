package strict

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Fields are the names of the fields that are executed, separated by spaces, by message. A message that isn't here has none.
type Fields map[protoreflect.FullName]string

// Check returns an error that names a field of m, or of the messages in it, that is set and not executed. What is in an Any is
// for who reads it to check: with a list of its own.
func (f Fields) Check(m proto.Message) error { return f.message(m.ProtoReflect(), "") }

func (f Fields) message(m protoreflect.Message, path string) error {
	descriptor := m.Descriptor()
	if descriptor.FullName().Parent() == "google.protobuf" {
		return nil // durations, wrappers, Any
	}
	if metadata, ok := m.Interface().(*corev3.Metadata); ok {
		return notes(metadata, path)
	}
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%s: has a field that this version of Envoy's API doesn't know", at(path, descriptor))
	}
	executed := strings.Fields(f[descriptor.FullName()])
	var err error
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		name := strings.TrimPrefix(path+"."+string(field.Name()), ".")
		if !slices.Contains(executed, string(field.Name())) {
			err = errors.Join(err, fmt.Errorf("%s: not executed", name))
			return true
		}
		err = errors.Join(err, f.field(field, value, name))
		return true
	})
	return err
}

func (f Fields) field(field protoreflect.FieldDescriptor, value protoreflect.Value, path string) (err error) {
	switch {
	case field.IsMap():
		if field.MapValue().Message() == nil {
			return nil
		}
		value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			err = errors.Join(err, f.message(value.Message(), fmt.Sprintf("%s[%q]", path, key.String())))
			return true
		})
	case field.Message() == nil:
	case field.IsList():
		for i := range value.List().Len() {
			err = errors.Join(err, f.message(value.List().Get(i).Message(), fmt.Sprintf("%s[%d]", path, i)))
		}
	default:
		return f.message(value.Message(), path)
	}
	return err
}

func at(path string, descriptor protoreflect.MessageDescriptor) string {
	if path == "" {
		return string(descriptor.Name())
	}
	return path
}

// notes returns an error if metadata are more than notes for who reads the configuration: what is below names of Envoy's own
// extensions is for these to execute, and only they have metadata of a type.
func notes(m *corev3.Metadata, path string) (err error) {
	for name := range m.GetFilterMetadata() {
		if strings.HasPrefix(name, "envoy.") {
			err = errors.Join(err, fmt.Errorf("%s.filter_metadata[%q]: not executed", path, name))
		}
	}
	for name := range m.GetTypedFilterMetadata() {
		err = errors.Join(err, fmt.Errorf("%s.typed_filter_metadata[%q]: not executed", path, name))
	}
	return err
}
