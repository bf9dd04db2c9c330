package listener

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// ip6SoOriginalDst is IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h.
const ip6SoOriginalDst = 80

// originalDst returns where a connection was going before netfilter redirected it, which is its local address if it wasn't; the zero
// value if netfilter doesn't track connections.
func originalDst(c net.Conn) (netip.AddrPort, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return netip.AddrPort{}, errors.New("not a TCP connection")
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	is4 := unmap(tcp.LocalAddr().(*net.TCPAddr).AddrPort()).Addr().Is4()
	var original netip.AddrPort
	var failure error
	err = raw.Control(func(fd uintptr) { original, failure = sockoptOriginalDst(int(fd), is4) })
	if err = errors.Join(err, failure); errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOPROTOOPT) {
		return netip.AddrPort{}, nil
	}
	return original, err
}

func sockoptOriginalDst(fd int, ipv4 bool) (netip.AddrPort, error) {
	if !ipv4 {
		// A struct that begins with a sockaddr_in6.
		info, err := unix.GetsockoptIPv6MTUInfo(fd, unix.IPPROTO_IPV6, ip6SoOriginalDst)
		if err != nil {
			return netip.AddrPort{}, err
		}
		port := binary.NativeEndian.AppendUint16(nil, info.Addr.Port) // in network order
		return netip.AddrPortFrom(netip.AddrFrom16(info.Addr.Addr), binary.BigEndian.Uint16(port)), nil
	}
	// A struct that is as long as a sockaddr_in.
	request, err := unix.GetsockoptIPv6Mreq(fd, unix.IPPROTO_IP, unix.SO_ORIGINAL_DST)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := request.Multiaddr // family, port and address
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), nil
}
