package path

import (
	"strings"
)

// UnescapeSlashes replaces %2F and %5C by the slashes that they stand for.
func UnescapeSlashes(target string) string {
	path, query := cut(target)
	return slashes.Replace(path) + query
}

var slashes = strings.NewReplacer("%2F", "/", "%2f", "/", "%5C", `\`, "%5c", `\`)

// MergeSlashes makes one slash of adjacent ones.
func MergeSlashes(target string) string {
	path, query := cut(target)
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path + query
}

// Normalize normalizes as RFC 3986, 6.2.2 says, but for the case of percent-encodings: dot segments are resolved, encodings of
// unreserved characters are decoded. As in Envoy, whose normalization is that of Chromium's URLs, a backslash is a slash, and
// characters that can't be in a path are encoded. ok is false if there is a NUL.
func Normalize(target string) (normalized string, ok bool) {
	path, query := cut(target)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	var out []byte
	for i := 0; i < len(path); {
		c, width, encoded := character(path[i:])
		switch {
		case c == 0:
			return "", false
		case !encoded && (c == '/' || c == '\\'):
			out = append(out, '/')
		case encoded && !unreserved(c):
			out = append(out, path[i:i+width]...)
		case !encoded && needsEncoding(c):
			out = append(out, '%', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
		i += width
	}
	return removeDots(string(out)) + query, true
}

const hex = "0123456789ABCDEF"

// character reads the character at the start of a path, which may be percent-encoded. A percent sign that encodes nothing is
// itself.
func character(s string) (c byte, width int, encoded bool) {
	if s[0] == '%' && len(s) >= 3 {
		high, low := strings.IndexByte(hex, upper(s[1])), strings.IndexByte(hex, upper(s[2]))
		if high >= 0 && low >= 0 {
			return byte(high<<4 | low), 3, true
		}
	}
	return s[0], 1, false
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'f' {
		return c - 'a' + 'A'
	}
	return c
}

// unreserved is RFC 3986, 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// needsEncoding says whether a URL can't have a character in its path.
func needsEncoding(c byte) bool {
	return c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>`{}", c) >= 0
}

// removeDots is RFC 3986, 5.2.4. A path never gets above its root.
func removeDots(path string) string {
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, segment)
			continue
		}
		if last {
			kept = append(kept, "") // what is left is a directory
		}
	}
	return "/" + strings.Join(kept, "/")
}

func cut(target string) (path, query string) {
	if i := strings.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:]
	}
	return target, ""
}
