package stringmatch_test

import (
	"testing"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/stringmatch"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		matcher, value string
		want           bool
	}{
		{`{"exact": "a"}`, "a", true},
		{`{"exact": "a"}`, "A", false},
		{`{"prefix": "ab"}`, "abc", true},
		{`{"prefix": "ab"}`, "xabc", false},
		{`{"suffix": "bc"}`, "abc", true},
		{`{"suffix": "bc"}`, "abcx", false},
		{`{"contains": "b"}`, "abc", true},
		{`{"contains": "x"}`, "abc", false},
		{`{"safeRegex": {"regex": "a|ab"}}`, "ab", true},
		{`{"safeRegex": {"regex": "a.c"}}`, "xabc", false},
		{`{"safeRegex": {"regex": "a.c"}}`, "abcx", false},
	} {
		config := &matcherv3.StringMatcher{}
		if err := protojson.Unmarshal([]byte(test.matcher), config); err != nil {
			t.Fatal(err)
		}
		matcher, err := stringmatch.New([]*matcherv3.StringMatcher{config})
		if err != nil {
			t.Fatalf("%s: %v", test.matcher, err)
		}
		if got := matcher.Match(test.value); got != test.want {
			t.Errorf("%s matches %q: %v, want %v", test.matcher, test.value, got, test.want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]*matcherv3.StringMatcher{
		"[0].match_pattern: required": {},
		"[0].safe_regex.regex: error parsing regexp: missing closing ): `(`": {
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "("}},
		},
	} {
		if _, err := stringmatch.New([]*matcherv3.StringMatcher{config}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
