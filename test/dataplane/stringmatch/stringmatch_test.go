package stringmatch

import (
	"testing"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

func parsed(t *testing.T, matcher string) *matcherv3.StringMatcher {
	t.Helper()
	config := &matcherv3.StringMatcher{}
	if err := protojson.Unmarshal([]byte(matcher), config); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		matcher, value string
		want           bool
	}{
		{`{"exact": "a"}`, "a", true},
		{`{"exact": "a"}`, "A", false},
		{`{"exact": "aB", "ignoreCase": true}`, "Ab", true},
		{`{"exact": "ab", "ignoreCase": true}`, "abc", false},
		{`{"exact": "k", "ignoreCase": true}`, "\u212a", false}, // the Kelvin sign, in Unicode a capital K
		{`{"prefix": "ab"}`, "abc", true},
		{`{"prefix": "ab"}`, "xabc", false},
		{`{"prefix": "aB", "ignoreCase": true}`, "Abc", true},
		{`{"suffix": "bc"}`, "abc", true},
		{`{"suffix": "bc"}`, "abcx", false},
		{`{"suffix": "Bc", "ignoreCase": true}`, "abC", true},
		{`{"contains": "b"}`, "abc", true},
		{`{"contains": "x"}`, "abc", false},
		{`{"contains": "+E(", "ignoreCase": true}`, "r+e(d", true},
		{`{"safeRegex": {"regex": "a|ab"}}`, "ab", true},
		{`{"safeRegex": {"regex": "a|ab"}}`, "abc", false},
		{`{"safeRegex": {"regex": "a.c"}}`, "xabc", false},
		{`{"safeRegex": {"regex": "a.c"}}`, "abcx", false},
		{`{"safeRegex": {"regex": "\\Qa.b"}}`, "a.b", true},
		{`{"safeRegex": {"regex": "\\Qa.b"}}`, "a_b", false},
	} {
		matches, err := New(parsed(t, tt.matcher))
		if err != nil {
			t.Fatalf("%s: %v", tt.matcher, err)
		}
		if got := matches(tt.value); got != tt.want {
			t.Errorf("%s matches %q: %v, want %v", tt.matcher, tt.value, got, tt.want)
		}
	}
}

func TestAny(t *testing.T) {
	t.Parallel()
	matcher, err := NewAny([]*matcherv3.StringMatcher{parsed(t, `{"exact": "a"}`), parsed(t, `{"prefix": "b"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if !matcher.Match("a") || !matcher.Match("bc") || matcher.Match("c") || (Any)(nil).Match("a") {
		t.Error("it doesn't match what one of them matches")
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for matcher, want := range map[string]string{
		`{}`:                            "[0].match_pattern: required",
		`{"safeRegex": {"regex": "("}}`: "[0].safe_regex.regex: error parsing regexp: missing closing ): `(`",
		`{"safeRegex": {"regex": "a"}, "ignoreCase": true}`: "[0].ignore_case: has no effect for safe_regex",
	} {
		if _, err := NewAny([]*matcherv3.StringMatcher{parsed(t, matcher)}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
