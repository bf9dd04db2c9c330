package accept

import (
	"net/netip"
	"regexp"
	"sync"
	"time"
)

// What the generated code has of CEL and of list types.

// pattern returns a function that matches a regular expression, which is compiled at its first call.
func pattern(expr string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
	return func(s string) bool { return compiled().MatchString(s) }
}

func all[E any](list []E, is func(*E) bool) bool {
	for i := range list {
		if !is(&list[i]) {
			return false
		}
	}
	return true
}

func some[E any](list []E, is func(*E) bool) bool {
	for i := range list {
		if is(&list[i]) {
			return true
		}
	}
	return false
}

func count[E any](list []E, is func(*E) bool) int {
	n := 0
	for i := range list {
		if is(&list[i]) {
			n++
		}
	}
	return n
}

// one says that an element holds and all others fail: an element that does neither is an error.
func one[E any](list []E, holds, fails func(*E) bool) bool {
	n := 0
	for i := range list {
		if holds(&list[i]) {
			n++
		} else if !fails(&list[i]) {
			return false
		}
	}
	return n == 1
}

func allKeys[K comparable, V any](m map[K]V, is func(K) bool) bool {
	for key := range m {
		if !is(key) {
			return false
		}
	}
	return true
}

// unique says that no two elements are the same.
func unique[E any](list []E, same func(a, b *E) bool) bool {
	for i := range list {
		for j := range i {
			if same(&list[i], &list[j]) {
				return false
			}
		}
	}
	return true
}

func choose(condition bool, x, y func() int) int {
	if condition {
		return x()
	}
	return y()
}

// substring is s without its first characters, of which there are as many.
func substring(s string, from int) string {
	for i := range s {
		if from == 0 {
			return s[i:]
		}
		from--
	}
	return ""
}

func isDuration(s string) bool {
	_, err := time.ParseDuration(s)
	return err == nil
}

func duration(s string) time.Duration {
	d, _ := time.ParseDuration(s)
	return d
}

// isIP is the function of the same name in Kubernetes' IP library for CEL.
func isIP(s string) bool {
	addr, err := netip.ParseAddr(s)
	return err == nil && addr.Zone() == "" && !addr.Is4In6()
}
