//go:build !linux

package listener

import (
	"errors"
	"net"
	"net/netip"
)

// originalDst returns where a connection was going before it was redirected, which only Linux tells.
func originalDst(net.Conn) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.New("original destinations are known on Linux only")
}
