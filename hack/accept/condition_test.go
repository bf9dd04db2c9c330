package main

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestSimplify(t *testing.T) {
	t.Parallel()
	a, b, c := newAtom("a", "!a"), newAtom("b", "!b"), newAtom("x == 1", "x != 1")
	for _, test := range []struct {
		is   *condition
		want string
	}{
		{allOf(), "true"},
		{anyOf(), "false"},
		{allOf(a, always, a), "a"},
		{allOf(a, never, b), "false"},
		{anyOf(a, never, b, a), "a || b"},
		{allOf(a, anyOf(not(a), b)), "a && b"},
		{anyOf(not(a), allOf(a, b)), "!a || b"},
		{anyOf(allOf(a, b), allOf(a, c)), "(a && b) || (a && x == 1)"},
		{not(allOf(a, anyOf(b, c))), "!a || (!b && x != 1)"},
		{anyOf(not(anyOf(a, b)), anyOf(a, b)), "true"},
	} {
		if test.is.String() != test.want {
			t.Errorf("%s, expected %s", test.is, test.want)
		}
	}
}

// TestSimplifyKeeps holds that simplified conditions are true in the same cases, and evaluate an atom only where the ones
// they were made from do: otherwise a guard would be lost.
func TestSimplifyKeeps(t *testing.T) {
	t.Parallel()
	const seed = 1
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		c := randomCondition(random, 4)
		simple := simplify(c, nil)
		total := true
		for assignment := range 1 << len(atoms) {
			evaluated := map[string]bool{}
			is := func(evaluated map[string]bool) func(string) bool {
				return func(text string) bool {
					evaluated[strings.TrimPrefix(text, "!")] = true
					return assignment>>strings.Index(atoms, strings.TrimPrefix(text, "!"))&1 == 1 != strings.HasPrefix(text, "!")
				}
			}
			want, simpleEvaluated := c.eval(is(evaluated)), map[string]bool{}
			if got := simple.eval(is(simpleEvaluated)); got != want {
				t.Fatalf("seed %d: %s is %v, but %s, which is the same, is %v", seed, c, want, simple, got)
			}
			if got := not(simple).eval(is(simpleEvaluated)); got == want {
				t.Fatalf("seed %d: %s and its opposite %s are both %v", seed, simple, not(simple), got)
			}
			for text := range simpleEvaluated {
				if !evaluated[text] {
					t.Fatalf("seed %d: %s evaluates %s, but %s doesn't", seed, simple, text, c)
				}
			}
			total = total && want
		}
		if tautology(simple) != total {
			t.Fatalf("seed %d: %s is a tautology: %v, expected %v", seed, simple, !total, total)
		}
	}
}

// atoms are the atoms of random conditions, of one letter each.
const atoms = "abcde"

func randomCondition(random *rand.Rand, depth int) *condition {
	if depth == 0 || random.IntN(4) == 0 {
		at := random.IntN(len(atoms))
		c := call(atoms[at : at+1])
		if random.IntN(2) == 0 {
			return not(c)
		}
		return c
	}
	c := &condition{op: []operator{and, or}[random.IntN(2)]}
	for range 2 + random.IntN(2) {
		c.kids = append(c.kids, randomCondition(random, depth-1))
	}
	return c
}
