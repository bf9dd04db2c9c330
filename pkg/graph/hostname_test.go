package graph

import "testing"

func TestIntersect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want string // empty: none
	}{
		{"*", "*", "*"},
		{"*", "a.example.com", "a.example.com"},
		{"*", "*.example.com", "*.example.com"},
		{"a.example.com", "a.example.com", "a.example.com"},
		{"a.example.com", "b.example.com", ""},
		{"*.example.com", "a.example.com", "a.example.com"},
		{"*.example.com", "a.b.example.com", "a.b.example.com"},
		{"*.example.com", "example.com", ""},
		{"*.example.com", "badexample.com", ""},
		{"*.example.com", "*.a.example.com", "*.a.example.com"},
		{"*.example.com", "*.com", "*.example.com"},
		{"*.example.com", "*.example.org", ""},
		{"*.example.com", "*.example.com", "*.example.com"},
	}
	for _, test := range tests {
		t.Run(test.a+" "+test.b, func(t *testing.T) {
			t.Parallel()
			for _, pair := range [][2]string{{test.a, test.b}, {test.b, test.a}} {
				got, ok := intersect(pair[0], pair[1])
				if got != test.want || ok != (test.want != "") {
					t.Errorf("intersect(%q, %q) = %q, %v, want %q", pair[0], pair[1], got, ok, test.want)
				}
			}
		})
	}
}

func TestMoreSpecific(t *testing.T) {
	t.Parallel()
	order := []string{"a.b.example.com", "*.b.example.com", "*.example.com", "*.com", "*"}
	for i, a := range order {
		for j, b := range order {
			if got, want := moreSpecific(a, b), i < j; got != want {
				t.Errorf("moreSpecific(%q, %q) = %v, want %v", a, b, got, want)
			}
		}
	}
}

func TestDomain(t *testing.T) {
	t.Parallel()
	for hostname, want := range map[string]string{"": "*", "*.Example.COM": "*.example.com", "a.b": "a.b"} {
		if got := domain(hostname); got != want {
			t.Errorf("domain(%q) = %q, want %q", hostname, got, want)
		}
	}
}
