package graph

import "strings"

// anyHost is the domain that every host matches.
const anyHost = "*"

// domain is the normal form of a hostname field: lower case, and "*" for one that isn't set.
func domain(hostname string) string {
	if hostname == "" {
		return anyHost
	}
	return strings.ToLower(hostname)
}

// covers says whether every host that matches domain b also matches domain a: "Hostnames that are prefixed with a
// wildcard label (*.) are interpreted as a suffix match. That means that a match for *.example.com would match both
// test.example.com, and foo.test.example.com, but not example.com."
func covers(a, b string) bool {
	if a == anyHost || a == b {
		return true
	}
	suffix, wildcard := strings.CutPrefix(a, "*")
	return wildcard && strings.HasSuffix(b, suffix)
}

// intersect returns the domain of the hosts that match both a and b. Of two domains that share a host, one covers the
// other, because a wildcard stands for any number of labels.
func intersect(a, b string) (string, bool) {
	switch {
	case covers(a, b):
		return b, true
	case covers(b, a):
		return a, true
	}
	return "", false
}

// moreSpecific orders domains that share a host: "Exact matches MUST be processed before wildcard matches, and wildcard
// matches MUST be processed before fallback (empty Hostname value) matches"; and of wildcards, "the higher the number of
// dots in the hostname to the right of the wildcard character, the higher the precedence".
func moreSpecific(a, b string) bool { return a != b && covers(b, a) }

// wildcardsAbove are the wildcards that cover a domain and are something else, the most specific first.
func wildcardsAbove(domain string) []string {
	if domain == anyHost {
		return nil
	}
	var wildcards []string
	for rest := strings.TrimPrefix(domain, "*."); ; {
		_, above, more := strings.Cut(rest, ".")
		if !more {
			return append(wildcards, anyHost)
		}
		wildcards = append(wildcards, "*."+above)
		rest = above
	}
}
