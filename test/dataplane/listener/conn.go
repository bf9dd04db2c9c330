package listener

import (
	"net"
	"net/netip"
)

// Transport protocols, as filter chains match them.
const (
	transportRaw = "raw_buffer"
	transportTLS = "tls"
)

// conn is a connection that was accepted, and what its listener filters know of it. Until it is handed to a network filter, it
// has one owner.
type conn struct {
	net.Conn        // always a *net.TCPConn
	peeked   []byte // what was received, but not read yet

	remote netip.AddrPort
	// local is the address that the client connected to. restored says that the kernel was asked for it, since the connection may
	// have been redirected from there to where it was accepted.
	local    netip.AddrPort
	restored bool

	transport  string // empty as long as no filter knows
	serverName string
	protocols  []string
}

func newConn(accepted *net.TCPConn) *conn {
	_ = accepted.SetKeepAlive(false) // Go's default, which isn't Envoy's
	return &conn{
		Conn:   accepted,
		remote: unmap(accepted.RemoteAddr().(*net.TCPAddr).AddrPort()),
		local:  unmap(accepted.LocalAddr().(*net.TCPAddr).AddrPort()),
	}
}

// unmap returns an IPv4 address as such, also where it came from an IPv6 socket.
func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Read reads what was peeked first.
func (c *conn) Read(b []byte) (int, error) {
	if len(c.peeked) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.peeked)
	c.peeked = c.peeked[n:]
	return n, nil
}

// peek waits for more bytes, which stay to be read, up to limit in all.
func (c *conn) peek(limit int) error {
	buffer := make([]byte, limit-len(c.peeked))
	n, err := c.Conn.Read(buffer)
	c.peeked = append(c.peeked, buffer[:n]...)
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// CloseWrite ends what is sent.
func (c *conn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }
