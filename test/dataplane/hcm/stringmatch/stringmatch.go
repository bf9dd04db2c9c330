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
	"envoy.type.matcher.v3.StringMatcher":     "exact prefix suffix contains safe_regex",
	"envoy.type.matcher.v3.RegexMatcher":      "regex",
}

// Any says whether one of its matchers matches. The zero value matches nothing.
type Any []func(string) bool

// New compiles a list of matchers.
func New(configs []*matcherv3.StringMatcher) (Any, error) {
	var out Any
	for i, config := range configs {
		match, err := compile(config)
		if err != nil {
			return nil, fmt.Errorf("[%d].%w", i, err)
		}
		out = append(out, match)
	}
	return out, nil
}

// Match compares.
func (a Any) Match(value string) bool {
	for _, match := range a {
		if match(value) {
			return true
		}
	}
	return false
}

func compile(config *matcherv3.StringMatcher) (func(string) bool, error) {
	switch pattern := config.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return func(value string) bool { return value == pattern.Exact }, nil
	case *matcherv3.StringMatcher_Prefix:
		return func(value string) bool { return strings.HasPrefix(value, pattern.Prefix) }, nil
	case *matcherv3.StringMatcher_Suffix:
		return func(value string) bool { return strings.HasSuffix(value, pattern.Suffix) }, nil
	case *matcherv3.StringMatcher_Contains:
		return func(value string) bool { return strings.Contains(value, pattern.Contains) }, nil
	case *matcherv3.StringMatcher_SafeRegex:
		re, err := regexp.Compile(pattern.SafeRegex.GetRegex())
		if err != nil {
			return nil, fmt.Errorf("safe_regex.regex: %w", err)
		}
		re.Longest() // "the entire value has to match": if it does, then that is the longest of the leftmost matches
		return func(value string) bool {
			found := re.FindStringIndex(value)
			return found != nil && found[0] == 0 && found[1] == len(value)
		}, nil
	default:
		return nil, errors.New("match_pattern: required")
	}
}
