package crd

import (
	"slices"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// restoreLists puts empty lists where schema requires a list in value and lets it be empty. Some Go types leave empty lists
// out of JSON: a listener of a ListenerSet whose conditions are [] would be one without conditions, which is refused.
func restoreLists(value any, schema *structuralschema.Structural) {
	switch value := value.(type) {
	case []any:
		if schema.Items != nil {
			for _, item := range value {
				restoreLists(item, schema.Items)
			}
		}
	case map[string]any:
		for name, property := range schema.Properties {
			if inner, found := value[name]; found {
				restoreLists(inner, &property)
			} else if mayBeEmptyList(&property) && schema.ValueValidation != nil && slices.Contains(schema.ValueValidation.Required, name) {
				value[name] = []any{}
			}
		}
	}
}

func mayBeEmptyList(schema *structuralschema.Structural) bool {
	return schema.Type == "array" && (schema.ValueValidation == nil || schema.ValueValidation.MinItems == nil || *schema.ValueValidation.MinItems == 0)
}
