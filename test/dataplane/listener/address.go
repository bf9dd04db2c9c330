package listener

import (
	"errors"
	"fmt"
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
)

// address is what a listener listens at.
type address struct {
	netip.AddrPort
	// udp is false for TCP.
	udp bool
	// ipv4 says that a socket of an IPv6 address takes connections by IPv4, too (SocketAddress.ipv4_compat).
	ipv4 bool
}

// addressesOf returns the addresses of a listener, which are all of the same protocol.
func addressesOf(config *listenerv3.Listener) ([]address, error) {
	all := []*corev3.Address{config.GetAddress()}
	for _, additional := range config.GetAdditionalAddresses() {
		all = append(all, additional.GetAddress())
	}
	addresses := make([]address, 0, len(all))
	for _, one := range all {
		a, err := newAddress(one)
		if err != nil {
			return nil, err
		}
		if len(addresses) > 0 && a.udp != addresses[0].udp {
			return nil, errors.New("the listener only supports the same socket type for all addresses")
		}
		addresses = append(addresses, a)
	}
	return addresses, nil
}

func newAddress(config *corev3.Address) (address, error) {
	socket := config.GetSocketAddress()
	ip, err := netip.ParseAddr(socket.GetAddress())
	if err != nil || ip.Zone() != "" {
		return address{}, fmt.Errorf("malformed IP address: %q", socket.GetAddress())
	}
	if socket.GetPortValue() > 0xffff {
		return address{}, fmt.Errorf("port %d is none", socket.GetPortValue())
	}
	if socket.GetIpv4Compat() && ip != netip.IPv6Unspecified() && !ip.Is4In6() {
		return address{}, fmt.Errorf("only IPv6 address '::' or valid IPv4-mapped IPv6 address can set ipv4_compat: %s", ip)
	}
	return address{
		AddrPort: netip.AddrPortFrom(ip, uint16(socket.GetPortValue())),
		udp:      socket.GetProtocol() == corev3.SocketAddress_UDP,
		ipv4:     socket.GetIpv4Compat(),
	}, nil
}

// takes says how well a listener at this address fits a redirected connection to dst: exactly, as one of all addresses of its
// family, or, for the address "::" with ipv4_compat, as one of all IPv4 addresses.
func (a address) takes(dst netip.AddrPort) fit {
	own := netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	switch {
	case a.udp || own.Port() != dst.Port():
		return fitNone
	case own == dst:
		return fitExactly
	case !own.Addr().IsUnspecified():
		return fitNone
	case own.Addr().Is4() == dst.Addr().Is4():
		return fitFamily
	case a.ipv4 && dst.Addr().Is4():
		return fitCompatible
	}
	return fitNone
}

// fit is how well an address fits, better ones being greater.
type fit int

const (
	fitNone fit = iota
	fitCompatible
	fitFamily
	fitExactly
)
