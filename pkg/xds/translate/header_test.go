package translate

import (
	"maps"
	"strings"
	"testing"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// apply does to headers what Envoy does: remove, overwrite, append.
func (m headerMutations) apply(headers map[string]string) map[string]string {
	out := maps.Clone(headers)
	for _, name := range m.remove {
		delete(out, name)
	}
	for _, o := range m.set {
		out[o.Header.Key] = o.Header.Value
	}
	for _, o := range m.add {
		out[o.Header.Key] = strings.TrimPrefix(out[o.Header.Key]+","+o.Header.Value, ",")
	}
	return out
}

// Two modifiers in one have the effect of one after the other, for every pair of actions on a header, present or not.
func TestHeaderMutationsThen(t *testing.T) {
	t.Parallel()
	actions := map[string]gwv1.HTTPHeaderFilter{
		"nothing": {},
		"set":     {Set: []gwv1.HTTPHeader{{Name: "x", Value: "s"}}},
		"add":     {Add: []gwv1.HTTPHeader{{Name: "x", Value: "a"}}},
		"remove":  {Remove: []string{"x"}},
		"other":   {Set: []gwv1.HTTPHeader{{Name: "y", Value: "s"}}, Add: []gwv1.HTTPHeader{{Name: "z", Value: "a"}}, Remove: []string{"w"}},
	}
	for firstName, first := range actions {
		for secondName, second := range actions {
			for _, headers := range []map[string]string{{}, {"x": "0", "y": "0", "z": "0", "w": "0"}} {
				a, b := headerModifier(&first), headerModifier(&second)
				before := a.apply(headers)
				want, got := b.apply(before), a.then(b).apply(headers)
				if !maps.Equal(got, want) {
					t.Errorf("%s then %s of %v: got %v, want %v", firstName, secondName, headers, got, want)
				}
				if after := a.apply(headers); !maps.Equal(before, after) {
					t.Errorf("%s was changed by then", firstName)
				}
			}
		}
	}
}

func TestHeaderModifier(t *testing.T) {
	t.Parallel()
	m := headerModifier(&gwv1.HTTPHeaderFilter{
		Set:    []gwv1.HTTPHeader{{Name: "X-A", Value: "first"}, {Name: "x-a", Value: "second"}, {Name: "Host", Value: "h"}},
		Add:    []gwv1.HTTPHeader{{Name: "x-b", Value: "50% off"}},
		Remove: []string{"X-C", "x-c", ":authority", "HOST", ""},
	})
	got := m.apply(map[string]string{"x-c": "c", "host": "kept"})
	want := map[string]string{"x-a": "first", "x-b": "50%% off", "host": "kept"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(m.remove) != 1 {
		t.Errorf("remove %q", m.remove)
	}
}
