package listener

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/listener/udpproxy"
)

// socket is bound to an address. What it takes is for one listener at a time, and it goes from one to the next without being
// closed.
type socket struct {
	address
	bound  netip.AddrPort // with the port that the kernel chose, if none was given
	logger *slog.Logger
	// users are the listeners that have the socket. Set's lock guards it.
	users int

	file     *os.File // nil once it listens
	listener atomic.Pointer[Listener]
	tcp      *net.TCPListener
	datagram *net.UDPConn
	running  sync.WaitGroup
}

// bind binds a socket, which doesn't listen yet: whoever connects is refused. Go's net can't do that.
func bind(at address, reusePort bool, logger *slog.Logger) (*socket, error) {
	file, err := boundFile(at, reusePort)
	if err != nil {
		return nil, fmt.Errorf("cannot bind '%s': %w", at.AddrPort, err)
	}
	bound, err := unix.Getsockname(int(file.Fd()))
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot bind '%s': %w", at.AddrPort, err)
	}
	s := &socket{address: at, bound: at.AddrPort, file: file, logger: logger}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		s.bound = netip.AddrPortFrom(at.Addr(), uint16(bound.Port))
	case *unix.SockaddrInet6:
		s.bound = netip.AddrPortFrom(at.Addr(), uint16(bound.Port))
	}
	return s, nil
}

func boundFile(at address, reusePort bool) (*os.File, error) {
	domain, kind := unix.AF_INET6, unix.SOCK_STREAM
	if at.Addr().Is4() {
		domain = unix.AF_INET
	}
	if at.udp {
		kind = unix.SOCK_DGRAM
	}
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(domain, kind, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), at.String())
	if err := configure(fd, at, reusePort); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// configure sets a socket's options as Envoy does, and binds it.
func configure(fd int, at address, reusePort bool) error {
	set := func(level, option int, on bool) error {
		value := 0
		if on {
			value = 1
		}
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, value))
	}
	var to unix.Sockaddr = &unix.SockaddrInet4{Port: int(at.Port())}
	var err error
	if at.Addr().Is4() {
		to.(*unix.SockaddrInet4).Addr = at.Addr().As4()
	} else {
		to = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
		err = set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, !at.ipv4)
	}
	if !at.udp {
		err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_REUSEADDR, true))
	}
	if reusePort {
		err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_REUSEPORT, true))
	}
	if err != nil {
		return err
	}
	return os.NewSyscallError("bind", unix.Bind(fd, to))
}

// serve takes connections or datagrams for a listener, from now on.
func (s *socket) serve(l *Listener) error {
	if s.file == nil {
		s.listener.Store(l)
		return nil
	}
	if err := s.listen(); err != nil {
		return fmt.Errorf("cannot listen at '%s': %w", s.bound, err)
	}
	s.file.Close() // net has a duplicate
	s.file = nil
	s.listener.Store(l)
	if s.udp {
		s.running.Go(s.receive)
	} else {
		s.running.Go(s.accept)
	}
	return nil
}

func (s *socket) listen() error {
	if s.udp {
		packets, err := net.FilePacketConn(s.file)
		if err != nil {
			return err
		}
		s.datagram = packets.(*net.UDPConn)
		return s.tellDestination()
	}
	if err := unix.Listen(int(s.file.Fd()), unix.SOMAXCONN); err != nil {
		return os.NewSyscallError("listen", err)
	}
	l, err := net.FileListener(s.file)
	if err != nil {
		return err
	}
	s.tcp = l.(*net.TCPListener)
	return nil
}

// close stops the socket. It waits until what it has taken is in a listener's hands.
func (s *socket) close() {
	switch {
	case s.file != nil:
		s.file.Close()
	case s.udp:
		s.datagram.Close()
	default:
		s.tcp.Close()
	}
	s.running.Wait()
}

// accept takes connections until the socket is closed.
func (s *socket) accept() {
	for {
		accepted, err := s.tcp.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.logger.Error("A connection can't be accepted", "address", s.bound, "err", err)
			time.Sleep(50 * time.Millisecond) // out of file descriptors, most likely
			continue
		}
		c := newConn(accepted)
		if l := s.owner(c); l != nil {
			go l.serve(c, true)
		}
	}
}

// owner gives a connection to the listener that the socket is for, even if that changes meanwhile. It returns nil, and closes the
// connection, if there is none any more.
func (s *socket) owner(c *conn) *Listener {
	for {
		l := s.listener.Load()
		if l.waiting.add(c) {
			return l
		}
		if s.listener.Load() == l {
			c.Close()
			return nil
		}
	}
}

// receive takes datagrams until the socket is closed.
func (s *socket) receive() {
	buffer, control := make([]byte, udpproxy.MaxDatagram+1), make([]byte, 256)
	for {
		n, controlled, _, remote, err := s.datagram.ReadMsgUDPAddrPort(buffer, control)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil, n > udpproxy.MaxDatagram:
			continue
		}
		peers := udpproxy.Peers{Local: s.destination(control[:controlled]), Remote: unmap(remote)}
		s.listener.Load().proxy.Receive(peers, buffer[:n], s.reply)
	}
}

// tellDestination asks the kernel to say where each datagram was sent to, which an unspecified address doesn't.
func (s *socket) tellDestination() error {
	if s.Addr().Is4() {
		return ipv4.NewPacketConn(s.datagram).SetControlMessage(ipv4.FlagDst, true)
	}
	return ipv6.NewPacketConn(s.datagram).SetControlMessage(ipv6.FlagDst, true)
}

func (s *socket) destination(control []byte) netip.AddrPort {
	var dst net.IP
	if s.Addr().Is4() {
		var m ipv4.ControlMessage
		if m.Parse(control) == nil {
			dst = m.Dst
		}
	} else {
		var m ipv6.ControlMessage
		if m.Parse(control) == nil {
			dst = m.Dst
		}
	}
	ip, ok := netip.AddrFromSlice(dst)
	if !ok {
		return s.bound
	}
	return netip.AddrPortFrom(ip.Unmap(), s.bound.Port())
}

// reply sends a datagram from the address to which the client sent its own. IPv6 sockets take the control message of IPv4 for
// clients of IPv4, too.
func (s *socket) reply(peers udpproxy.Peers, datagram []byte) error {
	var control []byte
	if peers.Local.Addr().Is4() {
		control = (&ipv4.ControlMessage{Src: peers.Local.Addr().AsSlice()}).Marshal()
	} else {
		control = (&ipv6.ControlMessage{Src: peers.Local.Addr().AsSlice()}).Marshal()
	}
	_, _, err := s.datagram.WriteMsgUDPAddrPort(datagram, control, peers.Remote)
	return err
}
