package translate

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Whatever a request is, the first candidate that matches it is the same with and without those that are left out.
func TestReachable(t *testing.T) {
	t.Parallel()
	paths := []string{"/", "/a", "/a/", "/ab", "/a/b", "/b", "/b/a"}
	var requests []match
	for _, path := range paths {
		for _, method := range []string{"GET", "POST"} {
			for _, header := range []string{"", "1", "2"} {
				for _, grpc := range []bool{false, true} {
					requests = append(requests, match{path: pathMatch{value: path}, method: method, headers: []valueMatch{{name: "h", value: header}}, grpc: grpc})
				}
			}
		}
	}
	left, all := 0, 0
	for seed := range uint64(2000) {
		g := generator{rand.New(rand.NewPCG(seed, 0))}
		var sorted []candidate
		for i := range 1 + g.IntN(8) {
			m := &match{path: pathMatch{form: pathForm(g.IntN(4)), value: g.one(append(paths, "")...)}, method: g.one("", "GET"), grpc: g.IntN(4) == 0}
			if m.path.form == pathRegex {
				m.path.value = g.one("/a.*", ".*")
			}
			if m.path.form == pathSegments {
				m.path.value = strings.TrimRight(m.path.value, "/")
			}
			if g.maybe() {
				m.headers = []valueMatch{{name: "h", value: g.one("1", "2"), regex: g.maybe()}}
			}
			c := candidate{match: m, name: strconv.Itoa(i), precedence: httpPrecedence(m)}
			if m.grpc {
				c.precedence.grpc = 1
			}
			c.precedence.hostname = g.IntN(3)
			sorted = append(sorted, c)
		}
		slices.SortStableFunc(sorted, func(a, b candidate) int { return a.precedence.compare(b.precedence) })
		reached := reachable(slices.Clone(sorted))
		left, all = left+len(reached), all+len(sorted)
		for _, r := range requests {
			if want, got := first(sorted, &r), first(reached, &r); want != got {
				t.Fatalf("seed %d: %+v goes to candidate %s, not %s", seed, r, got, want)
			}
		}
	}
	if left == all {
		t.Error("nothing was left out")
	}
}

// first returns the name of the first candidate that matches a request, in which headers and the path are values.
func first(candidates []candidate, request *match) string {
	for _, c := range candidates {
		m, path := c.match, request.path.value
		matches := (!m.grpc || request.grpc) && (m.method == "" || m.method == request.method)
		switch m.path.form {
		case pathSegments:
			matches = matches && strings.HasPrefix(path+"/", m.path.value+"/")
		case pathPrefix:
			matches = matches && strings.HasPrefix(path, m.path.value)
		case pathExact:
			matches = matches && path == m.path.value
		case pathRegex:
			matches = matches && regexp.MustCompile("^(?:"+m.path.value+")$").MatchString(path)
		}
		for _, h := range m.headers {
			matches = matches && request.headers[0].value == h.value // which are expressions for themselves
		}
		if matches {
			return c.name
		}
	}
	return "none"
}
