package crd

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor"
	"k8s.io/apimachinery/pkg/runtime/schema"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

//go:embed zz_generated.crds.jsonl
var definitions []byte

// Schema is one version of one kind, as its CustomResourceDefinition has it. It is safe for concurrent use.
type Schema struct {
	gvk        schema.GroupVersionKind
	names      apiextensionsv1.CustomResourceDefinitionNames
	scope      apiextensionsv1.ResourceScope
	columns    rest.TableConvertor
	structural *structuralschema.Structural
	openAPI    *spec.Schema

	// defaults is where the schema of spec has defaults, by the Go type of spec; made at the first use.
	defaults     *plan
	defaultsOnce sync.Once

	// compile makes the validators at the first use: CEL takes most of the time that there is for starting.
	compile func() *validators
}

// validators are the compiled checks of a Schema.
type validators struct {
	object validation.SchemaValidator
	status validation.SchemaValidator // nil for a kind without status
	cel    *cel.Validator
}

// schemas parses the embedded definitions once. They are generated and tested, so an error in them is a mistake of this
// program.
var schemas = sync.OnceValue(func() map[schema.GroupVersionKind]*Schema {
	parsed, err := parse(definitions)
	if err != nil {
		panic(fmt.Sprintf("embedded CustomResourceDefinitions: %v", err))
	}
	return parsed
})

// Lookup returns the schema of gvk, or nil if gvk is not defined by a CustomResourceDefinition of the Gateway API that
// this server serves.
func Lookup(gvk schema.GroupVersionKind) *Schema { return schemas()[gvk] }

// Load compiles all schemas in parallel and returns when they are ready. Without it each is compiled at its first
// validation, and that request waits for it (tens of milliseconds).
func Load() {
	var all sync.WaitGroup
	for _, s := range schemas() {
		all.Go(func() { s.compile() })
	}
	all.Wait()
}

// Names returns the plural, singular and short names, the kinds and the categories.
func (s *Schema) Names() apiextensionsv1.CustomResourceDefinitionNames { return s.names }

// Namespaced says whether objects live in namespaces.
func (s *Schema) Namespaced() bool { return s.scope == apiextensionsv1.NamespaceScoped }

// Columns returns the convertor to tables with the columns that kubectl get prints, wide ones included.
func (s *Schema) Columns() rest.TableConvertor { return s.columns }

// OpenAPI returns the schema without descriptions, types not shared but spelled out. It must not be changed.
func (s *Schema) OpenAPI() *spec.Schema { return s.openAPI }

// parse reads a stream of CustomResourceDefinitions.
func parse(data []byte) (map[schema.GroupVersionKind]*Schema, error) {
	parsed := map[schema.GroupVersionKind]*Schema{}
	for decoder := json.NewDecoder(bytes.NewReader(data)); ; {
		definition := apiextensionsv1.CustomResourceDefinition{}
		if err := decoder.Decode(&definition); errors.Is(err, io.EOF) {
			return parsed, nil
		} else if err != nil {
			return nil, err
		}
		for _, version := range definition.Spec.Versions {
			s, err := newSchema(&definition.Spec, version)
			if err != nil {
				return nil, fmt.Errorf("%s, version %s: %w", definition.Name, version.Name, err)
			}
			parsed[s.gvk] = s
		}
	}
}

func newSchema(definition *apiextensionsv1.CustomResourceDefinitionSpec, version apiextensionsv1.CustomResourceDefinitionVersion) (*Schema, error) {
	if version.Schema == nil || version.Schema.OpenAPIV3Schema == nil {
		return nil, errors.New("no schema")
	}
	props := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, props, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(props)
	if err != nil {
		return nil, err
	}
	if len(structural.XValidations) > 0 {
		return nil, errors.New("rules on the whole object: spec and status are validated apart here")
	}
	columns, err := tableconvertor.New(version.AdditionalPrinterColumns)
	if err != nil {
		return nil, err
	}
	// A mistake in a schema shows here, not when it is compiled.
	object, openAPI, err := validation.NewSchemaValidator(props)
	if err != nil {
		return nil, err
	}
	var status validation.SchemaValidator
	if statusProps, ok := props.Properties["status"]; ok {
		if status, _, err = validation.NewSchemaValidator(&statusProps); err != nil {
			return nil, fmt.Errorf("status: %w", err)
		}
	}
	return &Schema{
		gvk:        schema.GroupVersionKind{Group: definition.Group, Version: version.Name, Kind: definition.Names.Kind},
		names:      definition.Names,
		scope:      definition.Scope,
		columns:    columns,
		structural: structural,
		openAPI:    openAPI,
		compile: sync.OnceValue(func() *validators {
			return &validators{object: object, status: status, cel: cel.NewValidator(structural, true, celconfig.PerCallLimit)}
		}),
	}, nil
}
