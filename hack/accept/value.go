package main

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// A value is a Go expression for a CEL expression or a part of a spec.
type value struct {
	kind kind
	expr string
	// defined is the condition under which expr may be evaluated. Otherwise the CEL expression fails.
	defined *condition
	// typ is the Go type of expr. It is nil for constants, which have none, and for what has the type that goes with
	// its kind: string, int, time.Duration.
	typ reflect.Type
	// pointer says that expr is a pointer to a struct of that type.
	pointer bool
	// schema is that of a part of a spec.
	schema *structuralschema.Structural
	// size is an expression for the size of a list that is not made.
	size string
	// least is how many elements a list has in any case.
	least int64
}

type kind int

const (
	objectKind kind = iota
	mapKind
	listKind
	stringKind
	intKind
	boolKind
	durationKind
)

func (k kind) goKind() reflect.Kind {
	return map[kind]reflect.Kind{
		objectKind: reflect.Struct, mapKind: reflect.Map, listKind: reflect.Slice, stringKind: reflect.String, boolKind: reflect.Bool,
	}[k]
}

// kindOf is the kind of the values of a schema.
func kindOf(s *structuralschema.Structural) (kind, error) {
	switch {
	case s.XIntOrString || s.XPreserveUnknownFields || s.XEmbeddedResource || s.Nullable:
		return 0, fmt.Errorf("schema is nullable, an integer or a string, or preserves unknown fields")
	case s.Type == "object" && s.AdditionalProperties == nil && len(s.Properties) > 0:
		return objectKind, nil
	case s.Type == "object" && s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil && len(s.Properties) == 0:
		return mapKind, nil
	case s.Type == "array" && s.Items != nil:
		return listKind, nil
	case s.Type == "string":
		return stringKind, nil
	case s.Type == "integer":
		return intKind, nil
	case s.Type == "boolean":
		return boolKind, nil
	}
	return 0, fmt.Errorf("schema of type %q", s.Type)
}

// newValue returns the value of a Go expression of type typ.
func newValue(expr string, typ reflect.Type, pointer bool, schema *structuralschema.Structural) (value, error) {
	kind, err := kindOf(schema)
	if err != nil {
		return value{}, err
	}
	if err := plain(typ); err != nil {
		return value{}, err
	}
	fits := typ.Kind() == kind.goKind()
	switch kind {
	case intKind:
		fits = slices.Contains([]reflect.Kind{reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint16}, typ.Kind())
	case mapKind:
		fits = fits && typ.Key().Kind() == reflect.String
	}
	if !fits {
		return value{}, fmt.Errorf("a %v is no %s", typ, schema.Type)
	}
	return value{kind: kind, expr: expr, typ: typ, pointer: pointer, schema: schema, defined: always}, nil
}

// asString is an expression of type string.
func (v value) asString() string { return v.as(reflect.TypeFor[string]()) }

func (v value) as(t reflect.Type) string {
	if v.typ == nil || v.typ == t {
		return v.expr
	}
	return t.Name() + "(" + v.expr + ")"
}

// argument is an expression that can be given to the predicate of the type of v: structs are given by pointer.
func (v value) argument() string {
	if v.kind == objectKind && !v.pointer {
		return "&" + v.expr
	}
	return v.expr
}

// alike returns expressions for two values that Go compares.
func alike(x, y value) (string, string, error) {
	if x.kind != y.kind || x.kind != stringKind && x.kind != intKind && x.kind != durationKind {
		return "", "", fmt.Errorf("comparison of %s and %s", x.expr, y.expr)
	}
	if x.typ == nil || y.typ == nil || x.typ == y.typ {
		return x.expr, y.expr, nil
	}
	common := reflect.TypeFor[string]()
	if x.kind == intKind {
		common = reflect.TypeFor[int64]()
	}
	return x.as(common), y.as(common), nil
}

