package listener

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
)

// A criterion is one combination of the values that a FilterChainMatch lists. The zero value of a field matches everything.
type criterion struct {
	port        uint16
	prefix      netip.Prefix
	serverName  string // ".example.com" for "*.example.com"
	transport   string
	application string
}

// chainTable finds the filter chain of a connection.
type chainTable struct {
	rows []chainRow
	// fallback is the chain of connections that no other one matches; nil closes them.
	fallback *chain
}

type chainRow struct {
	criterion
	chain *chain
}

// add adds a filter chain. As in Envoy, chains of which one connection might match two by the same criteria are an error.
func (t *chainTable) add(match *listenerv3.FilterChainMatch, c *chain) error {
	criteria, err := criteriaOf(match)
	if err != nil {
		return err
	}
	for _, criterion := range criteria {
		if i := slices.IndexFunc(t.rows, func(r chainRow) bool { return r.criterion == criterion }); i >= 0 {
			return fmt.Errorf("multiple filter chains with overlapping matching rules are defined: %q and %q",
				t.rows[i].chain.config.GetName(), c.config.GetName())
		}
		t.rows = append(t.rows, chainRow{criterion, c})
	}
	return nil
}

func criteriaOf(match *listenerv3.FilterChainMatch) ([]criterion, error) {
	prefixes := []netip.Prefix{}
	for _, r := range match.GetPrefixRanges() {
		ip, err := netip.ParseAddr(r.GetAddressPrefix())
		if err != nil {
			return nil, fmt.Errorf("malformed IP address: %q", r.GetAddressPrefix())
		}
		prefixes = append(prefixes, netip.PrefixFrom(ip, min(int(r.GetPrefixLen().GetValue()), ip.BitLen())).Masked())
	}
	names := []string{}
	for _, name := range match.GetServerNames() {
		suffix, wildcard := strings.CutPrefix(name, "*.")
		if strings.Contains(suffix, "*") {
			return nil, fmt.Errorf("partial wildcards are not supported in \"server_names\": %q", name)
		}
		if wildcard {
			suffix = "." + suffix
		}
		names = append(names, strings.ToLower(suffix))
	}
	port := uint16(match.GetDestinationPort().GetValue())
	var out []criterion
	for _, prefix := range orAny(prefixes) {
		for _, name := range orAny(names) {
			for _, application := range orAny(match.GetApplicationProtocols()) {
				out = append(out, criterion{port, prefix, name, match.GetTransportProtocol(), application})
			}
		}
	}
	return out, nil
}

// orAny returns the values of a list, or the one that matches everything if there are none.
func orAny[T any](values []T) []T {
	if len(values) == 0 {
		return make([]T, 1)
	}
	return values
}

// find returns the filter chain of a connection, or nil. Each criterion, in this order, leaves only the chains whose value for it
// fits best; none of them is taken back if a later one then fits no chain (FilterChainMatch).
func (t *chainTable) find(c *conn) *chain {
	rows := t.rows
	rows = narrow(rows, func(r chainRow) uint16 { return r.port }, c.local.Port(), 0)
	rows = narrow(rows, func(r chainRow) netip.Prefix { return r.prefix }, prefixesOf(rows, c.local.Addr())...)
	rows = narrow(rows, func(r chainRow) string { return r.serverName }, serverNames(c.serverName)...)
	rows = narrow(rows, func(r chainRow) string { return r.transport }, cmp.Or(c.transport, transportRaw), "")
	rows = narrow(rows, func(r chainRow) string { return r.application }, slices.Concat(c.protocols, []string{""})...)
	if len(rows) == 0 {
		return t.fallback
	}
	return rows[0].chain
}

// narrow returns the rows that have the first of the values that any of them has.
func narrow[T comparable](rows []chainRow, value func(chainRow) T, best ...T) []chainRow {
	for _, want := range best {
		var out []chainRow
		for _, r := range rows {
			if value(r) == want {
				out = append(out, r)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// prefixesOf returns the prefixes of rows that contain an address, the longest first, and at last the one for all addresses.
func prefixesOf(rows []chainRow, ip netip.Addr) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, r := range rows {
		if r.prefix.Contains(ip) {
			prefixes = append(prefixes, r.prefix)
		}
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int { return b.Bits() - a.Bits() })
	return append(prefixes, netip.Prefix{})
}

// serverNames returns by what values a server name is matched: itself, then the wildcards that cover it, the longest first, and
// at last the one for all names.
func serverNames(name string) []string {
	names := []string{name}
	for i := 1; i < len(name)-1; i++ {
		if name[i] == '.' {
			names = append(names, name[i:])
		}
	}
	return append(names, "")
}
