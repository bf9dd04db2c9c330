package server

import (
	"net"
	"net/netip"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// peers counts the connections and streams there are, in all and by the address that they come from.
type peers struct {
	limits Limits

	mu    sync.Mutex
	all   usage
	usage map[netip.Addr]*usage
}

// usage is what an address has open.
type usage struct {
	connections, streams, unproven int
	asking                         gate // nil until it is asked who some client is
}

func (u *usage) none() bool { return u.connections+u.streams+u.unproven == 0 }

// maxUnproven bounds the streams of all addresses whose clients are being authenticated.
const maxUnproven = 4096

func newPeers(limits Limits) *peers { return &peers{limits: limits, usage: map[netip.Addr]*usage{}} }

// counter is one of the things that are counted, and how much of it there may be.
type counter struct {
	of           func(*usage) *int
	all, address bound
	what         string
}

// bound is how much there may be of something, and the flag of the server that says so, if one does.
type bound struct {
	n    int
	flag string
}

// raise says how to have more.
func (b bound) raise() string {
	if b.flag == "" {
		return ""
	}
	return " (" + b.flag + " raises that)"
}

func (p *peers) connections() counter {
	return counter{
		func(u *usage) *int { return &u.connections },
		bound{p.limits.Connections, "--xds-max-streams"}, bound{p.limits.ConnectionsPerAddress, "--xds-max-connections-per-address"},
		"connections",
	}
}

func (p *peers) streams() counter {
	return counter{
		func(u *usage) *int { return &u.streams },
		bound{p.limits.Streams, "--xds-max-streams"}, bound{p.limits.StreamsPerAddress, "--xds-max-streams-per-address"},
		"streams",
	}
}

func (p *peers) unproven() counter {
	return counter{
		func(u *usage) *int { return &u.unproven },
		bound{n: maxUnproven}, bound{n: p.limits.Unproven},
		"streams whose clients have not been authenticated yet",
	}
}

// take counts one more of something until release is called, or returns an error if there are too many.
func (p *peers) take(addr netip.Addr, what counter) (release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.usage[addr]
	if u == nil {
		u = &usage{}
	}
	switch {
	case *what.of(&p.all) >= what.all.n:
		return nil, status.Errorf(codes.ResourceExhausted, "this server has %d %s, which is all it takes%s: use another replica, or try later",
			what.all.n, what.what, what.all.raise())
	case *what.of(u) >= what.address.n && !addr.IsLoopback():
		return nil, status.Errorf(codes.ResourceExhausted, "this server has %d %s of the address %s, which is all it takes from one%s",
			what.address.n, what.what, addr, what.address.raise())
	}
	p.usage[addr] = u
	*what.of(&p.all)++
	*what.of(u)++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		*what.of(&p.all)--
		if *what.of(u)--; u.none() {
			delete(p.usage, addr)
		}
	}), nil
}

// gate returns the one for questions about streams of an address that has some.
func (p *peers) gate(addr netip.Addr) gate {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.usage[addr]
	if u == nil {
		u = &usage{} // the last stream has just ended
	}
	if u.asking == nil {
		u.asking = make(gate, maxAskingPerAddress)
	}
	return u.asking
}

// address returns that of a client, by which it is counted: of IPv6, the network of 64 bits, of which a client has all.
func address(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() && !addr.IsLoopback() {
		prefix, err := addr.Prefix(64)
		if err == nil {
			return prefix.Addr()
		}
	}
	return addr
}

// limit returns a listener that refuses what is too much.
func (s *Server) limit(l net.Listener) net.Listener { return limited{l, s.peers, s.refuse} }

type limited struct {
	net.Listener
	peers  *peers
	refuse func(what, who string, err error)
}

// Accept returns the next connection that is not too much.
func (l limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := address(c.RemoteAddr())
		release, err := l.peers.take(addr, l.peers.connections())
		if err != nil {
			l.refuse("connections", addr.String(), err)
			c.Close()
			continue
		}
		return &connection{Conn: c, release: release}, nil
	}
}

// connection is counted until it is closed.
type connection struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.release()
	return c.Conn.Close()
}

// RemoteAddr implements net.Conn. What it returns leads back to the connection (connectionOf).
func (c *connection) RemoteAddr() net.Addr { return remote{c.Conn.RemoteAddr(), c} }

type remote struct {
	net.Addr
	connection *connection
}

// peerOf returns the address of a peer, and closes its connection on hangUp.
func peerOf(p *peer.Peer) (addr netip.Addr, hangUp func()) {
	if r, ok := p.Addr.(remote); ok {
		return address(r.Addr), func() { r.connection.Close() }
	}
	return netip.Addr{}, func() {}
}
