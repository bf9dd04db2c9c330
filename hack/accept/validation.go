package main

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// validations returns the conditions under which a value satisfies v, but for properties that are required at the top,
// which the caller checks with the properties.
func (g *generator) validations(self value, v *structuralschema.ValueValidation) ([]*condition, error) {
	if v == nil {
		return nil, nil
	}
	if v.UniqueItems || v.MultipleOf != nil || v.ExclusiveMinimum || v.ExclusiveMaximum {
		return nil, fmt.Errorf("uniqueItems, multipleOf or exclusive bounds")
	}
	var all []*condition
	for _, of := range []func(value, *structuralschema.ValueValidation) ([]*condition, error){g.sizes, g.strings, g.numbers, g.alternatives} {
		conditions, err := of(self, v)
		if err != nil {
			return nil, err
		}
		all = append(all, conditions...)
	}
	return all, nil
}

// sizes are the bounds of the lengths of lists and maps.
func (g *generator) sizes(self value, v *structuralschema.ValueValidation) (conditions []*condition, err error) {
	least, most := v.MinItems, v.MaxItems
	if self.kind == mapKind {
		least, most = v.MinProperties, v.MaxProperties
	} else if v.MinProperties != nil || v.MaxProperties != nil {
		return nil, fmt.Errorf("number of properties of %v", self.typ)
	}
	if (least != nil || most != nil) && self.kind != mapKind && self.kind != listKind {
		return nil, fmt.Errorf("number of items of %v", self.typ)
	}
	size := "len(" + self.expr + ")"
	if least != nil {
		n := strconv.FormatInt(*least, 10)
		conditions = append(conditions, newAtom(size+" >= "+n, size+" < "+n))
	}
	if most != nil {
		n := strconv.FormatInt(*most, 10)
		conditions = append(conditions, newAtom(size+" <= "+n, size+" > "+n))
	}
	return conditions, nil
}

// formats are those that are validated, by the library's own functions.
var formats = []string{"ipv4", "ipv6"}

// strings are the lengths, in characters, the pattern and the format.
func (g *generator) strings(self value, v *structuralschema.ValueValidation) (conditions []*condition, err error) {
	if self.kind != stringKind {
		if v.MinLength != nil || v.MaxLength != nil || v.Pattern != "" {
			return nil, fmt.Errorf("length or pattern of %v", self.typ)
		}
		return nil, nil
	}
	size := "utf8.RuneCountInString(" + self.asString() + ")"
	if v.MinLength != nil && *v.MinLength == 1 {
		conditions = append(conditions, newAtom(self.expr+` != ""`, self.expr+` == ""`))
	} else if v.MinLength != nil && *v.MinLength > 1 {
		g.use("unicode/utf8")
		n := strconv.FormatInt(*v.MinLength, 10)
		conditions = append(conditions, newAtom(size+" >= "+n, size+" < "+n))
	}
	if v.MaxLength != nil {
		g.use("unicode/utf8")
		n := strconv.FormatInt(*v.MaxLength, 10)
		conditions = append(conditions, newAtom(size+" <= "+n, size+" > "+n))
	}
	if v.Pattern != "" {
		pattern, err := g.pattern(v.Pattern)
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, call(pattern+"("+self.asString()+")"))
	}
	if v.Format != "" {
		if !slices.Contains(formats, v.Format) {
			return nil, fmt.Errorf("format %s", v.Format)
		}
		g.used["k8s.io/kube-openapi/pkg/validation/strfmt"] = ""
		conditions = append(conditions, call("strfmt.Default.Validates("+strconv.Quote(v.Format)+", "+self.asString()+")"))
	}
	return conditions, nil
}

