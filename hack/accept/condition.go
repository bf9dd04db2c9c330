package main

import (
	"maps"
	"strings"
)

// A condition is a boolean Go expression over values that don't change. It is simplified when it is made part of
// another one, so that nothing is asked twice.
type condition struct {
	op   operator
	kids []*condition // of and, or

	// An atom is a Go expression without && and || at its top, and the expression that says the opposite.
	text, opposite string
}

type operator int

const (
	constTrue operator = iota
	constFalse
	atom
	and
	or
)

var (
	always = &condition{op: constTrue}
	never  = &condition{op: constFalse}
)

func newAtom(text, opposite string) *condition {
	return &condition{op: atom, text: text, opposite: opposite}
}

// call is an atom that is negated by an exclamation mark.
func call(text string) *condition { return newAtom(text, "!"+text) }

// allOf is true if all of the conditions are. A later one is evaluated only if those before it are true.
func allOf(conditions ...*condition) *condition {
	return simplify(&condition{op: and, kids: conditions}, nil)
}

// anyOf is true if one of the conditions is. A later one is evaluated only if those before it are false.
func anyOf(conditions ...*condition) *condition {
	return simplify(&condition{op: or, kids: conditions}, nil)
}

// not is the opposite. What is evaluated first in c is evaluated first in it, so that guards stay guards.
func not(c *condition) *condition {
	switch c.op {
	case constTrue:
		return never
	case constFalse:
		return always
	case atom:
		return newAtom(c.opposite, c.text)
	}
	negated := &condition{op: and}
	if c.op == and {
		negated.op = or
	}
	for _, kid := range c.kids {
		negated.kids = append(negated.kids, not(kid))
	}
	return negated
}

// maxAtoms is how many atoms a condition may have for tautology to look at all cases.
const maxAtoms = 12

// tautology says that c is true whatever its atoms are. It may miss that for a condition with many atoms.
func tautology(c *condition) bool {
	atoms := map[string]int{} // by text and by opposite
	n := 0
	var find func(*condition)
	find = func(c *condition) {
		if c.op == atom {
			if _, ok := atoms[c.text]; !ok {
				atoms[c.text], atoms[c.opposite] = n<<1|1, n<<1
				n++
			}
		}
		for _, kid := range c.kids {
			find(kid)
		}
	}
	find(c)
	if n > maxAtoms {
		return false
	}
	for assignment := range 1 << n {
		if !c.eval(func(text string) bool { return assignment>>(atoms[text]>>1)&1 == atoms[text]&1 }) {
			return false
		}
	}
	return true
}

func (c *condition) eval(is func(text string) bool) bool {
	switch c.op {
	case constTrue, constFalse:
		return c.op == constTrue
	case atom:
		return is(c.text)
	}
	for _, kid := range c.kids {
		if kid.eval(is) == (c.op == or) {
			return c.op == or
		}
	}
	return c.op == and
}

// facts are conditions that are known to be true, by their texts.
type facts map[string]bool

// add returns the facts with c. From a conjunction each part follows.
func (f facts) add(c *condition) facts {
	more := maps.Clone(f)
	if more == nil {
		more = facts{}
	}
	more[c.String()] = true
	if c.op == and {
		for _, kid := range c.kids {
			more = more.add(kid)
		}
	}
	return more
}

// simplify leaves out of c what follows from known, and from the parts of c that are evaluated before.
func simplify(c *condition, known facts) *condition {
	if c.op == constTrue || c.op == constFalse {
		return c
	}
	if known[c.String()] {
		return always
	}
	if known[not(c).String()] {
		return never
	}
	if c.op == atom {
		return c
	}
	neutral, decisive := always, never
	if c.op == or {
		neutral, decisive = never, always
	}
	result := &condition{op: c.op}
	for _, kid := range c.kids {
		kid = simplify(kid, known)
		switch {
		case kid == neutral:
			continue
		case kid == decisive:
			return decisive
		case kid.op == c.op:
			result.kids = append(result.kids, kid.kids...)
		default:
			result.kids = append(result.kids, kid)
		}
		if c.op == and {
			known = known.add(kid)
		} else {
			known = known.add(not(kid))
		}
	}
	switch len(result.kids) {
	case 0:
		return neutral
	case 1:
		return result.kids[0]
	}
	return result
}

// String is the Go expression, on one line unless a part of it has several.
func (c *condition) String() string { return c.format(1 << 30) }

// maxWidth is from where on conditions are broken into lines.
const maxWidth = 100

// Lines is the Go expression, broken into lines if it is long.
func (c *condition) Lines() string { return c.format(maxWidth) }

func (c *condition) format(width int) string {
	switch c.op {
	case constTrue:
		return "true"
	case constFalse:
		return "false"
	case atom:
		return c.text
	}
	var parts []string
	long, length := false, 0
	for _, kid := range c.kids {
		part := kid.format(width)
		if kid.op == and || kid.op == or {
			part = "(" + part + ")"
		}
		length += len(part)
		long = long || strings.Contains(part, "\n")
		parts = append(parts, part)
	}
	between := " && "
	if c.op == or {
		between = " || "
	}
	if long || length > width {
		between = strings.TrimRight(between, " ") + "\n"
	}
	return strings.Join(parts, between)
}
