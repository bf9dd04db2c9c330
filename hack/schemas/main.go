// Command schemas writes the CustomResourceDefinitions of the pinned sigs.k8s.io/gateway-api module (experimental
// channel) into the data file that package crd embeds: the served versions of the listed kinds, without descriptions,
// one definition per line.
//
// Usage: go run ./hack/schemas OUTPUT
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const module = "sigs.k8s.io/gateway-api"

// served lists the definitions to take, by the names of their files without extension, and the versions of each.
var served = []struct {
	definition string
	versions   []string
}{
	{"gateway.networking.k8s.io_gatewayclasses", []string{"v1"}},
	{"gateway.networking.k8s.io_gateways", []string{"v1"}},
	{"gateway.networking.k8s.io_grpcroutes", []string{"v1"}},
	{"gateway.networking.k8s.io_httproutes", []string{"v1"}},
	{"gateway.networking.k8s.io_referencegrants", []string{"v1"}},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("schemas: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: schemas OUTPUT")
	}
	data, err := generate()
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[1], data, 0o644); err != nil {
		log.Fatal(err)
	}
}

func generate() ([]byte, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return nil, fmt.Errorf("locating module %s: %w", module, err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "experimental")

	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false) // CEL rules are full of && and >
	for _, row := range served {
		crd, err := read(filepath.Join(dir, row.definition+".yaml"), row.versions)
		if err != nil {
			return nil, err
		}
		if err := encoder.Encode(crd); err != nil {
			return nil, err
		}
	}
	return data.Bytes(), nil
}

// read returns the definition in file with nothing but what serving the given versions needs.
func read(file string, versions []string) (*apiextensionsv1.CustomResourceDefinition, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(source, crd); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	crd.ObjectMeta = metav1.ObjectMeta{Name: crd.Name}
	crd.Status = apiextensionsv1.CustomResourceDefinitionStatus{}
	crd.Spec.Versions = slices.DeleteFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return !slices.Contains(versions, v.Name)
	})
	if len(crd.Spec.Versions) != len(versions) {
		return nil, fmt.Errorf("%s: has %d of the versions %v", file, len(crd.Spec.Versions), versions)
	}
	for _, version := range crd.Spec.Versions {
		dropDescriptions(version.Schema.OpenAPIV3Schema)
	}
	return crd, nil
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
