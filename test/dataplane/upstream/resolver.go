package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A Resolver finds the addresses of a name.
type Resolver interface {
	// Lookup returns the addresses of a network, "ip4" or "ip6", and how long they may be used; 0 if nobody says so. A name
	// without addresses is no error.
	Lookup(ctx context.Context, network, name string) ([]netip.Addr, time.Duration, error)
}

// NewResolver returns a resolver that asks a server; if it is the zero value, those of the system.
func NewResolver(server netip.AddrPort) Resolver { return systemResolver{server} }

// systemResolver is Go's resolver, which reads /etc/hosts and /etc/resolv.conf. That doesn't tell how long records live, so it
// is read from the answers as they pass by.
type systemResolver struct {
	server netip.AddrPort // is asked instead of those in /etc/resolv.conf, if it is valid
}

func (r systemResolver) Lookup(ctx context.Context, network, name string) ([]netip.Addr, time.Duration, error) {
	seen := &answers{}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if r.server.IsValid() {
			address = r.server.String()
		}
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if udp, ok := conn.(*net.UDPConn); ok {
			return &udpWatch{udp, seen}, nil
		}
		return &tcpWatch{Conn: conn, seen: seen}, nil
	}}
	addresses, err := resolver.LookupNetIP(ctx, network, name)
	var none *net.DNSError
	if errors.As(err, &none) && none.IsNotFound {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	return addresses, seen.ttl(), nil
}

// answers remembers the shortest life of a record that was seen.
type answers struct {
	mu       sync.Mutex
	shortest time.Duration
	any      bool
}

func (a *answers) ttl() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shortest
}

// read reads a DNS message. Of one that is malformed, the resolver says so.
func (a *answers) read(message []byte) {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil || p.SkipAllQuestions() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		h, err := p.AnswerHeader()
		if err != nil || p.SkipAnswer() != nil {
			return
		}
		if life := time.Duration(h.TTL) * time.Second; !a.any || life < a.shortest {
			a.shortest, a.any = life, true
		}
	}
}

// udpWatch is a socket of which each read is a message.
type udpWatch struct {
	*net.UDPConn
	seen *answers
}

func (w *udpWatch) Read(b []byte) (int, error) {
	n, err := w.UDPConn.Read(b)
	w.seen.read(b[:n])
	return n, err
}

// tcpWatch is a connection on which messages come after their length in two bytes (RFC 1035, section 4.2.2).
type tcpWatch struct {
	net.Conn
	seen *answers
	kept []byte
}

func (w *tcpWatch) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.kept = append(w.kept, b[:n]...)
	for len(w.kept) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(w.kept))
		if len(w.kept) < end {
			break
		}
		w.seen.read(w.kept[2:end])
		w.kept = w.kept[end:]
	}
	return n, err
}
