package plane

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// check validates what is packed in a resource, at any depth, by the rules of its proto files, as Envoy does when it reads it. The
// resource itself has been validated when it came. Whether its fields are executed is for those who execute them to say.
func check(resource proto.Message) error {
	var problems []error
	err := protorange.Range(resource.ProtoReflect(), func(path protopath.Values) error {
		step := path.Index(-1)
		message, ok := step.Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		if packed, ok := message.Interface().(*anypb.Any); ok {
			if _, err := packed.UnmarshalNew(); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", path.Path, err))
			}
		}
		if v, ok := message.Interface().(interface{ ValidateAll() error }); ok && step.Step.Kind() == protopath.AnyExpandStep {
			if err := v.ValidateAll(); err != nil {
				problems = append(problems, fmt.Errorf("proto constraint validation failed: %w", err))
			}
		}
		return nil
	})
	return errors.Join(append(problems, err)...)
}
