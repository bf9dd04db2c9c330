// Command schemas writes the official CustomResourceDefinitions of every version that this server serves into the data
// file that package crd embeds. Current versions come from the pinned sigs.k8s.io/gateway-api module, retired ones from
// the last release that served them. The definitions of our own kinds, which are in both channels, come from the directory
// that controller-gen has written them into.
//
// The file has a JSON value per line: first the kinds with their versions, then the schemas that these refer to, without
// descriptions. Schemas that are the same, in two versions, channels or kinds, are one line.
//
// Usage: go run ./hack/schemas OWN-DIRECTORY OUTPUT
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("schemas: ")
	if len(os.Args) != 3 {
		log.Fatal("usage: schemas OWN-DIRECTORY OUTPUT")
	}
	data, err := generate(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[2], data, 0o644); err != nil {
		log.Fatal(err)
	}
}

// A kind is a line of the output: a CustomResourceDefinition, of which each version may be from another release.
type kind struct {
	Group    string                                        `json:"group"`
	Names    apiextensionsv1.CustomResourceDefinitionNames `json:"names"`
	Scope    apiextensionsv1.ResourceScope                 `json:"scope"`
	Versions []kindVersion                                 `json:"versions"`
}

type kindVersion struct {
	Name    string                                           `json:"name"`
	Columns []apiextensionsv1.CustomResourceColumnDefinition `json:"columns,omitempty"`
	// Status says that the version has the status subresource.
	Status bool `json:"status,omitempty"`
	// Warning is what clients of the version are told.
	Warning string `json:"warning,omitempty"`
	// Experimental and Standard are the ids of the schemas of the channels. Not every version is in the standard one.
	Experimental string `json:"experimental"`
	Standard     string `json:"standard,omitempty"`
}

// A schema is a line of the output. Its id says where it is from.
type schema struct {
	ID     string          `json:"id"`
	Schema json.RawMessage `json:"schema"`
}

func generate(ownDirectory string) ([]byte, error) {
	releases, err := download()
	if err != nil {
		return nil, err
	}
	var kinds []kind
	store := schemas{ids: map[string]string{}}
	for _, row := range served {
		k, err := collect(row, releases, &store)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", row.definition, err)
		}
		kinds = append(kinds, k)
	}
	ours, err := own(ownDirectory, &store)
	if err != nil {
		return nil, err
	}
	kinds = append(kinds, ours...)
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false) // CEL rules are full of && and >
	for _, k := range kinds {
		if err := encoder.Encode(k); err != nil {
			return nil, err
		}
	}
	for _, s := range store.all {
		if err := encoder.Encode(s); err != nil {
			return nil, err
		}
	}
	return data.Bytes(), nil
}

// schemas are the schemas of the output, each once.
type schemas struct {
	all []schema
	ids map[string]string // by content
}

// add returns the id of a schema, which is a new one if there was none like it.
func (s *schemas) add(props *apiextensionsv1.JSONSchemaProps, id string) (string, error) {
	dropDescriptions(props)
	var content bytes.Buffer
	encoder := json.NewEncoder(&content)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(props); err != nil {
		return "", err
	}
	if same, ok := s.ids[content.String()]; ok {
		return same, nil
	}
	s.ids[content.String()] = id
	s.all = append(s.all, schema{id, bytes.TrimSpace(content.Bytes())})
	return id, nil
}

// dropDescriptions clears the descriptions of schema and of every schema below it; `kubectl explain` has its texts
// from OpenAPI.
func dropDescriptions(schema *apiextensionsv1.JSONSchemaProps) {
	if schema == nil {
		return
	}
	schema.Description = ""
	for name, property := range schema.Properties {
		dropDescriptions(&property)
		schema.Properties[name] = property
	}
	for _, alternatives := range [][]apiextensionsv1.JSONSchemaProps{schema.AllOf, schema.AnyOf, schema.OneOf} {
		for i := range alternatives {
			dropDescriptions(&alternatives[i])
		}
	}
	dropDescriptions(schema.Not)
	if schema.Items != nil {
		dropDescriptions(schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil {
		dropDescriptions(schema.AdditionalProperties.Schema)
	}
}
