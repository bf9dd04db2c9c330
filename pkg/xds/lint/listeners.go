package lint

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
)

// filterChains: "FilterChainMatch ... multiple filter chains with the same matching rules are defined" is what Envoy says when
// it refuses them.
func (w *walk) filterChains(path string, l *listenerv3.Listener) {
	chains := l.GetFilterChains()
	for i, chain := range chains {
		for _, earlier := range chains[:i] {
			if same(earlier.GetFilterChainMatch(), chain.GetFilterChainMatch()) {
				w.add(DuplicateMatch, fmt.Sprintf("%s.filter_chains[%d]", path, i), "it matches what filter chain %q does", earlier.GetName())
			}
			if chain.GetName() != "" && earlier.GetName() == chain.GetName() {
				w.add(DuplicateName, fmt.Sprintf("%s.filter_chains[%d]", path, i), "another filter chain is named %q", chain.GetName())
			}
		}
	}
}

func same(a, b *listenerv3.FilterChainMatch) bool {
	if a == nil {
		a = &listenerv3.FilterChainMatch{}
	}
	if b == nil {
		b = &listenerv3.FilterChainMatch{}
	}
	return proto.Equal(a, b)
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