// numbers are the bounds of integers, and the enumerated values of integers and strings.
func (g *generator) numbers(self value, v *structuralschema.ValueValidation) (conditions []*condition, err error) {
	for _, bound := range []struct {
		is          *float64
		good, wrong string
	}{{v.Minimum, " >= ", " < "}, {v.Maximum, " <= ", " > "}} {
		if bound.is == nil {
			continue
		}
		n, err := integer(*bound.is)
		if err != nil || self.kind != intKind {
			return nil, fmt.Errorf("bounds of %v", self.typ)
		}
		conditions = append(conditions, newAtom(self.expr+bound.good+n, self.expr+bound.wrong+n))
	}
	if self.kind == intKind && v.Format == "int32" && self.typ.Bits() > 32 ||
		self.kind == intKind && v.Format != "int32" && v.Format != "int64" && v.Format != "" {
		return nil, fmt.Errorf("format %s of %v", v.Format, self.typ)
	}
	if len(v.Enum) == 0 {
		return conditions, nil
	}
	var equal []*condition
	for _, e := range v.Enum {
		var constant string
		switch e := e.Object.(type) {
		case string:
			constant = strconv.Quote(e)
		case int64:
			constant = strconv.FormatInt(e, 10)
		case float64:
			if constant, err = integer(e); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("enumerated value %v", e)
		}
		if _, isString := e.Object.(string); isString != (self.kind == stringKind) {
			return nil, fmt.Errorf("enumerated value %v of %v", e, self.typ)
		}
		equal = append(equal, newAtom(self.expr+" == "+constant, self.expr+" != "+constant))
	}
	return append(conditions, anyOf(equal...)), nil
}

// alternatives are the schemas of which all, one or more, exactly one, or none must be satisfied.
func (g *generator) alternatives(self value, v *structuralschema.ValueValidation) (conditions []*condition, err error) {
	of := func(schemas []structuralschema.NestedValueValidation) (all []*condition, err error) {
		for i := range schemas {
			c, err := g.nested(self, &schemas[i])
			if err != nil {
				return nil, err
			}
			all = append(all, c)
		}
		return all, nil
	}
	if len(v.AllOf) > 0 {
		all, err := of(v.AllOf)
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, allOf(all...))
	}
	if len(v.AnyOf) > 0 {
		some, err := of(v.AnyOf)
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, anyOf(some...))
	}
	if len(v.OneOf) > 0 {
		one, err := of(v.OneOf)
		if err != nil {
			return nil, err
		}
		var exactly []*condition
		for i := range one {
			only := []*condition{one[i]}
			for j := range one {
				if j != i {
					only = append(only, not(one[j]))
				}
			}
			exactly = append(exactly, allOf(only...))
		}
		conditions = append(conditions, anyOf(exactly...))
	}
	if v.Not != nil {
		c, err := g.nested(self, v.Not)
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, not(c))
	}
	return conditions, nil
}

// nested is the condition under which a value satisfies one of several schemas.
func (g *generator) nested(self value, s *structuralschema.NestedValueValidation) (*condition, error) {
	if s.Items != nil || s.AdditionalProperties != nil || len(s.XValidations) > 0 ||
		!reflect.ValueOf(s.ForbiddenGenerics).IsZero() || !reflect.ValueOf(s.ForbiddenExtensions).IsZero() {
		return nil, fmt.Errorf("alternative for %v with more than validations", self.typ)
	}
	all, err := g.validations(self, &s.ValueValidation)
	if err != nil {
		return nil, err
	}
	for _, name := range s.Required {
		present, _, err := property(self, name)
		if err != nil {
			return nil, err
		}
		all = append(all, present)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		present, v, err := property(self, name)
		if err != nil {
			return nil, err
		}
		if present == never {
			continue
		}
		schema := s.Properties[name]
		c, err := g.nested(v, &schema)
		if err != nil {
			return nil, err
		}
		all = append(all, anyOf(not(present), c))
	}
	return allOf(all...), nil
}

// integer formats a bound or an enumerated value of an integer.
func integer(f float64) (string, error) {
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return "", fmt.Errorf("%v is not an integer", f)
	}
	return strconv.FormatInt(int64(f), 10), nil
}
