package lint

import (
	"fmt"
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
)

// filterChains: "no filter chains specified", "filter chain(s) specified for connection-less UDP listener" and "multiple filter
// chains with overlapping matching rules are defined" is what Envoy says when it refuses a listener.
func (w *walk) filterChains(path string, l *listenerv3.Listener) {
	chains := l.GetFilterChains()
	udp := l.GetAddress().GetSocketAddress().GetProtocol() == corev3.SocketAddress_UDP && l.GetUdpListenerConfig().GetQuicOptions() == nil
	switch none := len(chains) == 0 && l.GetDefaultFilterChain() == nil; {
	case udp && !none:
		w.add(Invalid, path, "a UDP listener has no filter chains")
	case !udp && none && !w.proxyless:
		w.add(Invalid, path, "it has no filter chains")
	}
	owner, names := map[criterion]string{}, map[string]bool{}
	for i, chain := range chains {
		at := fmt.Sprintf("%s.filter_chains[%d]", path, i)
		if name := chain.GetName(); name != "" && names[name] {
			w.add(DuplicateName, at, "another filter chain is named %q", name)
		}
		names[chain.GetName()] = true
		for _, name := range chain.GetFilterChainMatch().GetServerNames() {
			if strings.Contains(strings.TrimPrefix(name, "*."), "*") {
				w.add(Invalid, at+".filter_chain_match.server_names", "partial wildcards are not supported: %q", name)
			}
		}
		for _, c := range criteria(chain.GetFilterChainMatch()) {
			if other, taken := owner[c]; taken {
				w.add(DuplicateMatch, at, "it matches what filter chain %q does", other)
				break
			}
			owner[c] = chain.GetName()
		}
	}
}

// criterion is one combination of the values that a FilterChainMatch lists.
type criterion struct{ prefix, serverName, protocol, others string }

func criteria(m *listenerv3.FilterChainMatch) []criterion {
	rest := &listenerv3.FilterChainMatch{}
	proto.Merge(rest, m)
	rest.PrefixRanges, rest.ServerNames, rest.ApplicationProtocols = nil, nil, nil
	others, err := proto.MarshalOptions{Deterministic: true}.Marshal(rest)
	if err != nil {
		return nil // Invalid says so
	}
	prefixes := make([]string, 0, len(m.GetPrefixRanges()))
	for _, r := range m.GetPrefixRanges() {
		prefixes = append(prefixes, masked(r))
	}
	var all []criterion
	for _, prefix := range orAny(prefixes) {
		for _, name := range orAny(m.GetServerNames()) {
			for _, protocol := range orAny(m.GetApplicationProtocols()) {
				all = append(all, criterion{prefix, strings.ToLower(name), protocol, string(others)})
			}
		}
	}
	return all
}

// masked returns a range of addresses, in which the host bits of its address make no difference.
func masked(r *corev3.CidrRange) string {
	ip, err := netip.ParseAddr(r.GetAddressPrefix())
	if err != nil {
		return r.GetAddressPrefix()
	}
	return netip.PrefixFrom(ip, min(int(r.GetPrefixLen().GetValue()), ip.BitLen())).Masked().String()
}

// orAny returns the values of a list; without any, everything matches.
func orAny(values []string) []string {
	if len(values) == 0 {
		return []string{""}
	}
	return values
}

// addresses finds two listeners that bind the same address and port for the same protocol.
func (c *check) addresses() {
	owner := map[string]string{}
	for _, l := range c.snapshot.Listeners {
		w := &walk{check: c, resource: target{l.ProtoReflect().Descriptor().FullName(), l.GetName()}.String()}
		all := []*corev3.Address{l.GetAddress()}
		for _, a := range l.GetAdditionalAddresses() {
			all = append(all, a.GetAddress())
		}
		for _, a := range all {
			socket := a.GetSocketAddress()
			if socket == nil || socket.GetPortValue() == 0 {
				continue
			}
			text := fmt.Sprintf("%s %s:%d", socket.GetProtocol(), socket.GetAddress(), socket.GetPortValue())
			if other, taken := owner[text]; taken {
				w.add(DuplicateAddress, ".address", "%s is the address of listener %q too", text, other)
			}
			owner[text] = l.GetName()
		}
	}
}
