package call

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// Mark adds to the header of a request what tells that it is the data plane's own.
func Mark(h http.Header) {
	h.Set("X-Envoy-Internal", "true")
	AppendForwardedFor(h, netip.IPv6Loopback())
}

// AppendForwardedFor adds the address of a client to X-Forwarded-For. In place of a loopback address, which says nothing to
// others, it is that of the machine (LocalInfo::address).
func AppendForwardedFor(h http.Header, client netip.Addr) {
	client = client.Unmap().WithZone("")
	if client.IsLoopback() {
		client = local()
	}
	h["X-Forwarded-For"] = []string{strings.Join(append(h["X-Forwarded-For"], client.String()), ",")}
}

// local is the first IPv4 address that isn't a loopback address; 127.0.0.1 if there is none.
var local = sync.OnceValue(func() netip.Addr {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		addresses = nil
	}
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().Is4() && !prefix.Addr().IsLoopback() {
			return prefix.Addr()
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
})
