package graph

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// addressRange is what an entry of a pool stands for, both ends included. They are of one family.
type addressRange struct{ first, last netip.Addr }

// unusable are what no Gateway can be reached at, or not alone. Without a zone, nobody can bind a link-local address of IPv6.
var unusable = []addressRange{
	mustRange("0.0.0.0"), mustRange("224.0.0.0/4"), mustRange("255.255.255.255"),
	mustRange("::"), mustRange("::ffff:0.0.0.0-::ffff:255.255.255.255"), mustRange("fe80::/10"), mustRange("ff00::/8"),
}

func mustRange(entry string) addressRange {
	r, err := parseEntry(entry)
	if err != nil {
		panic(err)
	}
	return r
}

// parseRange reads an entry of a pool: an IP address, a prefix, or a range with both its ends.
func parseRange(entry string) (addressRange, error) {
	r, err := parseEntry(entry)
	if err != nil {
		return r, err
	}
	for _, u := range unusable {
		if r.overlaps(u) {
			return r, errors.New("has an address that a Gateway can't be reached at; all must be unicast addresses, and those of IPv4 not be written as of IPv6")
		}
	}
	return r, nil
}

func parseEntry(entry string) (addressRange, error) {
	if first, last, isRange := strings.Cut(entry, "-"); isRange {
		return parseEnds(first, last)
	}
	if strings.Contains(entry, "/") {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return addressRange{}, errors.New("is no prefix such as 192.0.2.0/28")
		}
		if prefix != prefix.Masked() {
			return addressRange{}, fmt.Errorf("has bits set beyond the prefix; write %s, or %s for the one address", prefix.Masked(), prefix.Addr())
		}
		return addressRange{prefix.Addr(), lastOf(prefix)}, nil
	}
	return parseEnds(entry, entry)
}

func parseEnds(first, last string) (addressRange, error) {
	var r addressRange
	for _, end := range []struct {
		text string
		addr *netip.Addr
	}{{first, &r.first}, {last, &r.last}} {
		addr, err := netip.ParseAddr(end.text)
		if err != nil || addr.Zone() != "" {
			return r, fmt.Errorf("%q is no IP address", end.text)
		}
		*end.addr = addr
	}
	if r.first.Is4() != r.last.Is4() {
		return r, errors.New("has ends of two families; use an entry for each")
	}
	if r.last.Less(r.first) {
		return r, fmt.Errorf("ends before it begins; write %s-%s", r.last, r.first)
	}
	return r, nil
}

// lastOf returns the last address of a prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

func (r addressRange) contains(addr netip.Addr) bool {
	return addr.Is4() == r.first.Is4() && !addr.Less(r.first) && !r.last.Less(addr)
}

func (r addressRange) overlaps(o addressRange) bool {
	return r.contains(o.first) || o.contains(r.first)
}

// A pool is what addresses are taken from, in its order.
type pool []addressRange

func (p pool) contains(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(r addressRange) bool { return r.contains(addr) })
}

// A poolCursor goes through a pool once, however often it is asked.
type poolCursor struct {
	rest pool
	next netip.Addr // in the first of rest; not valid before that is begun
}

// free returns the next address that isn't taken; not a valid one when there is none left.
func (c *poolCursor) free(taken func(netip.Addr) bool) netip.Addr {
	for len(c.rest) > 0 {
		if !c.next.IsValid() {
			c.next = c.rest[0].first
		}
		for c.rest[0].contains(c.next) {
			addr := c.next
			c.next = addr.Next()
			if !taken(addr) {
				return addr
			}
		}
		c.rest, c.next = c.rest[1:], netip.Addr{}
	}
	return netip.Addr{}
}
