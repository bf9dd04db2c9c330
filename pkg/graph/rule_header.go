package graph

import (
	"fmt"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// unsupportedHeaders finds what Envoy refuses in a header modifier: pseudo headers, which other filters are for, and
// Host, of which a request has exactly one, so that it can be set, but neither be added to nor be removed.
func unsupportedHeaders(f *gwv1.HTTPHeaderFilter, request bool) *Problem {
	for i, h := range f.Set {
		p := firstProblem(unmodifiable(string(h.Name), request), brokenLine(string(h.Name)+h.Value))
		if p != nil {
			return p.in(fmt.Sprintf("set[%d]", i))
		}
	}
	for i, h := range f.Add {
		p := firstProblem(unmodifiable(string(h.Name), false), brokenLine(string(h.Name)+h.Value))
		if p != nil {
			return p.in(fmt.Sprintf("add[%d]", i))
		}
	}
	for i, name := range f.Remove {
		if p := firstProblem(unmodifiable(name, false), brokenLine(name)); p != nil {
			return p.in(fmt.Sprintf("remove[%d]", i))
		}
	}
	return nil
}

func unmodifiable(name string, hostToo bool) *Problem {
	host := strings.EqualFold(name, "host")
	if name != "" && name[0] != ':' && (!host || hostToo) {
		return nil
	}
	return unsupportedValue("header %q can't be modified this way", name)
}

// brokenLine refuses text that would end a line of HTTP.
func brokenLine(text string) *Problem {
	if !strings.ContainsAny(text, "\x00\r\n") {
		return nil
	}
	return unsupportedValue("%q must not contain a line break or NUL", text)
}
