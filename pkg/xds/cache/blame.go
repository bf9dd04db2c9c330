package cache

import "strings"

// blame divides the resources of a response that a client rejected by whether its message is about them: the only one; or those
// whose names it contains; or else all of them.
func blame(message string, set []*Resource) (blamed, spared []*Resource) {
	if len(set) == 1 {
		return set, nil
	}
	for _, r := range set {
		if mentions(message, r.Name()) {
			blamed = append(blamed, r)
		} else {
			spared = append(spared, r)
		}
	}
	if len(blamed) == 0 {
		return set, nil
	}
	return blamed, spared
}

// mentions reports whether a message contains a name that is not a part of a longer one.
func mentions(message, name string) bool {
	if name == "" {
		return false
	}
	for from := 0; ; {
		i := strings.Index(message[from:], name)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(name)
		before, after := message[:start], message[end:]
		if !joins(last(before, 1), last(before, 2)) && !joins(first(after, 1), first(after, 2)) {
			return true
		}
		from = start + 1
	}
}

// joins reports whether a byte beside a name, and the one beyond it, make the name longer. Points and colons do so between
// letters or digits.
func joins(beside, beyond byte) bool {
	if beside == '.' || beside == ':' {
		return inName(beyond)
	}
	return inName(beside)
}

func inName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '/' || c == '*'
}

// first and last return the nth byte from the start and from the end, or 0.
func first(s string, n int) byte {
	if n > len(s) {
		return 0
	}
	return s[n-1]
}

func last(s string, n int) byte {
	if n > len(s) {
		return 0
	}
	return s[len(s)-n]
}
