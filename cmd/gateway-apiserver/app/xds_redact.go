package app

import (
	"fmt"

	udpa "github.com/cncf/xds/go/udpa/annotations"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const redacted = "[redacted]"

// redact returns a copy of m without what the Envoy API marks as sensitive (udpa.annotations.sensitive), such as private
// keys, at any depth. What is packed in an Any of an unknown type can't be judged, and is left out as well.
func redact[M proto.Message](m M) (M, error) {
	out := proto.Clone(m).(M)
	return out, redactMessage(out.ProtoReflect())
}

func redactMessage(m protoreflect.Message) error {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		return redactAny(packed)
	}
	var err error
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if sensitive, _ := proto.GetExtension(field.Options(), udpa.E_Sensitive).(bool); sensitive {
			redactField(m, field)
			return true
		}
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = redactMessage(v.Message())
				return err == nil
			})
		case field.IsMap() || field.Message() == nil:
		case field.IsList():
			for i := 0; i < value.List().Len() && err == nil; i++ {
				err = redactMessage(value.List().Get(i).Message())
			}
		default:
			err = redactMessage(value.Message())
		}
		return err == nil
	})
	return err
}

// redactAny redacts what is packed.
func redactAny(packed *anypb.Any) error {
	m, err := packed.UnmarshalNew()
	if err == protoregistry.NotFound {
		return packed.MarshalFrom(wrapperspb.String(fmt.Sprintf("[%d bytes of the unknown type %s]", len(packed.GetValue()), packed.GetTypeUrl())))
	}
	if err != nil {
		return err
	}
	if err := redactMessage(m.ProtoReflect()); err != nil {
		return err
	}
	return packed.MarshalFrom(m)
}

// redactField replaces a sensitive field: texts by a word that says so, and anything else by nothing.
func redactField(m protoreflect.Message, field protoreflect.FieldDescriptor) {
	switch {
	case field.IsList() || field.IsMap():
		m.Clear(field)
	case field.Kind() == protoreflect.StringKind:
		m.Set(field, protoreflect.ValueOfString(redacted))
	case field.Kind() == protoreflect.BytesKind:
		m.Set(field, protoreflect.ValueOfBytes([]byte(redacted)))
	case field.Message() != nil && field.Message().FullName() == (&corev3.DataSource{}).ProtoReflect().Descriptor().FullName():
		word := &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: redacted}}
		m.Set(field, protoreflect.ValueOfMessage(word.ProtoReflect()))
	default:
		m.Clear(field)
	}
}
