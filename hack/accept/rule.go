package main

import (
	"fmt"
	"go/token"
	"strconv"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// A verdict is what is known of a CEL expression that is true or false: the conditions under which it surely is the one
// and the other. An expression that fails is neither. They are not opposites then: both can be false.
type verdict struct{ holds, fails *condition }

// undecided is the verdict on what this program cannot tell.
var undecided = verdict{never, never}

// decided returns the verdict that condition is, wherever defined is true.
func decided(defined, condition *condition) verdict {
	return verdict{allOf(defined, condition), allOf(defined, not(condition))}
}

// total says that the expression never fails.
func (v verdict) total() bool { return tautology(anyOf(v.holds, v.fails)) }

// known is the condition under which the expression doesn't fail.
func (v verdict) known() *condition {
	if v.total() {
		return always
	}
	return anyOf(v.holds, v.fails)
}

func (v verdict) not() verdict { return verdict{v.fails, v.holds} }

func (v verdict) and(w verdict) verdict {
	return verdict{allOf(v.holds, w.holds), anyOf(v.fails, w.fails)}
}

func (v verdict) or(w verdict) verdict { return v.not().and(w.not()).not() }

// choose is CEL's v ? x : y. What is shorter comes first.
func (v verdict) choose(x, y verdict) verdict {
	either := func(x, y *condition) *condition {
		if y.op == constTrue {
			return anyOf(v.fails, allOf(v.holds, x))
		}
		return anyOf(allOf(v.holds, x), allOf(v.fails, y))
	}
	return verdict{either(x.holds, y.holds), either(x.fails, y.fails)}
}

// equals is CEL's v == w.
func (v verdict) equals(w verdict) verdict {
	if v.total() && w.total() {
		left, right := "("+v.holds.String()+")", "("+w.holds.String()+")"
		return decided(always, newAtom(left+" == "+right, left+" != "+right))
	}
	return verdict{
		anyOf(allOf(v.holds, w.holds), allOf(v.fails, w.fails)),
		anyOf(allOf(v.holds, w.fails), allOf(v.fails, w.holds)),
	}
}

var parser = func() *cel.Env {
	// Macros stay calls: a loop over a list is easier to read before it has become a fold.
	env, err := cel.NewEnv(cel.ClearMacros())
	if err != nil {
		panic(err)
	}
	return env
}()

// rule translates a CEL rule about self.
func (g *generator) rule(text string, self value) (verdict, error) {
	parsed, issues := parser.Parse(text)
	if err := issues.Err(); err != nil {
		return undecided, err
	}
	t := translator{generator: g, variables: map[string]value{"self": self}}
	v, err := t.verdict(parsed.NativeRep().Expr())
	if err != nil {
		return undecided, fmt.Errorf("rule %s: %w", text, err)
	}
	return v, nil
}

// translator translates one rule.
type translator struct {
	*generator
	variables map[string]value
}

// bind returns a translator that knows one more variable.
func (t translator) bind(name string, v value) (translator, error) {
	if !token.IsIdentifier(name) {
		return t, fmt.Errorf("variable %s is not an identifier in Go", name)
	}
	variables := map[string]value{name: v}
	for other, v := range t.variables {
		if other != name {
			variables[other] = v
		}
	}
	return translator{t.generator, variables}, nil
}

// verdict translates an expression that is true or false.
func (t translator) verdict(e ast.Expr) (verdict, error) {
	switch e.Kind() {
	case ast.CallKind:
		return t.callVerdict(e.AsCall())
	case ast.LiteralKind:
		if e.AsLiteral() == types.True {
			return decided(always, always), nil
		}
		if e.AsLiteral() == types.False {
			return decided(always, never), nil
		}
	case ast.IdentKind, ast.SelectKind:
		v, err := t.value(e)
		if err != nil {
			return undecided, err
		}
		if v.kind == boolKind {
			return decided(v.defined, call(v.expr)), nil
		}
	}
	return undecided, fmt.Errorf("expression %d is not true or false", e.ID())
}

func (t translator) callVerdict(c ast.CallExpr) (verdict, error) {
	switch name, args := c.FunctionName(), c.Args(); name {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional:
		return t.logic(name, args)
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return t.comparison(name, args[0], args[1])
	case operators.In:
		return t.in(args[0], args[1])
	case "has":
		owner, present, _, err := t.selected(args[0].AsSelect())
		if err != nil {
			return undecided, err
		}
		return decided(owner.defined, present), nil
	case "all", "exists", "exists_one":
		return t.loop(name, c.Target(), args)
	case "matches", "startsWith", "endsWith", "contains":
		return t.search(name, c.Target(), args[0])
	case "isIP":
		v, err := t.text(args[0])
		return decided(v.defined, call("isIP("+v.asString()+")")), err
	default:
		return undecided, fmt.Errorf("function %s", name)
	}
}

func (t translator) logic(name string, args []ast.Expr) (verdict, error) {
	var verdicts []verdict
	for _, arg := range args {
		v, err := t.verdict(arg)
		if err != nil {
			return undecided, err
		}
		verdicts = append(verdicts, v)
	}
	switch result := verdicts[0]; name {
	case operators.LogicalNot:
		return result.not(), nil
	case operators.Conditional:
		return result.choose(verdicts[1], verdicts[2]), nil
	case operators.LogicalAnd:
		for _, v := range verdicts[1:] {
			result = result.and(v)
		}
		return result, nil
	default:
		for _, v := range verdicts[1:] {
			result = result.or(v)
		}
		return result, nil
	}
}

var inGo = map[string][2]string{
	operators.Equals:        {"==", "!="},
	operators.NotEquals:     {"!=", "=="},
	operators.Less:          {"<", ">="},
	operators.LessEquals:    {"<=", ">"},
	operators.Greater:       {">", "<="},
	operators.GreaterEquals: {">=", "<"},
}

func (t translator) comparison(name string, left, right ast.Expr) (verdict, error) {
	if right.Kind() == ast.LiteralKind && right.AsLiteral() == types.NullValue {
		// The only nulls in rules stand beside optional values. These are not null, even when they are none.
		if left.Kind() != ast.CallKind || left.AsCall().FunctionName() != "validate" {
			return undecided, fmt.Errorf("comparison with null")
		}
		return undecided, nil
	}
	if name == operators.Equals || name == operators.NotEquals {
		v, errLeft := t.verdict(left)
		w, errRight := t.verdict(right)
		if errLeft == nil && errRight == nil && name == operators.Equals {
			return v.equals(w), nil
		} else if errLeft == nil && errRight == nil {
			return v.equals(w).not(), nil
		}
	}
	x, err := t.value(left)
	if err != nil {
		return undecided, err
	}
	y, err := t.value(right)
	if err != nil {
		return undecided, err
	}
	a, b, err := alike(x, y)
	if err != nil {
		return undecided, err
	}
	is := newAtom(a+" "+inGo[name][0]+" "+b, a+" "+inGo[name][1]+" "+b)
	return decided(allOf(x.defined, y.defined), is), nil
}

// in translates x in list, where list is a literal or a field.
func (t translator) in(element, list ast.Expr) (verdict, error) {
	x, err := t.text(element)
	if err != nil {
		return undecided, err
	}
	if list.Kind() == ast.ListKind {
		var equal []*condition
		for _, e := range list.AsList().Elements() {
			y, err := t.text(e)
			if err != nil {
				return undecided, err
			}
			if y.typ != nil {
				return undecided, fmt.Errorf("list of what is not constant")
			}
			equal = append(equal, newAtom(x.expr+" == "+y.expr, x.expr+" != "+y.expr))
		}
		return decided(x.defined, anyOf(equal...)), nil
	}
	l, err := t.value(list)
	if err != nil {
		return undecided, err
	}
	if l.kind != listKind || x.typ != nil || l.typ.Elem().Kind() != stringKind.goKind() {
		return undecided, fmt.Errorf("%s in %s", x.expr, l.expr)
	}
	t.use("slices")
	return decided(l.defined, call("slices.Contains("+l.expr+", "+x.expr+")")), nil
}

func (t translator) search(name string, in, what ast.Expr) (verdict, error) {
	s, err := t.text(in)
	if err != nil {
		return undecided, err
	}
	constant, ok := literal(what)
	if !ok {
		return undecided, fmt.Errorf("%s of what is not constant", name)
	}
	if name == "matches" {
		pattern, err := t.pattern(constant)
		return decided(s.defined, call(pattern+"("+s.asString()+")")), err
	}
	function := map[string]string{"startsWith": "HasPrefix", "endsWith": "HasSuffix", "contains": "Contains"}[name]
	t.use("strings")
	return decided(s.defined, call("strings."+function+"("+s.asString()+", "+strconv.Quote(constant)+")")), nil
}

func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// constant is a literal in Go.
func constant(v ref.Val) (value, error) {
	switch v := v.(type) {
	case types.String:
		return value{kind: stringKind, expr: strconv.Quote(string(v)), defined: always}, nil
	case types.Int:
		return value{kind: intKind, expr: strconv.FormatInt(int64(v), 10), defined: always}, nil
	default:
		return value{}, fmt.Errorf("literal of type %s", v.Type().TypeName())
	}
}

// constantDuration is a time.Duration in Go.
func (t translator) constantDuration(s string) (value, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return value{}, err
	}
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "time.Hour"}, {time.Second, "time.Second"}} {
		if d != 0 && d%unit.size == 0 {
			t.use("time")
			return value{kind: durationKind, expr: fmt.Sprintf("%d*%s", d/unit.size, unit.name), defined: always}, nil
		}
	}
	return value{kind: durationKind, expr: strconv.FormatInt(int64(d), 10), defined: always}, nil
}
