package translate

import (
	"fmt"
	"slices"
	"strings"
)

// reachable leaves out the candidates that never get a request, since an earlier one takes all that they match: those with the
// same conditions, and those behind a wider prefix of a route with a hostname that is more specific. (Of a route with the same
// hostname, the wider prefix comes later.)
func reachable(sorted []candidate) []candidate {
	taken := map[string]bool{}
	var wide []candidate // that match by a prefix
	out := sorted[:0]
	for _, c := range sorted {
		key := c.match.key()
		if taken[key] || slices.ContainsFunc(wide, func(earlier candidate) bool {
			return earlier.moreSpecificHostname(c) && earlier.match.covers(c.match)
		}) {
			continue
		}
		taken[key] = true
		out = append(out, c)
		if (c.precedence.exactHostname > 0 || c.precedence.hostname > 0) && (c.match.path.form == pathSegments || c.match.path.form == pathPrefix) {
			wide = append(wide, c)
		}
	}
	return out
}

func (c candidate) moreSpecificHostname(d candidate) bool {
	return c.precedence.exactHostname != d.precedence.exactHostname || c.precedence.hostname != d.precedence.hostname
}

// key is the same for matches with the same conditions.
func (m *match) key() string {
	return fmt.Sprint(m.grpc, " ", m.path.form, " ", m.method, " ", len(m.path.value), m.path.value, " ", conditions(m.headers), conditions(m.query))
}

func conditions(all []valueMatch) string {
	texts := make([]string, len(all))
	for i, c := range all {
		texts[i] = fmt.Sprintf("%q %t %q", c.name, c.regex, c.value)
	}
	slices.Sort(texts)
	return fmt.Sprint(texts)
}

// covers says that m, which matches by a prefix, takes all requests that n matches.
func (m *match) covers(n *match) bool {
	return (!m.grpc || n.grpc) && (m.method == "" || m.method == n.method) && m.path.covers(n.path) &&
		containsAll(n.headers, m.headers) && containsAll(n.query, m.query)
}

func containsAll(conditions, some []valueMatch) bool {
	return !slices.ContainsFunc(some, func(c valueMatch) bool { return !slices.Contains(conditions, c) })
}

// covers says that all paths that q matches start with the prefix p.
func (p pathMatch) covers(q pathMatch) bool {
	if p.value == "" || p.form == pathPrefix && p.value == "/" {
		return true
	}
	switch {
	case q.form == pathRegex:
		return false
	case p.form == pathPrefix:
		return strings.HasPrefix(q.value, p.value)
	case q.form == pathPrefix:
		return strings.HasPrefix(q.value, p.value+"/")
	}
	return q.value == p.value || strings.HasPrefix(q.value, p.value+"/")
}
