package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/google/cel-go/common/ast"
)

// A loop is a condition on each element of a list or key of a map.
type loop struct {
	over    value
	element verdict
	// param declares the element in Go.
	param string
	// keys is a part of the names of the functions that loop over the keys of maps.
	keys string
}

func (t translator) newLoop(over ast.Expr, args []ast.Expr) (loop, error) {
	of, err := t.value(over)
	if err != nil {
		return loop{}, err
	}
	if len(args) != 2 || args[0].Kind() != ast.IdentKind || of.schema == nil {
		return loop{}, fmt.Errorf("loop over %s", of.expr)
	}
	name, l := args[0].AsIdent(), loop{over: of}
	var element value
	var typ string
	switch of.kind {
	case listKind:
		if typ, err = t.qualify(of.typ.Elem()); err != nil {
			return loop{}, err
		}
		typ = "*" + typ
		expr, pointer := name, true
		if of.typ.Elem().Kind() != reflect.Struct {
			expr, pointer = "*"+name, false
		}
		element, err = newValue(expr, of.typ.Elem(), pointer, of.schema.Items)
	case mapKind:
		typ, err = t.qualify(of.typ.Key())
		element = value{kind: stringKind, expr: name, typ: of.typ.Key(), defined: always}
		l.keys = "Keys"
	default:
		err = fmt.Errorf("loop over %s", of.expr)
	}
	if err != nil {
		return loop{}, err
	}
	l.param = name + " " + typ
	inner, err := t.bind(name, element)
	if err != nil {
		return loop{}, err
	}
	l.element, err = inner.verdict(args[1])
	return l, err
}

// call is a Go expression that calls a function for loops with conditions on an element.
func (l loop) call(function string, on ...*condition) string {
	code := ""
	for _, c := range on {
		body := c.Lines()
		if len(on) > 1 || strings.Contains(body, "\n") {
			body = "\nreturn " + body + "\n"
		} else {
			body = " return " + body + " "
		}
		code += ", func(" + l.param + ") bool {" + body + "}"
	}
	return function + l.keys + "(" + l.over.expr + code + ")"
}

func (l loop) every(c *condition) *condition {
	if c.op == constTrue {
		return always
	}
	return call(l.call("all", c))
}

func (l loop) some(c *condition) *condition {
	if c.op == constFalse {
		return never
	}
	return call(l.call("some", c))
}

// loop translates the macros all, exists and exists_one. The first two ignore a failure on one element if another one
// decides; the third doesn't.
func (t translator) loop(name string, over ast.Expr, args []ast.Expr) (verdict, error) {
	l, err := t.newLoop(over, args)
	if err != nil {
		return undecided, err
	}
	e := l.element
	switch {
	case name == "exists_one":
		return l.one(), nil
	case name == "all" && e.total():
		return decided(l.over.defined, l.every(e.holds)), nil
	case name == "all":
		return verdict{allOf(l.over.defined, l.every(e.holds)), allOf(l.over.defined, l.some(e.fails))}, nil
	case e.total():
		return decided(l.over.defined, l.some(e.holds)), nil
	default:
		return verdict{allOf(l.over.defined, l.some(e.holds)), allOf(l.over.defined, l.every(e.fails))}, nil
	}
}

// one is true if the condition holds for one element, and fails if it fails for any.
func (l loop) one() verdict {
	count := l.call("count", l.element.holds)
	v := decided(allOf(l.over.defined, l.every(l.element.known())), newAtom(count+" == 1", count+" != 1"))
	if !l.element.total() {
		// The same as v.holds, in one go.
		v.holds = allOf(l.over.defined, call(l.call("one", l.element.holds, l.element.fails)))
	}
	return v
}

// filter translates the macro filter, whose size is all that rules ask for.
func (t translator) filter(over ast.Expr, args []ast.Expr) (value, error) {
	l, err := t.newLoop(over, args)
	if err != nil {
		return value{}, err
	}
	return value{
		kind:    listKind,
		size:    l.call("count", l.element.holds),
		defined: allOf(l.over.defined, l.every(l.element.known())),
	}, nil
}
