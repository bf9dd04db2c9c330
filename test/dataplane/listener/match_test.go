package listener

import (
	"net/netip"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// match is a FilterChainMatch.
type match struct {
	port        uint32
	prefixes    []string
	names       []string
	transport   string
	application []string
}

func (m match) config() *listenerv3.FilterChainMatch {
	out := &listenerv3.FilterChainMatch{ServerNames: m.names, TransportProtocol: m.transport, ApplicationProtocols: m.application}
	if m.port != 0 {
		out.DestinationPort = wrapperspb.UInt32(m.port)
	}
	for _, p := range m.prefixes {
		prefix := netip.MustParsePrefix(p)
		out.PrefixRanges = append(out.PrefixRanges, &corev3.CidrRange{
			AddressPrefix: prefix.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(prefix.Bits())),
		})
	}
	return out
}

func newTable(t *testing.T, chains map[string]match) *chainTable {
	t.Helper()
	table := &chainTable{}
	for name, m := range chains {
		if err := table.add(m.config(), &chain{config: &listenerv3.FilterChain{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	return table
}

// to is a connection to an address.
func to(local string) conn { return conn{local: netip.MustParseAddrPort(local)} }

func (c conn) tls(serverName string, protocols ...string) conn {
	c.transport, c.serverName, c.protocols = transportTLS, serverName, protocols
	return c
}

func TestFilterChainMatch(t *testing.T) {
	t.Parallel()
	names := map[string]match{
		"exact":   {names: []string{"www.example.com"}, transport: "tls"},
		"wild":    {names: []string{"*.example.com", "*.example.org"}, transport: "tls"},
		"wilder":  {names: []string{"*.com"}, transport: "tls"},
		"any TLS": {transport: "tls"},
		"plain":   {},
	}
	addresses := map[string]match{
		"port":         {port: 8080},
		"port, subnet": {port: 8080, prefixes: []string{"10.1.0.0/16"}},
		"host":         {prefixes: []string{"10.0.0.1/32", "fd00::1/128"}},
		"subnet":       {prefixes: []string{"10.0.0.7/8"}},
		"rest":         {},
	}
	protocols := map[string]match{
		"h2":       {application: []string{"h2"}},
		"http/1.1": {application: []string{"http/1.1", "http/1.0"}},
		"none":     {},
	}
	for name, tt := range map[string]struct {
		chains map[string]match
		conn   conn
		want   string // empty for no chain
	}{
		"exact name":                        {names, to("10.0.0.1:443").tls("www.example.com"), "exact"},
		"name under a wildcard":             {names, to("10.0.0.1:443").tls("api.example.com"), "wild"},
		"second name of a chain":            {names, to("10.0.0.1:443").tls("api.example.org"), "wild"},
		"a wildcard covers several labels":  {names, to("10.0.0.1:443").tls("a.b.example.com"), "wild"},
		"a wildcard doesn't cover its apex": {names, to("10.0.0.1:443").tls("example.com"), "wilder"},
		"the longest wildcard wins":         {names, to("10.0.0.1:443").tls("other.com"), "wilder"},
		"another name":                      {names, to("10.0.0.1:443").tls("example.net"), "any TLS"},
		"no name":                           {names, to("10.0.0.1:443").tls(""), "any TLS"},
		"not TLS":                           {names, to("10.0.0.1:443"), "plain"},
		"port before address":               {addresses, to("10.0.0.1:8080"), "port"},
		"address after port":                {addresses, to("10.1.0.1:8080"), "port, subnet"},
		"the longest prefix wins":           {addresses, to("10.0.0.1:80"), "host"},
		"host bits of a prefix don't count": {addresses, to("10.200.0.1:80"), "subnet"},
		"IPv6":                              {addresses, to("[fd00::1]:80"), "host"},
		"another address":                   {addresses, to("192.0.2.1:80"), "rest"},
		"the client's first protocol wins":  {protocols, to("10.0.0.1:443").tls("", "http/1.1", "h2"), "http/1.1"},
		"an unknown protocol comes first":   {protocols, to("10.0.0.1:443").tls("", "spdy", "h2"), "h2"},
		"no protocol that a chain has":      {protocols, to("10.0.0.1:443").tls("", "spdy"), "none"},
		"a wildcard is of whole labels": {
			map[string]match{"w": {names: []string{"*.example.com"}}}, to("10.0.0.1:443").tls("xexample.com"), "",
		},
		"not TLS is a transport protocol": {
			map[string]match{"n": {names: []string{"a.example"}, transport: "tls"}, "raw": {transport: "raw_buffer"}},
			to("10.0.0.1:443"), "raw",
		},
		"names in capitals match": {
			map[string]match{"n": {names: []string{"A.Example"}}}, to("10.0.0.1:443").tls("a.example"), "n",
		},
		// A choice isn't taken back: the name has decided before the protocol is looked at.
		"no way back from a name": {
			map[string]match{"n": {names: []string{"a.example"}, application: []string{"h2"}}, "any": {}},
			to("10.0.0.1:443").tls("a.example", "http/1.1"), "",
		},
		"no way back from a port": {
			map[string]match{"p": {port: 443, prefixes: []string{"10.0.0.1/32"}}, "any": {}}, to("10.0.0.2:443"), "",
		},
		"no chain": {nil, to("10.0.0.1:443"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newTable(t, tt.chains)
			got := ""
			if c := table.find(&tt.conn); c != nil {
				got = c.config.GetName()
			}
			if got != tt.want {
				t.Errorf("filter chain %q, want %q", got, tt.want)
			}
			table.fallback = &chain{config: &listenerv3.FilterChain{Name: "default"}}
			if c := table.find(&tt.conn); tt.want == "" && c != table.fallback {
				t.Errorf("filter chain %q, want the default one", c.config.GetName())
			}
		})
	}
}

func TestFilterChainMatchErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		chains []match
		want   string
	}{
		"equal":            {[]match{{names: []string{"a.example"}}, {names: []string{"a.example"}}}, "overlapping"},
		"one name shared":  {[]match{{names: []string{"a.example", "b.example"}}, {names: []string{"b.example"}}}, "overlapping"},
		"name twice":       {[]match{{names: []string{"a.example", "A.example"}}}, "overlapping"},
		"both everything":  {[]match{{}, {}}, "overlapping"},
		"same subnet":      {[]match{{prefixes: []string{"10.0.0.1/8"}}, {prefixes: []string{"10.0.0.2/8"}}}, "overlapping"},
		"same protocol":    {[]match{{application: []string{"h2"}}, {application: []string{"http/1.1", "h2"}}}, "overlapping"},
		"partial wildcard": {[]match{{names: []string{"*w.example.com"}}}, "partial wildcards"},
		"wildcard inside":  {[]match{{names: []string{"www.*.com"}}}, "partial wildcards"},
		"only a wildcard":  {[]match{{names: []string{"*"}}}, "partial wildcards"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var table chainTable
			var err error
			for _, m := range tt.chains {
				if err == nil {
					err = table.add(m.config(), &chain{config: &listenerv3.FilterChain{}})
				}
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one of %q", err, tt.want)
			}
		})
	}
}

func TestRedirected(t *testing.T) {
	t.Parallel()
	at := func(s string) address { return address{AddrPort: netip.MustParseAddrPort(s)} }
	compat := at("[::]:80")
	compat.ipv4 = true
	datagrams := at("10.0.0.1:80")
	datagrams.udp = true
	for name, tt := range map[string]struct {
		at   address
		dst  string
		want fit
	}{
		"same":                     {at("10.0.0.1:80"), "10.0.0.1:80", fitExactly},
		"another port":             {at("10.0.0.1:80"), "10.0.0.1:81", fitNone},
		"another address":          {at("10.0.0.1:80"), "10.0.0.2:80", fitNone},
		"all of IPv4":              {at("0.0.0.0:80"), "10.0.0.1:80", fitFamily},
		"all of IPv4, not IPv6":    {at("0.0.0.0:80"), "[fd00::1]:80", fitNone},
		"all of IPv6":              {at("[::]:80"), "[fd00::1]:80", fitFamily},
		"all of IPv6, not IPv4":    {at("[::]:80"), "10.0.0.1:80", fitNone},
		"all of both":              {compat, "10.0.0.1:80", fitCompatible},
		"an IPv4-mapped address":   {at("[::ffff:10.0.0.1]:80"), "10.0.0.1:80", fitExactly},
		"datagrams aren't streams": {datagrams, "10.0.0.1:80", fitNone},
	} {
		if got := tt.at.takes(netip.MustParseAddrPort(tt.dst)); got != tt.want {
			t.Errorf("%s: %v takes %s: %d, want %d", name, tt.at, tt.dst, got, tt.want)
		}
	}
}
