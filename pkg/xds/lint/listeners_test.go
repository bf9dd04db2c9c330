package lint

import (
	"slices"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/google/go-cmp/cmp"
)

func TestFilterChains(t *testing.T) {
	t.Parallel()
	const tcp, udp = `{socketAddress: {address: "::", portValue: 80}}`, `{socketAddress: {protocol: UDP, address: "::", portValue: 80}}`
	for name, test := range map[string]struct{ address, rest, want string }{
		"apart": {tcp, `filterChains: [
  {filterChainMatch: {serverNames: [a.test, "*.a.test"]}}, {filterChainMatch: {serverNames: [a.test], transportProtocol: tls}},
  {filterChainMatch: {serverNames: [a.test], applicationProtocols: [h2]}}, {filterChainMatch: {serverNames: [a.test], prefixRanges: [{addressPrefix: 10.0.0.0, prefixLen: 8}]}},
  {filterChainMatch: {serverNames: [a.test], destinationPort: 80}}, {}]`, ""},
		"only a default filter chain": {tcp, `defaultFilterChain: {}`, ""},
		"a name in common": {
			tcp, `filterChains: [{name: a, filterChainMatch: {serverNames: [a.test, b.test]}}, {filterChainMatch: {serverNames: [c.test, B.test]}}]`,
			`duplicate-match: .filter_chains[1]: it matches what filter chain "a" does`,
		},
		"a name twice": {
			tcp, `filterChains: [{name: a, filterChainMatch: {serverNames: [a.test, A.test]}}]`,
			`duplicate-match: .filter_chains[0]: it matches what filter chain "a" does`,
		},
		"a protocol in common": {
			tcp, `filterChains: [{name: a, filterChainMatch: {applicationProtocols: [h2, http/1.1]}}, {filterChainMatch: {applicationProtocols: [h2]}}]`,
			`duplicate-match: .filter_chains[1]: it matches what filter chain "a" does`,
		},
		"a range in common": {
			tcp, `filterChains: [{name: a, filterChainMatch: {prefixRanges: [{addressPrefix: 10.0.0.1, prefixLen: 8}]}}, {filterChainMatch: {prefixRanges: [{addressPrefix: 10.1.0.0, prefixLen: 8}]}}]`,
			`duplicate-match: .filter_chains[1]: it matches what filter chain "a" does`,
		},
		"a name of two": {
			tcp, `filterChains: [{name: a}, {name: a, filterChainMatch: {transportProtocol: tls}}]`,
			`duplicate-name: .filter_chains[1]: another filter chain is named "a"`,
		},
		"partial wildcard": {
			tcp, `filterChains: [{filterChainMatch: {serverNames: ["*.a.test", "a*.test"]}}]`,
			`invalid: .filter_chains[0].filter_chain_match.server_names: partial wildcards are not supported: "a*.test"`,
		},
		"everything by name": {
			tcp, `filterChains: [{filterChainMatch: {serverNames: ["*"]}}]`,
			`invalid: .filter_chains[0].filter_chain_match.server_names: partial wildcards are not supported: "*"`,
		},
		"no filter chain":         {tcp, ``, `invalid: : it has no filter chains`},
		"UDP":                     {udp, ``, ""},
		"UDP with a filter chain": {udp, `filterChains: [{}]`, `invalid: : a UDP listener has no filter chains`},
		"QUIC":                    {udp, `udpListenerConfig: {quicOptions: {}}, filterChains: [{}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "{address: " + test.address
			if test.rest != "" {
				text += ", " + test.rest
			}
			want := slices.DeleteFunc([]string{test.want}, func(s string) bool { return s == "" })
			if diff := cmp.Diff(want, ofMessage(parse(t, &listenerv3.Listener{}, text+"}"))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