// property returns a property of an object, and the condition under which the object has it. Only then is the value
// defined, which it doesn't repeat.
func property(owner value, name string) (*condition, value, error) {
	schema, ok := owner.schema.Properties[name]
	if owner.kind != objectKind || !ok {
		return nil, value{}, fmt.Errorf("%s has no property %s", owner.expr, name)
	}
	fields, _, err := fieldsOf(owner.typ)
	if err != nil {
		return nil, value{}, err
	}
	f, ok := fields[name]
	if !ok {
		// The Go type lost the field of an older schema, so no object has it.
		return never, value{}, nil
	}
	present, err := f.present(owner.expr)
	if err != nil {
		return nil, value{}, err
	}
	expr, typ, pointer := owner.expr+"."+f.name, f.typ, f.typ.Kind() == reflect.Pointer
	if pointer {
		if typ = typ.Elem(); typ.Kind() != reflect.Struct {
			expr, pointer = "*"+expr, false
		}
	}
	v, err := newValue(expr, typ, pointer, &schema)
	if err != nil {
		return nil, value{}, fmt.Errorf("%v.%s: %w", owner.typ, f.name, err)
	}
	return present, v, nil
}

// selected translates the selection of a property. It returns the object, the condition under which that has the
// property, and the property.
func (t translator) selected(e ast.SelectExpr) (owner value, present *condition, v value, err error) {
	owner, err = t.value(e.Operand())
	if err != nil {
		return value{}, nil, value{}, err
	}
	name, ok := apiservercel.Unescape(e.FieldName())
	if !ok || owner.kind != objectKind {
		return value{}, nil, value{}, fmt.Errorf("%s.%s", owner.expr, e.FieldName())
	}
	present, v, err = property(owner, name)
	return owner, present, v, err
}

// value translates an expression that is a value.
func (t translator) value(e ast.Expr) (value, error) {
	switch e.Kind() {
	case ast.LiteralKind:
		return constant(e.AsLiteral())
	case ast.IdentKind:
		if v, ok := t.variables[e.AsIdent()]; ok {
			return v, nil
		}
		return value{}, fmt.Errorf("variable %s", e.AsIdent())
	case ast.SelectKind:
		owner, present, v, err := t.selected(e.AsSelect())
		if err == nil && present == never {
			err = fmt.Errorf("%v has no field for %s", owner.typ, e.AsSelect().FieldName())
		}
		if err != nil {
			return value{}, err
		}
		v.defined = allOf(owner.defined, present)
		return v, nil
	case ast.CallKind:
		return t.callValue(e.AsCall())
	}
	return value{}, fmt.Errorf("expression %d", e.ID())
}

// text translates an expression that is a string.
func (t translator) text(e ast.Expr) (value, error) {
	v, err := t.value(e)
	if err == nil && v.kind != stringKind {
		err = fmt.Errorf("%s is not a string", v.expr)
	}
	return v, err
}

func (t translator) callValue(c ast.CallExpr) (value, error) {
	args := c.Args()
	switch name := c.FunctionName(); name {
	case operators.Conditional:
		return t.choice(args[0], args[1], args[2])
	case operators.Add:
		return t.sum(args[0], args[1])
	case operators.Index:
		return t.index(args[0], args[1])
	case "size":
		if c.IsMemberFunction() {
			return t.size(c.Target())
		}
		return t.size(args[0])
	case "filter":
		return t.filter(c.Target(), args)
	case "split":
		return t.split(c.Target(), args[0])
	case "substring":
		return t.substring(c.Target(), args)
	case "duration":
		return t.duration(args[0])
	default:
		return value{}, fmt.Errorf("function %s", name)
	}
}

// choice translates condition ? x : y for numbers.
func (t translator) choice(condition, x, y ast.Expr) (value, error) {
	v, err := t.verdict(condition)
	if err != nil {
		return value{}, err
	}
	a, err := t.value(x)
	if err != nil {
		return value{}, err
	}
	b, err := t.value(y)
	if err != nil {
		return value{}, err
	}
	if a.kind != intKind || b.kind != intKind || a.typ != nil || b.typ != nil {
		return value{}, fmt.Errorf("choice between %s and %s", a.expr, b.expr)
	}
	defined := v.choose(decided(always, a.defined), decided(always, b.defined)).holds
	function := func(v value) string { return "func() int { return " + v.expr + " }" }
	expr := "choose(" + v.holds.String() + ", " + function(a) + ", " + function(b) + ")"
	return value{kind: intKind, expr: expr, defined: defined}, nil
}

