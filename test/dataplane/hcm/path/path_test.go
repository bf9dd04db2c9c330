package path_test

import (
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/path"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/":                     "/",
		"/a/b":                  "/a/b",
		"/a/./b":                "/a/b",
		"/a/../b":               "/b",
		"/a/b/..":               "/a/",
		"/a/b/.":                "/a/b/",
		"/..":                   "/",
		"/../../etc":            "/etc",
		"/a/%2e%2E/b":           "/b",
		"/a/.%2e/b":             "/b",
		"/a//../b":              "/a/b",
		"/a//b":                 "/a//b",
		`/a\b`:                  "/a/b",
		`/a\..\b`:               "/b",
		"/%41%7a%30%2D%5f%7E":   "/Az0-_~",
		"/%2f%20%c3%A4":         "/%2f%20%c3%A4",
		"/ä":                    "/%C3%A4",
		`/"<>{}`:                "/%22%3C%3E%7B%7D",
		"/a%zz%4":               "/a%zz%4",
		"/a:b@c!$&'()*+,;=|^[]": "/a:b@c!$&'()*+,;=|^[]",
		"/a?b=/../c%41":         "/a?b=/../c%41",
		"/...":                  "/...",
		"/a/.../b":              "/a/.../b",
	} {
		if got, ok := path.Normalize(in); got != want || !ok {
			t.Errorf("Normalize(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
	if got, ok := path.Normalize("/a%00b"); ok {
		t.Errorf("Normalize of a NUL: %q, want none", got)
	}
}

func TestSlashes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/a%2Fb%2fc%5Cd%5ce": `/a/b/c\d\e`,
		"/a?b=%2F":           "/a?b=%2F",
		"/a%252F":            "/a%252F",
	} {
		if got := path.UnescapeSlashes(in); got != want {
			t.Errorf("UnescapeSlashes(%q) = %q; want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"//a///b//": "/a/b/",
		"/a?b=//c":  "/a?b=//c",
		"//":        "/",
	} {
		if got := path.MergeSlashes(in); got != want {
			t.Errorf("MergeSlashes(%q) = %q; want %q", in, got, want)
		}
	}
}
