package cache

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestBlame(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		about, message string
		names, blamed  []string
	}{
		{"the only one, whatever is said", "oops", []string{"a"}, []string{"a"}},
		{"one of two", "Error adding/updating listener(s) a: no filter chains", []string{"a", "b"}, []string{"a"}},
		{"two of three", "Error adding/updating cluster(s) a: x, c: y", []string{"a", "b", "c"}, []string{"a", "c"}},
		{"none is named", "Only unique names are accepted", []string{"a", "b"}, []string{"a", "b"}},
		{"a name within a longer one", "bad default/web/http", []string{"default/web", "default/web/http", "web"}, []string{"default/web/http"}},
		{"a name before it continues", "bad web-2, and web", []string{"web", "x"}, []string{"web"}},
		{"a port", "bad web:80", []string{"web", "web:80"}, []string{"web:80"}},
		{"a colon that ends it", "web: bad", []string{"web", "x"}, []string{"web"}},
		{"a full stop that ends it", "bad web.", []string{"web", "x"}, []string{"web"}},
		{"a point within", "bad web.example.com", []string{"web", "web.example.com"}, []string{"web.example.com"}},
		{"quotes", `route "web": bad`, []string{"web", "x"}, []string{"web"}},
		{"an empty name", "bad web", []string{"", "web"}, []string{"web"}},
		{"nothing", "bad", nil, nil},
	} {
		var set []*Resource
		for _, name := range tc.names {
			set = append(set, res(lds, name, name))
		}
		blamed, spared := blame(tc.message, set)
		var got []string
		for _, r := range blamed {
			got = append(got, r.Name())
		}
		if !slices.Equal(got, tc.blamed) || len(blamed)+len(spared) != len(set) {
			t.Errorf("%s: blamed %q and spared %d, want %q", tc.about, got, len(spared), tc.blamed)
		}
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	t.Parallel()
	c := New()
	var got Rejection
	c.OnReject(func(r Rejection) { got = r })
	c.Publish("s", set(res(lds, "l", "1")))
	d := newDelta(t, c, "s")
	d.subscribe(lds)
	d.reject(d.want("listeners +l=1"), "-"+strings.Repeat("é", maxMessage))
	if n := len(got.Message); n > maxMessage+2 || n < maxMessage || !utf8.ValidString(got.Message) {
		t.Errorf("the message has %d bytes", n)
	}
}
