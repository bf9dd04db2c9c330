// Package stringmatch compares strings as Envoy's StringMatcher and RegexMatcher say (envoy.type.matcher.v3).
//
// Its invariant: a matcher is what Fields names of it; whoever compiles one checks its configuration against that list.
package stringmatch
