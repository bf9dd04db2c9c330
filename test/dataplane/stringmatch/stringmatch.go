package stringmatch

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
)

// Fields are those that are executed.
var Fields = strict.Fields{
	"envoy.type.matcher.v3.ListStringMatcher": "patterns",
	"envoy.type.matcher.v3.StringMatcher":     "exact prefix suffix safe_regex contains ignore_case",
	"envoy.type.matcher.v3.RegexMatcher":      "regex",
}

// Matcher says whether it matches a string.
type Matcher func(value string) bool

// New compiles a matcher.
func New(config *matcherv3.StringMatcher) (Matcher, error) {
	fold := func(s string) string { return s }
	if config.GetIgnoreCase() {
		fold = Lower
	}
	switch pattern := config.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		want := fold(pattern.Exact)
		return func(value string) bool { return fold(value) == want }, nil
	case *matcherv3.StringMatcher_Prefix:
		want := fold(pattern.Prefix)
		return func(value string) bool { return strings.HasPrefix(fold(value), want) }, nil
	case *matcherv3.StringMatcher_Suffix:
		want := fold(pattern.Suffix)
		return func(value string) bool { return strings.HasSuffix(fold(value), want) }, nil
	case *matcherv3.StringMatcher_Contains:
		want := fold(pattern.Contains)
		return func(value string) bool { return strings.Contains(fold(value), want) }, nil
	case *matcherv3.StringMatcher_SafeRegex:
		if config.GetIgnoreCase() {
			return nil, errors.New("ignore_case: has no effect for safe_regex")
		}
		return Regex(pattern.SafeRegex)
	default:
		return nil, errors.New("match_pattern: required")
	}
}

// Regex compiles the matcher of a field safe_regex, which has to match all of a string. The syntax of RE2 is the same as Go's,
// but for \C.
func Regex(config *matcherv3.RegexMatcher) (Matcher, error) {
	re, err := regexp.Compile(config.GetRegex())
	if err != nil {
		return nil, fmt.Errorf("safe_regex.regex: %w", err)
	}
	// If the whole of a string matches, then that is the longest of the leftmost matches. To put the expression between \A and \z
	// would change the meaning of one such as "\Qa".
	re.Longest()
	return func(value string) bool {
		found := re.FindStringIndex(value)
		return found != nil && found[0] == 0 && found[1] == len(value)
	}, nil
}

// Any matches what one of its matchers matches. The zero value matches nothing.
type Any []Matcher

// NewAny compiles a list of matchers.
func NewAny(configs []*matcherv3.StringMatcher) (Any, error) {
	var out Any
	for i, config := range configs {
		matches, err := New(config)
		if err != nil {
			return nil, fmt.Errorf("[%d].%w", i, err)
		}
		out = append(out, matches)
	}
	return out, nil
}

// Match compares.
func (a Any) Match(value string) bool {
	for _, matches := range a {
		if matches(value) {
			return true
		}
	}
	return false
}

// Lower lowers the letters that have a case to Envoy: those of ASCII. Unlike strings.ToLower, it keeps the length.
func Lower(s string) string {
	out := []byte(s)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}
