package translate

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// headerMutations is a change to headers in Envoy's terms: remove what is named, then overwrite, then append. The order
// is Envoy's, whatever the order of the fields that carry it.
type headerMutations struct {
	set    []*corev3.HeaderValueOption
	add    []*corev3.HeaderValueOption
	remove []string
}

func (m headerMutations) empty() bool { return len(m.set)+len(m.add)+len(m.remove) == 0 }

// options returns what Envoy calls *_headers_to_add.
func (m headerMutations) options() []*corev3.HeaderValueOption { return slices.Concat(m.set, m.add) }

// headerModifier returns what a Request- or ResponseHeaderModifier does. "If multiple entries specify equivalent header
// names, the first entry with an equivalent name MUST be considered for a match. Subsequent entries MUST be ignored."
func headerModifier(f *gwv1.HTTPHeaderFilter) headerMutations {
	return headerMutations{
		set:    headerOptions(f.Set, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD),
		add:    headerOptions(f.Add, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD),
		remove: removableNames(f.Remove),
	}
}

func headerOptions(headers []gwv1.HTTPHeader, action corev3.HeaderValueOption_HeaderAppendAction) []*corev3.HeaderValueOption {
	var out []*corev3.HeaderValueOption
	seen := map[string]bool{}
	for _, h := range headers {
		name := lowerName(h.Name)
		if seen[name] || !modifiable(name) {
			continue
		}
		seen[name] = true
		out = append(out, &corev3.HeaderValueOption{
			// In a value, Envoy replaces %COMMAND% and refuses a lone percent sign; %% stands for one.
			Header:       &corev3.HeaderValue{Key: name, Value: strings.ReplaceAll(h.Value, "%", "%%")},
			AppendAction: action,
		})
	}
	return out
}

func removableNames(names []string) []string {
	var out []string
	for _, n := range names {
		if name := lowerName(n); modifiable(name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// modifiable says whether Envoy lets a header be modified: it refuses pseudo headers, for which there are rewrites, and
// Host. Setting Host is done by hostModifier; a request can have neither two of it nor none.
func modifiable(name string) bool { return name != "" && name[0] != ':' && name != "host" }

// hostModifier returns the value that a filter sets the Host header to, or the empty string.
func hostModifier(f *gwv1.HTTPHeaderFilter) string {
	for _, h := range f.Set {
		if lowerName(h.Name) == "host" {
			return h.Value
		}
	}
	return ""
}

// then returns the mutations that have the effect of m followed by next.
func (m headerMutations) then(next headerMutations) headerMutations {
	if m.empty() {
		return next
	}
	gone := map[string]bool{}
	for _, name := range next.remove {
		gone[name] = true
	}
	for _, option := range next.set {
		gone[option.GetHeader().GetKey()] = true
	}
	keep := func(options []*corev3.HeaderValueOption) []*corev3.HeaderValueOption {
		var out []*corev3.HeaderValueOption
		for _, option := range options {
			if !gone[option.GetHeader().GetKey()] {
				out = append(out, option)
			}
		}
		return out
	}
	remove := slices.Clone(m.remove)
	for _, name := range next.remove {
		if !slices.Contains(remove, name) {
			remove = append(remove, name)
		}
	}
	return headerMutations{
		set:    append(keep(m.set), next.set...),
		add:    append(keep(m.add), next.add...),
		remove: remove,
	}
}
