package install

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// Print writes objects as YAML documents.
func Print(w io.Writer, objects []Object) error {
	for i, object := range objects {
		u, err := toUnstructured(object)
		if err != nil {
			return err
		}
		data, err := yaml.Marshal(u.Object) // keys are sorted
		if err != nil {
			return fmt.Errorf("encoding %s %s: %w", u.GetKind(), u.GetName(), err)
		}
		if i > 0 {
			data = append([]byte("---\n"), data...)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// toUnstructured leaves out what the Go types say without being asked, as that would be applied too: statuses, times of
// creation and other fields that are empty.
func toUnstructured(object Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("encoding %T %s: %w", object, object.GetName(), err)
	}
	delete(content, "status")
	prune(content)
	return &unstructured.Unstructured{Object: content}, nil
}

// meaningful are fields whose empty value says something.
var meaningful = map[string]bool{"emptyDir": true}

func prune(fields map[string]any) {
	for name, value := range fields {
		switch value := value.(type) {
		case nil:
			delete(fields, name)
		case map[string]any:
			prune(value)
			if len(value) == 0 && !meaningful[name] {
				delete(fields, name)
			}
		case []any:
			for _, item := range value {
				if item, ok := item.(map[string]any); ok {
					prune(item)
				}
			}
		}
	}
}
