package main

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// A predicate is a Go function that says whether a value of a type surely satisfies a schema.
type predicate struct {
	name    string
	doc     string
	param   string
	body    string
	imports map[string]string
}

// generator makes predicates. Those for one type or field that have the same code are one.
type generator struct {
	qualifier
	made  map[string]*predicate // by name, parameter and body
	names map[string]bool
	// patterns are the names of the functions that match regular expressions, by those.
	patterns map[string]string
	// base is a part of the name of the predicate that is being made.
	base string
	// output takes a predicate that is new.
	output func(*predicate)
}

// use imports a package of the standard library into the file of the predicate that is being made.
func (g *generator) use(path string) { g.used[path] = "" }

// name returns a name that is not taken yet.
func (g *generator) name(base string) string {
	name := base
	for i := 2; g.names[name]; i++ {
		name = base + strconv.Itoa(i)
	}
	g.names[name] = true
	return name
}

// pattern returns the name of a function that matches a regular expression.
func (g *generator) pattern(expr string) (string, error) {
	if _, err := regexp.Compile(expr); err != nil {
		return "", err
	}
	if _, ok := g.patterns[expr]; !ok {
		g.patterns[expr] = g.name("match" + g.base)
	}
	return g.patterns[expr], nil
}

// place is where in a spec a value is.
type place struct {
	path string
	// name is for a type that has none of its own.
	name string
}

func (p place) property(name string, f goField) place {
	return place{p.path + "." + name, f.owner + f.name}
}

func (p place) item() place { return place{p.path + "[]", p.name + "Item"} }

// predicate returns the name of the function that accepts the values of a type that satisfy schema. It is empty if all
// of them do.
func (g *generator) predicate(typ reflect.Type, schema *structuralschema.Structural, at place) (string, error) {
	if typ.PkgPath() != "" {
		at.name = typ.Name()
	}
	self, err := newValue("self", typ, typ.Kind() == reflect.Struct, schema)
	if err != nil {
		return "", fmt.Errorf("%s: %w", at.path, err)
	}
	// This may be while the predicate of what it is a part of is being made.
	defer func(q qualifier, base string) { g.qualifier, g.base = q, base }(g.qualifier, g.base)
	g.qualifier, g.base = qualifier{map[string]string{}}, at.name

	b := &body{}
	if err := g.checks(b, self, at); err != nil {
		return "", err
	}
	if b.empty() {
		return "", nil
	}
	code, commented := b.code()
	param, err := g.qualify(typ)
	if err != nil {
		return "", err
	}
	if self.pointer {
		param = "*" + param
	}
	if same, ok := g.made[at.name+param+code]; ok {
		return same.name, nil
	}
	p := &predicate{name: g.name("valid" + at.name), doc: at.path, param: param, body: commented, imports: g.used}
	g.made[at.name+param+code] = p
	g.output(p)
	return p.name, nil
}

// oldSelf is the variable of rules about changes.
const oldSelf = "oldSelf"

// checks writes what a predicate asks.
func (g *generator) checks(b *body, self value, at place) error {
	conditions, err := g.validations(self, self.schema.ValueValidation)
	if err != nil {
		return fmt.Errorf("%s: %w", at.path, err)
	}
	for _, c := range conditions {
		b.check(c)
	}
	switch self.kind {
	case objectKind:
		err = g.properties(b, self, at)
	case mapKind:
		err = g.elements(b, self, self.schema.AdditionalProperties.Structural, at.item())
	case listKind:
		if err = g.listType(b, self); err == nil {
			err = g.elements(b, self, self.schema.Items, at.item())
		}
	}
	if err != nil {
		return err
	}
	for _, rule := range self.schema.XValidations {
		if strings.Contains(rule.Rule, oldSelf) {
			if rule.OptionalOldSelf != nil && *rule.OptionalOldSelf {
				return fmt.Errorf("%s: rule %s: may run without an old value", at.path, rule.Rule)
			}
			b.comment("Left to the library: " + rule.Rule)
			continue
		}
		v, err := g.rule(rule.Rule, self)
		if err != nil {
			return fmt.Errorf("%s: %w", at.path, err)
		}
		b.comment(rule.Rule)
		b.check(v.holds)
	}
	return nil
}

// properties checks the fields of a struct, in their order.
func (g *generator) properties(b *body, self value, at place) error {
	fields, order, err := fieldsOf(self.typ)
	if err != nil {
		return err
	}
	required := []string{}
	if self.schema.ValueValidation != nil {
		required = self.schema.ValueValidation.Required
	}
	for _, name := range required {
		if _, ok := fields[name]; !ok {
			return fmt.Errorf("%s: %v has no field for %s, which is required", at.path, self.typ, name)
		}
	}
	for _, name := range order {
		schema, ok := self.schema.Properties[name]
		if !ok {
			continue // The schema says nothing of it: a field of another channel or release.
		}
		present, v, err := property(self, name)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", at.path, name, err)
		}
		f := fields[name]
		// What is null and has a default is not pruned, and is of the wrong type.
		null := schema.Default.Object != nil && !f.omitEmpty && !f.omitZero
		if slices.Contains(required, name) || null {
			b.check(present)
		}
		inner, err := g.part(v, at.property(name, f))
		if err != nil {
			return err
		}
		b.check(anyOf(not(present), inner))
	}
	return nil
}

