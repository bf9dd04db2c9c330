package main

import (
	"fmt"
	"maps"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// checkCost returns an error if the library might refuse a spec for no other reason than that its rules cost too much
// to evaluate. Predicates know no cost. It also compiles every rule, as the library does.
func checkCost(object *structuralschema.Structural) error {
	spec := object.Properties["spec"]
	total, err := cost(&spec, exact(model.SchemaDeclType(object, true).Fields["spec"].Type, &spec), "spec")
	if err != nil {
		return err
	}
	if total > celconfig.RuntimeCELCostBudget {
		return fmt.Errorf("rules can cost %d, the limit is %d", total, celconfig.RuntimeCELCostBudget)
	}
	return nil
}

// cost is the most that the rules of a schema and of those in it can cost for one value.
func cost(s *structuralschema.Structural, decl *apiservercel.DeclType, path string) (uint64, error) {
	rules, err := cel.Compile(s, decl, celconfig.PerCallLimit, environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), cel.StoredExpressionsEnvLoader())
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	total := uint64(0)
	for i, rule := range rules {
		text := s.XValidations[i].Rule
		switch {
		case rule.Error != nil:
			return 0, fmt.Errorf("%s: rule %s: %w", path, text, rule.Error)
		case rule.MaxCost > celconfig.PerCallLimit:
			return 0, fmt.Errorf("%s: rule %s: can cost %d, the limit is %d", path, text, rule.MaxCost, celconfig.PerCallLimit)
		case rule.UsesOldSelf != strings.Contains(text, oldSelf):
			return 0, fmt.Errorf("%s: rule %s: mentions oldSelf but doesn't use it", path, text)
		}
		total += rule.MaxCost
	}
	for name, property := range s.Properties {
		escaped, _ := apiservercel.Escape(name)
		c, err := cost(&property, decl.Fields[escaped].Type, path+"."+name)
		if err != nil {
			return 0, err
		}
		total += c
	}
	elements, most := s.Items, (*int64)(nil)
	if s.AdditionalProperties != nil {
		elements = s.AdditionalProperties.Structural
	}
	if elements == nil {
		return total, nil
	}
	c, err := cost(elements, decl.ElemType, path+"[]")
	if err != nil || c == 0 {
		return total, err
	}
	if s.ValueValidation != nil {
		most = s.ValueValidation.MaxItems
		if s.AdditionalProperties != nil {
			most = s.ValueValidation.MaxProperties
		}
	}
	if most == nil {
		return 0, fmt.Errorf("%s: rules run for any number of elements", path)
	}
	return total + c*uint64(*most), nil
}

// longestKey is the length of the longest label or annotation. The rules that look at keys, which schemas don't limit,
// allow no other.
const longestKey = 253 + len("/") + 63

// exact returns decl with the lengths of strings in characters. The library estimates with four times as many, for the
// bytes that a character may have, but counts characters when it evaluates.
func exact(decl *apiservercel.DeclType, s *structuralschema.Structural) *apiservercel.DeclType {
	copied := *decl
	if s.Type == "string" && s.ValueValidation != nil && s.ValueValidation.MaxLength != nil {
		copied.MaxElements = *s.ValueValidation.MaxLength
	}
	if s.Items != nil {
		copied.ElemType = exact(decl.ElemType, s.Items)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		copied.ElemType = exact(decl.ElemType, s.AdditionalProperties.Structural)
		key := *decl.KeyType
		key.MaxElements = int64(longestKey)
		copied.KeyType = &key
	}
	if decl.IsObject() {
		copied.Fields = maps.Clone(decl.Fields)
	}
	for name, property := range s.Properties {
		escaped, _ := apiservercel.Escape(name)
		if field, ok := decl.Fields[escaped]; ok {
			f := *field
			f.Type = exact(field.Type, &property)
			copied.Fields[escaped] = &f
		}
	}
	return &copied
}
