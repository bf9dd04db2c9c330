package crd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// A structure is a schema of the embedded file. Versions, channels and kinds whose schemas are the same have one
// between them, so that it is parsed and compiled once.
type structure struct {
	// parse parses the schema at the first call: most servers never need those of one channel.
	parse func() *parsed
	// id and data are of the embedded file.
	id   string
	data []byte
}

type parsed struct {
	structural *structuralschema.Structural
	openAPI    *spec.Schema
	// transitions says that there are rules about what may become of a value (oldSelf).
	transitions  bool
	spec, status *validators // status is nil for a kind without
}

// validators are the checks of one part of an object.
type validators struct {
	// structural is the schema of an object with no other part.
	structural *structuralschema.Structural
	// schema checks the whole object for spec, and the status alone for status.
	schema validation.SchemaValidator
	// cel compiles the rules at the first call, which takes longer than all else together.
	cel func() *cel.Validator
}

func (p *parsed) validators(part part) *validators {
	if part == statusPart {
		return p.status
	}
	return p.spec
}

func newStructure(id string, data []byte) *structure {
	return &structure{id: id, data: data, parse: sync.OnceValue(func() *parsed {
		p, err := parse(data)
		if err != nil {
			panic(fmt.Sprintf("embedded schema %s: %v", id, err))
		}
		return p
	})}
}

// props returns the schema as a CustomResourceDefinition has it. It isn't kept, as it is large and few ask for it.
func (s *structure) props() *apiextensionsv1.JSONSchemaProps {
	props := &apiextensionsv1.JSONSchemaProps{}
	if err := json.Unmarshal(s.data, props); err != nil {
		panic(fmt.Sprintf("embedded schema %s: %v", s.id, err))
	}
	return props
}

func parse(data []byte) (*parsed, error) {
	v1, props := &apiextensionsv1.JSONSchemaProps{}, &apiextensions.JSONSchemaProps{}
	if err := json.Unmarshal(data, v1); err != nil {
		return nil, err
	}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v1, props, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(props)
	if err != nil {
		return nil, err
	}
	if len(structural.XValidations) > 0 {
		return nil, errors.New("rules on the whole object: spec and status are validated apart here")
	}
	object, openAPI, err := validation.NewSchemaValidator(props)
	if err != nil {
		return nil, err
	}
	p := &parsed{structural: structural, openAPI: openAPI, transitions: hasTransitions(structural)}
	p.spec = newValidators(structural, specPart, object)
	if statusProps, ok := props.Properties[statusPart.key]; ok {
		status, _, err := validation.NewSchemaValidator(&statusProps)
		if err != nil {
			return nil, fmt.Errorf("status: %w", err)
		}
		p.status = newValidators(structural, statusPart, status)
	}
	return p, nil
}

func newValidators(structural *structuralschema.Structural, part part, schema validation.SchemaValidator) *validators {
	only := *structural
	only.Properties = map[string]structuralschema.Structural{}
	for key, property := range structural.Properties {
		if key == part.key || key != specPart.key && key != statusPart.key {
			only.Properties[key] = property
		}
	}
	return &validators{
		structural: &only,
		schema:     schema,
		cel:        sync.OnceValue(func() *cel.Validator { return cel.NewValidator(&only, true, celconfig.PerCallLimit) }),
	}
}

// hasTransitions finds a rule that may compare a value with its old one. A value that is valid by itself can still break
// such a rule.
func hasTransitions(structural *structuralschema.Structural) bool {
	found := false
	visitor := structuralschema.Visitor{Structural: func(s *structuralschema.Structural) bool {
		for _, rule := range s.XValidations {
			found = found || strings.Contains(rule.Rule, "oldSelf")
		}
		return false
	}}
	visitor.Visit(structural)
	return found
}
