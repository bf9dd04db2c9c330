package cluster

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"
)

// Link is a TCP port of localhost, or of another address of this machine, that forwards each connection to one of its
// targets, in turn, and to the next one if that refuses. It stands for a Service and kube-proxy, or for a network that can
// be cut.
type Link struct {
	// Port is where it listens; on localhost, that is on 127.0.0.1 and, where there is IPv6, ::1.
	Port int

	host      string // where Addr is
	listeners []net.Listener
	forwards  sync.WaitGroup

	mu      sync.Mutex
	targets []string
	next    int
	cut     bool
	stalled chan struct{} // closed when what comes may be passed on again; nil if nothing is held back
	conns   map[net.Conn]struct{}
}

// NewLink returns a link from localhost to targets, each a HOST:PORT.
func NewLink(targets ...string) (*Link, error) { return newLinkToFreePort(loopbacks, targets) }

// NewLinkAt returns a link from another address.
func NewLinkAt(host string, targets ...string) (*Link, error) {
	return newLinkToFreePort([]string{host}, targets)
}

// NewLinkAtPort returns a link from a port of another address, which has to be free.
func NewLinkAtPort(host string, port int, targets ...string) (*Link, error) {
	return newLink([]string{host}, port, targets)
}

func newLinkToFreePort(hosts, targets []string) (*Link, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	return newLink(hosts, port, targets)
}

func newLink(hosts []string, port int, targets []string) (*Link, error) {
	l := &Link{Port: port, host: hosts[0], targets: targets, conns: map[net.Conn]struct{}{}}
	for _, host := range hosts {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			l.Close()
			return nil, err
		}
		l.listeners = append(l.listeners, listener)
		l.forwards.Go(func() { l.accept(listener) })
	}
	return l, nil
}

// Addr is where the link listens, as HOST:PORT.
func (l *Link) Addr() string { return net.JoinHostPort(l.host, strconv.Itoa(l.Port)) }

// SetTargets has new connections go to targets; those that are open stay.
func (l *Link) SetTargets(targets ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.targets = targets
}

// Cut ends all connections and refuses new ones, until Mend.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for conn := range l.conns {
		_ = conn.Close()
	}
	l.flow()
}

// Stall holds back all that is sent in either direction, on new connections, too, until Mend or Cut: as in a network that
// loses packets, nobody is told that anything is wrong, and what was sent arrives in the end.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled == nil {
		l.stalled = make(chan struct{})
	}
}

// Mend undoes Cut and Stall.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
	l.flow()
}

// flow ends a stall. The caller has the lock.
func (l *Link) flow() {
	if l.stalled != nil {
		close(l.stalled)
		l.stalled = nil
	}
}

// Close ends the link, and returns when all of it has ended.
func (l *Link) Close() {
	for _, listener := range l.listeners {
		_ = listener.Close()
	}
	l.Cut()
	l.forwards.Wait()
}

func (l *Link) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		l.forwards.Go(func() { l.forward(conn) })
	}
}

func (l *Link) forward(client net.Conn) {
	if !l.track(client) {
		_ = client.Close()
		return
	}
	defer l.forget(client)
	l.wait()
	server := l.dial()
	if server == nil {
		return
	}
	if !l.track(server) {
		_ = server.Close()
		return
	}
	defer l.forget(server)
	var directions sync.WaitGroup
	directions.Go(func() { l.pipe(server, client) })
	directions.Go(func() { l.pipe(client, server) })
	directions.Wait()
}

// pipe copies until src ends, and passes that on.
func (l *Link) pipe(dst, src net.Conn) {
	if _, err := io.Copy(dst, held{src, l}); err != nil {
		_, _ = dst.Close(), src.Close()
		return
	}
	_ = dst.(*net.TCPConn).CloseWrite()
}

// held passes on what it reads as long as its link isn't stalled.
type held struct {
	io.Reader
	link *Link
}

func (h held) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.link.wait()
	return n, err
}

// wait returns when nothing is held back.
func (l *Link) wait() {
	l.mu.Lock()
	stalled := l.stalled
	l.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
}

// dial connects to the target whose turn it is, or else to the first after it that accepts.
func (l *Link) dial() net.Conn {
	l.mu.Lock()
	targets, first := l.targets, l.next
	l.next++
	l.mu.Unlock()
	for i := range targets {
		conn, err := net.DialTimeout("tcp", targets[(first+i)%len(targets)], time.Second)
		if err == nil {
			return conn
		}
	}
	return nil
}

// track says whether the connection may be used.
func (l *Link) track(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.conns[conn] = struct{}{}
	return true
}

func (l *Link) forget(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = conn.Close()
	delete(l.conns, conn)
}

// loopbacks are the addresses that "localhost" may stand for on this machine.
var loopbacks = func() []string {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return []string{"127.0.0.1"}
	}
	_ = listener.Close()
	return []string{"127.0.0.1", "::1"}
}()

// given are the ports that FreePort has returned.
var given sync.Map

// FreePort returns a TCP port that nothing listens on, and another one each time. It is not one that the kernel gives to outgoing
// connections: those would take it from a server that is started again.
func FreePort() (int, error) {
	const low, high, attempts = 10000, 30000, 100
	for range attempts {
		port := low + rand.IntN(high-low)
		if _, again := given.LoadOrStore(port, true); !again && free(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port found between %d and %d", low, high)
}

func free(port int) bool {
	var err error
	for _, host := range loopbacks {
		listener, failed := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if failed == nil {
			failed = listener.Close()
		}
		err = errors.Join(err, failed)
	}
	return err == nil
}