// part is the condition under which a part of what is being checked satisfies its schema: a few words for a value of a
// builtin type, a call for any other.
func (g *generator) part(v value, at place) (*condition, error) {
	if v.typ.PkgPath() == "" && v.typ.Name() != "" && len(v.schema.XValidations) == 0 {
		conditions, err := g.validations(v, v.schema.ValueValidation)
		return allOf(conditions...), err
	}
	name, err := g.predicate(v.typ, v.schema, at)
	if err != nil || name == "" {
		return always, err
	}
	return call(name + "(" + v.argument() + ")"), nil
}

// elements checks those of a list or map.
func (g *generator) elements(b *body, self value, schema *structuralschema.Structural, at place) error {
	expr, loop := "item", "for _, item := range self"
	if self.kind == listKind && self.typ.Elem().Kind() == reflect.Struct {
		expr, loop = "self[i]", "for i := range self"
	}
	item, err := newValue(expr, self.typ.Elem(), false, schema)
	if err != nil {
		return err
	}
	is, err := g.part(item, at)
	if is != always {
		b.loop(loop + " {\nif " + not(is).Lines() + " {\nreturn false\n}\n}")
	}
	return err
}

// listType checks that the elements of a set, and the keys of those of a map, are different.
func (g *generator) listType(b *body, self value) error {
	elem, err := g.qualify(self.typ.Elem())
	if err != nil {
		return err
	}
	var same []*condition
	if self.schema.XListType == nil {
		return nil
	}
	switch *self.schema.XListType {
	case "atomic":
		return nil
	case "set":
		if k, err := kindOf(self.schema.Items); err != nil || k != stringKind && k != intKind {
			return fmt.Errorf("set of %v", self.typ.Elem())
		}
		same = append(same, newAtom("*a == *b", "*a != *b"))
	case "map":
		fields, _, err := fieldsOf(self.typ.Elem())
		if err != nil {
			return err
		}
		for _, key := range self.schema.XListMapKeys {
			f, ok := fields[key]
			if !ok {
				continue // no object has it
			}
			if f.typ.Kind() == reflect.Pointer {
				return fmt.Errorf("key %s of %v is optional", key, self.typ)
			}
			same = append(same, newAtom("a."+f.name+" == b."+f.name, "a."+f.name+" != b."+f.name))
		}
	default:
		return fmt.Errorf("list type %s", *self.schema.XListType)
	}
	b.check(call("unique(self, func(a, b *" + elem + ") bool { return " + allOf(same...).String() + " })"))
	return nil
}

// body is the code of a predicate.
type body struct {
	steps []step
	known facts
}

// step is a comment, a condition or a loop.
type step struct {
	comment string
	is      *condition
	loop    string
}

// check refuses what doesn't satisfy a condition.
func (b *body) check(c *condition) {
	if c = simplify(c, b.known); c.op != constTrue {
		b.known = b.known.add(c)
		b.steps = append(b.steps, step{is: c})
	}
}

func (b *body) loop(code string)    { b.steps = append(b.steps, step{loop: code}) }
func (b *body) comment(text string) { b.steps = append(b.steps, step{comment: text}) }

// empty says that nothing is refused.
func (b *body) empty() bool {
	return !slices.ContainsFunc(b.steps, func(s step) bool { return s.comment == "" })
}

// code returns the body without and with comments.
func (b *body) code() (string, string) {
	var code, commented strings.Builder
	write := func(line string) {
		code.WriteString(line + "\n")
		commented.WriteString(line + "\n")
	}
	steps := b.steps
	if !slices.ContainsFunc(steps, func(s step) bool { return s.is == nil }) {
		var all []*condition
		for _, s := range steps {
			all = append(all, s.is)
		}
		steps = []step{{is: allOf(all...)}}
	}
	for i, s := range steps {
		switch {
		case s.comment != "":
			// gofmt takes a comment that is not indented for documentation, and changes its quotes.
			commented.WriteString("\t// " + strings.Join(strings.Split(strings.TrimSpace(s.comment), "\n"), "\n\t// ") + "\n")
		case s.loop != "":
			write(s.loop)
		case i == len(steps)-1:
			write("return " + s.is.Lines())
		default:
			write("if " + not(s.is).Lines() + " {\nreturn false\n}")
		}
	}
	if steps[len(steps)-1].is == nil {
		write("return true")
	}
	return code.String(), commented.String()
}