// sum translates the sum of sizes, which doesn't overflow.
func (t translator) sum(x, y ast.Expr) (value, error) {
	a, err := t.value(x)
	if err != nil {
		return value{}, err
	}
	b, err := t.value(y)
	if err != nil {
		return value{}, err
	}
	if a.kind != intKind || b.kind != intKind || a.typ != nil || b.typ != nil {
		return value{}, fmt.Errorf("sum of %s and %s", a.expr, b.expr)
	}
	return value{kind: intKind, expr: a.expr + " +\n" + b.expr, defined: allOf(a.defined, b.defined)}, nil
}

func (t translator) index(of, at ast.Expr) (value, error) {
	l, err := t.value(of)
	if err != nil {
		return value{}, err
	}
	i, err := t.value(at)
	if err != nil {
		return value{}, err
	}
	n, err := strconv.ParseInt(i.expr, 10, 64)
	if l.kind != listKind || l.size != "" || err != nil || n < 0 {
		return value{}, fmt.Errorf("%s[%s]", l.expr, i.expr)
	}
	defined := l.defined
	if n >= l.least {
		defined = allOf(defined, newAtom(fmt.Sprintf("len(%s) > %d", l.expr, n), fmt.Sprintf("len(%s) <= %d", l.expr, n)))
	}
	expr := fmt.Sprintf("%s[%d]", l.expr, n)
	if l.schema == nil {
		return value{kind: stringKind, expr: expr, defined: defined}, nil
	}
	v, err := newValue(expr, l.typ.Elem(), false, l.schema.Items)
	v.defined = defined
	return v, err
}

func (t translator) size(of ast.Expr) (value, error) {
	v, err := t.value(of)
	if err != nil {
		return value{}, err
	}
	result := value{kind: intKind, defined: v.defined}
	switch {
	case v.size != "":
		result.expr = v.size
	case v.kind == listKind || v.kind == mapKind:
		result.expr = "len(" + v.expr + ")"
	case v.kind == stringKind:
		t.use("unicode/utf8")
		result.expr = "utf8.RuneCountInString(" + v.asString() + ")"
	default:
		return value{}, fmt.Errorf("size of %s", v.expr)
	}
	return result, nil
}

// split returns a list of strings, one at least, as the separator is not empty.
func (t translator) split(of, by ast.Expr) (value, error) {
	s, err := t.text(of)
	if err != nil {
		return value{}, err
	}
	separator, ok := literal(by)
	if !ok || separator == "" {
		return value{}, fmt.Errorf("split of %s", s.expr)
	}
	t.use("strings")
	return value{kind: listKind, expr: "strings.Split(" + s.asString() + ", " + strconv.Quote(separator) + ")", defined: s.defined, least: 1}, nil
}

func (t translator) substring(of ast.Expr, args []ast.Expr) (value, error) {
	s, err := t.text(of)
	if err != nil {
		return value{}, err
	}
	if len(args) != 1 {
		return value{}, fmt.Errorf("substring with %d arguments", len(args))
	}
	from, err := t.value(args[0])
	if err != nil {
		return value{}, err
	}
	if from.kind != intKind || from.typ != nil {
		return value{}, fmt.Errorf("substring from %s", from.expr)
	}
	t.use("unicode/utf8")
	size := "utf8.RuneCountInString(" + s.asString() + ")"
	defined := allOf(s.defined, from.defined, newAtom(size+" >= "+from.expr, size+" < "+from.expr))
	return value{kind: stringKind, expr: "substring(" + s.asString() + ", " + from.expr + ")", defined: defined}, nil
}

func (t translator) duration(of ast.Expr) (value, error) {
	if s, ok := literal(of); ok {
		return t.constantDuration(s)
	}
	s, err := t.text(of)
	if err != nil {
		return value{}, err
	}
	return value{
		kind:    durationKind,
		expr:    "duration(" + s.asString() + ")",
		defined: allOf(s.defined, call("isDuration("+s.asString()+")")),
	}, nil
}
