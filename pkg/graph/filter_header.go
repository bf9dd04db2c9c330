package graph

import (
	"fmt"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var requestHeaderModifier = filterRow{
	filter: gwv1.HTTPRouteFilterRequestHeaderModifier, field: "requestHeaderModifier", grpc: true,
	isSet: func(f *gwv1.HTTPRouteFilter) bool { return f.RequestHeaderModifier != nil },
	check: func(f *gwv1.HTTPRouteFilter) *Problem { return unsupportedHeaders(f.RequestHeaderModifier, true) },
	warn: func(f *gwv1.HTTPRouteFilter, field func(string) string) []string {
		return ignoredHeaders(f.RequestHeaderModifier, field)
	},
}

var responseHeaderModifier = filterRow{
	filter: gwv1.HTTPRouteFilterResponseHeaderModifier, field: "responseHeaderModifier", grpc: true,
	isSet: func(f *gwv1.HTTPRouteFilter) bool { return f.ResponseHeaderModifier != nil },
	check: func(f *gwv1.HTTPRouteFilter) *Problem { return unsupportedHeaders(f.ResponseHeaderModifier, false) },
	warn: func(f *gwv1.HTTPRouteFilter, field func(string) string) []string {
		return ignoredHeaders(f.ResponseHeaderModifier, field)
	},
}

// unsupportedHeaders finds what Envoy refuses in a header modifier: pseudo headers, which other filters are for, and
// Host, of which a request has exactly one, so that it can be set, but neither be added to nor be removed. What frames
// messages can only be removed.
func unsupportedHeaders(f *gwv1.HTTPHeaderFilter, request bool) *Problem {
	for i, h := range f.Set {
		p := firstProblem(unmodifiable(string(h.Name), request), framing(string(h.Name)), brokenLine(string(h.Name)+h.Value))
		if p != nil {
			return p.in(fmt.Sprintf("set[%d]", i))
		}
	}
	for i, h := range f.Add {
		p := firstProblem(unmodifiable(string(h.Name), false), framing(string(h.Name)), brokenLine(string(h.Name)+h.Value))
		if p != nil {
			return p.in(fmt.Sprintf("add[%d]", i))
		}
	}
	for i, name := range f.Remove {
		if p := firstProblem(unmodifiable(name, false), brokenLine(name)); p != nil {
			return p.in(fmt.Sprintf("remove[%d]", i))
		}
	}
	return contradictoryActions(f)
}

func unmodifiable(name string, hostToo bool) *Problem {
	host := strings.EqualFold(name, "host")
	if name != "" && name[0] != ':' && (!host || hostToo) {
		return nil
	}
	return unsupportedValue("header %q can't be modified this way", name)
}

// hopHeaders are those that tell how a message is framed and sent from one hop to the next (RFC 9110, section 7.6.1), sorted.
var hopHeaders = []string{
	"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

// framing refuses headers that say where a message ends, which Envoy writes as they are: the other side would take the rest
// of a body for the next message on the connection, which may be that of somebody else.
func framing(name string) *Problem {
	if !strings.EqualFold(name, "content-length") && !strings.EqualFold(name, "transfer-encoding") {
		return nil
	}
	return unsupportedValue("header %q says where the message ends; it can be removed only", name)
}

// brokenLine refuses text that would end a line of HTTP.
func brokenLine(text string) *Problem {
	if !strings.ContainsAny(text, "\x00\r\n") {
		return nil
	}
	return unsupportedValue("%q must not contain a line break or NUL", text)
}

// headerAction is an entry of a header modifier.
type headerAction struct {
	list  string // set, add or remove
	index int
	name  string // in lower case: "header names are case-insensitive"
}

func headerActions(f *gwv1.HTTPHeaderFilter) []headerAction {
	var actions []headerAction
	for i, h := range f.Set {
		actions = append(actions, headerAction{"set", i, strings.ToLower(string(h.Name))})
	}
	for i, h := range f.Add {
		actions = append(actions, headerAction{"add", i, strings.ToLower(string(h.Name))})
	}
	for i, name := range f.Remove {
		actions = append(actions, headerAction{"remove", i, strings.ToLower(name)})
	}
	return actions
}

// contradictoryActions: "Only one action for a given header name is permitted. Filters specifying multiple actions of the same
// or different type for any one header name are invalid." Those of the same type are what HTTPHeader.Name says to ignore.
func contradictoryActions(f *gwv1.HTTPHeaderFilter) *Problem {
	seen := map[string]headerAction{}
	for _, a := range headerActions(f) {
		if first, repeated := seen[a.name]; repeated && first.list != a.list {
			return unsupportedValue("header %q is in %s[%d] too; only one action for a header is permitted", a.name, first.list, first.index).
				in(fmt.Sprintf("%s[%d]", a.list, a.index))
		} else if !repeated {
			seen[a.name] = a
		}
	}
	return nil
}

// ignoredHeaders: "If multiple entries specify equivalent header names, the first entry with an equivalent name MUST be
// considered for a match. Subsequent entries with an equivalent header name MUST be ignored" (HTTPHeader.Name).
func ignoredHeaders(f *gwv1.HTTPHeaderFilter, field func(string) string) []string {
	var warnings []string
	seen := map[string]headerAction{}
	for _, a := range headerActions(f) {
		if first, repeated := seen[a.name]; repeated && first.list == a.list && a.list != "remove" {
			warnings = append(warnings, fmt.Sprintf("%s has no effect: %s[%d] is for the same header",
				field(fmt.Sprintf("%s[%d]", a.list, a.index)), first.list, first.index))
		} else if !repeated {
			seen[a.name] = a
		}
	}
	return warnings
}
