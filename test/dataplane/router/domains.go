package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
)

// domains finds the virtual host of a Host header, in the order that VirtualHost.domains documents: "1. Exact domain names ...
// 2. Suffix domain wildcards ... 3. Prefix domain wildcards ... 4. Special wildcard * matching any domain". "The
// wildcard will not match the empty string." "The longest wildcards match first."
type domains struct {
	exact    map[string]*virtualHost
	suffixes wildcards // of "*.example.com": ".example.com"
	prefixes wildcards // of "www.*": "www."
	any      *virtualHost
}

func (d *domains) add(domain string, vh *virtualHost) error {
	known := d.exact
	domain = stringmatch.Lower(domain)
	key := domain
	switch {
	case domain == "*":
		if d.any != nil {
			return fmt.Errorf("domain %q: only a single one is permitted, and virtual host %q has it", domain, d.any.name)
		}
		d.any = vh
		return nil
	case strings.HasPrefix(domain, "*"):
		known, key = d.suffixes.hosts, domain[1:]
		d.suffixes.addLength(len(key))
	case strings.HasSuffix(domain, "*"):
		known, key = d.prefixes.hosts, domain[:len(domain)-1]
		d.prefixes.addLength(len(key))
	}
	if other := known[key]; other != nil {
		return fmt.Errorf("domain %q: duplicate, virtual host %q has it", domain, other.name)
	}
	known[key] = vh
	return nil
}

func newDomains() domains {
	return domains{
		exact:    map[string]*virtualHost{},
		suffixes: wildcards{hosts: map[string]*virtualHost{}},
		prefixes: wildcards{hosts: map[string]*virtualHost{}},
	}
}

func (d *domains) find(authority string, ignorePort bool) *virtualHost {
	if len(d.exact)+len(d.suffixes.hosts)+len(d.prefixes.hosts) == 0 {
		return d.any
	}
	if authority == "" {
		return nil
	}
	host := authority
	if ignorePort {
		host, _ = splitPort(authority)
	}
	host = stringmatch.Lower(host)
	return cmp.Or(
		d.exact[host],
		d.suffixes.find(host, func(length int) string { return host[len(host)-length:] }),
		d.prefixes.find(host, func(length int) string { return host[:length] }),
		d.any,
	)
}

// wildcards are domains whose * stands at the same end.
type wildcards struct {
	hosts   map[string]*virtualHost // by what is left of the domain without the *
	lengths []int                   // that those have, descending
}

func (w *wildcards) addLength(length int) {
	if i, found := slices.BinarySearchFunc(w.lengths, length, func(a, b int) int { return cmp.Compare(b, a) }); !found {
		w.lengths = slices.Insert(w.lengths, i, length)
	}
}

// find returns the host of the longest wildcard of which the host has all, and something more.
func (w *wildcards) find(host string, end func(length int) string) *virtualHost {
	for _, length := range w.lengths {
		if length >= len(host) {
			continue
		}
		if vh := w.hosts[end(length)]; vh != nil {
			return vh
		}
	}
	return nil
}

// splitPort cuts what follows the last colon off a Host header, unless the colon is inside the brackets of an IPv6 address. Whether
// it is a number doesn't matter. port has the colon.
func splitPort(authority string) (host, port string) {
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.LastIndexByte(authority, ']') > colon {
		return authority, ""
	}
	return authority[:colon], authority[colon:]
}
