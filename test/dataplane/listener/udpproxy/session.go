package udpproxy

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/accesslog"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// session is what goes to and fro between a client and a host.
type session struct {
	proxy *Proxy
	peers Peers
	reply Reply
	host  *upstream.Host
	conn  net.Conn // to the host
	ended chan struct{}
	idle  *time.Timer // nil without a timeout
	start time.Time

	received, sent atomic.Int64 // from and to the client, in bytes
}

// send forwards a datagram to the host. Errors are those of earlier datagrams, or of a session that has just ended; UDP promises
// nothing.
func (s *session) send(datagram []byte) {
	s.active()
	s.received.Add(int64(len(datagram)))
	_, _ = s.conn.Write(datagram)
}

// active starts the idle timeout again.
func (s *session) active() {
	if s.idle != nil {
		s.idle.Reset(s.proxy.idleTimeout)
	}
}

// endWithHost ends the session when the host goes, alone or with its cluster.
func (s *session) endWithHost() {
	select {
	case <-s.host.Gone():
		s.proxy.lockAndEnd(s)
	case <-s.ended:
	}
}

// run forwards what the host answers, until the session is ended.
func (s *session) run() {
	defer s.log()
	buffer := make([]byte, MaxDatagram+1)
	for {
		n, err := s.conn.Read(buffer)
		var refused syscall.Errno // the host's ICMP: nobody listens there yet
		switch {
		case errors.As(err, &refused):
			continue
		case err != nil:
			s.proxy.lockAndEnd(s)
			return
		case n > MaxDatagram:
			continue
		}
		s.active()
		if s.reply(s.peers, buffer[:n]) == nil {
			s.sent.Add(int64(n))
		}
	}
}

func (s *session) log() {
	s.proxy.log.Log(accesslog.Entry{
		Start:           s.start,
		Duration:        time.Since(s.start),
		UpstreamCluster: s.proxy.cluster,
		BytesReceived:   s.received.Load(),
		BytesSent:       s.sent.Load(),
		Downstream:      accesslog.Peer{Local: s.peers.Local, Remote: s.peers.Remote},
		Upstream:        accesslog.Peer{Local: localAddr(s.conn), Remote: s.host.Address()},
	})
}

func localAddr(conn net.Conn) netip.AddrPort {
	udp, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := udp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
