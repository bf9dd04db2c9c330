package translate

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Origins returns the objects that a resource, given by its type URL and its encoding, was made of, each once and sorted. Of what
// the mesh has whatever objects there are, there is none.
func Origins(typeURL string, value []byte) []Origin { return Blame(typeURL, value, nil, "") }

// Blame returns the objects that may have made a client reject a resource: those of the parts in which it differs from the good
// version that the client has, and of these, if the client's message names some, those. All that it was made of may have done
// it if there is no good version (nil). A resource that can't be read is nobody's fault.
func Blame(typeURL string, rejected, good []byte, message string) []Origin {
	r := dissect(typeURL, rejected)
	if r == nil {
		return nil
	}
	suspects := r.all()
	if good != nil {
		suspects = r.differing(dissect(typeURL, good))
	}
	if named := namedBy(message, suspects); len(named) > 0 {
		suspects = named
	}
	origins := map[Origin]struct{}{}
	for _, p := range suspects {
		for _, o := range p.origins {
			origins[o] = struct{}{}
		}
	}
	return slices.SortedFunc(maps.Keys(origins), compareOrigins)
}

func compareOrigins(a, b Origin) int {
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Port, b.Port),
	)
}

// all returns the finest parts, and the whole.
func (a anatomy) all() []piece { return append(slices.Clone(a[0]), a[len(a)-1]...) }

// differing returns the finest parts that the other anatomy doesn't have. If it has them all, there are fewer of them or they are in
// another order: then the parts that these belong to differ.
func (a anatomy) differing(other anatomy) []piece {
	for level, pieces := range a {
		known := map[string]bool{}
		if level < len(other) {
			for _, p := range other[level] {
				known[p.content] = true
			}
		}
		if unknown := slices.DeleteFunc(slices.Clone(pieces), func(p piece) bool { return known[p.content] }); len(unknown) > 0 {
			return unknown
		}
	}
	return a.all() // a client has rejected what it has
}

// namedBy returns the parts that a message names.
func namedBy(message string, pieces []piece) []piece {
	if message == "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(pieces), func(p piece) bool {
		return !slices.ContainsFunc(p.names, func(name string) bool { return names(message, name) })
	})
}

// names says that a message contains a name that isn't a part of another word. One that could be a word of any message must be in
// quotation marks.
func names(message, name string) bool {
	if !strings.ContainsAny(name, "./:") {
		return strings.Contains(message, "'"+name+"'") || strings.Contains(message, `"`+name+`"`)
	}
	for from := 0; ; {
		at := strings.Index(message[from:], name)
		if at < 0 {
			return false
		}
		start, end := from+at, from+at+len(name)
		if (start == 0 || !inName(message[start-1])) && (end == len(message) || ends(message[end:])) {
			return true
		}
		from = start + 1
	}
}

// ends says that a name has ended before the rest of a message, which may be the end of a sentence.
func ends(rest string) bool {
	rest = strings.TrimLeft(rest, ".:")
	return rest == "" || !inName(rest[0])
}

func inName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_./:*", c) >= 0
}
