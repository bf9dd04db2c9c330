package crowd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says who the clients are, and what they subscribe to.
type Config struct {
	Address string // of the xDS server, HOST:PORT
	Gateway string // that all of them serve: namespace/name
	Streams int
	// Subscriptions are made in this order.
	Subscriptions []Subscription
	// CA is a file with the certificate authority of the server, and Certificate and Key are files with what the clients
	// show it. Without them the connections are plaintext.
	CA, Certificate, Key string
	// Fleet numbers crowds that are connected to one server at the same time: their addresses differ.
	Fleet uint8
}

// Subscription asks for resources of a type.
type Subscription struct {
	TypeURL string
	Names   []string // none: all there are
}

// Crowd is a number of connected clients.
type Crowd struct {
	config  Config
	clients []*client
	running sync.WaitGroup

	expected atomic.Pointer[expectation]
	received atomic.Int64 // bytes of responses

	closing atomic.Bool
	failed  chan struct{} // closed when a client has ended by itself
	fail    sync.Once
	err     error
}

// dialers bounds how many clients connect at the same time.
const dialers = 64

// Connect returns when each client has been answered each subscription. If that fails, or ctx ends first, nothing is left of it.
func Connect(ctx context.Context, config Config) (*Crowd, error) {
	tlsConfig, err := config.tls()
	if err != nil {
		return nil, err
	}
	c := &Crowd{config: config, clients: make([]*client, config.Streams), failed: make(chan struct{})}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(dialers)
	for i := range c.clients {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			client, err := c.connect(ctx, i, tlsConfig)
			if err != nil {
				return fmt.Errorf("client %d: %w", i, err)
			}
			c.clients[i] = client
			c.running.Go(func() { c.ended(i, client.run()) })
			select {
			case <-client.answered:
				return nil
			case <-c.failed:
				return c.err
			case <-ctx.Done():
				return fmt.Errorf("client %d is not answered: %w", i, ctx.Err())
			}
		})
	}
	if err := group.Wait(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// ended notes why the first of the clients ended by itself.
func (c *Crowd) ended(i int, err error) {
	if c.closing.Load() {
		return
	}
	c.fail.Do(func() {
		c.err = fmt.Errorf("the stream of client %d ended: %w", i, err)
		close(c.failed)
	})
}

// Close disconnects all clients.
func (c *Crowd) Close() {
	c.closing.Store(true)
	for _, client := range c.clients {
		if client != nil {
			client.conn.Close()
		}
	}
	c.running.Wait()
}

// expectation is a response that all clients are to receive.
type expectation struct {
	typeURL string
	marker  []byte
	done    chan struct{}

	mu      sync.Mutex
	arrival Arrival
	missing int
}

// Arrival says when a response reached the clients.
type Arrival struct {
	First, Last time.Time
	Size        int // of the largest response, in bytes
	// Versions counts the clients by the name and the version of the first resource of the response: equal ones have received
	// the same.
	Versions map[string]int
}

// Expect has the clients wait for a response of a type with a marker, a text, in one of its resources. What they expected
// before is forgotten.
func (c *Crowd) Expect(typeURL, marker string) {
	c.expected.Store(&expectation{
		typeURL: typeURL, marker: []byte(marker), missing: len(c.clients),
		done: make(chan struct{}), arrival: Arrival{Versions: map[string]int{}},
	})
}

// Await returns when each client has received what is expected.
func (c *Crowd) Await(ctx context.Context) (Arrival, error) {
	e := c.expected.Load()
	if e == nil {
		return Arrival{}, errors.New("nothing is expected")
	}
	select {
	case <-e.done:
		return e.arrival, nil
	case <-c.failed:
		return Arrival{}, c.err
	case <-ctx.Done():
		e.mu.Lock()
		defer e.mu.Unlock()
		return Arrival{}, fmt.Errorf("%d of %d clients have not received %q: %w", e.missing, len(c.clients), e.marker, ctx.Err())
	}
}

// arrived notes that one more client has received what is expected.
func (e *expectation) arrived(now time.Time, version string, size int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.arrival.First.IsZero() {
		e.arrival.First = now
	}
	if now.After(e.arrival.Last) {
		e.arrival.Last = now
	}
	e.arrival.Size = max(e.arrival.Size, size)
	e.arrival.Versions[version]++
	if e.missing--; e.missing == 0 {
		close(e.done)
	}
}

// tls returns nil for plaintext.
func (c Config) tls() (*tls.Config, error) {
	if c.CA == "" {
		return nil, nil
	}
	ca, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", c.CA)
	}
	out := &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13}
	if c.Certificate == "" {
		return out, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, err
	}
	out.Certificates = []tls.Certificate{pair}
	return out, nil
}

// dial connects from an address of this client's own, if the server is on an IPv4 address of loopback, where all are free.
func (c *Crowd) dial(ctx context.Context, i int, tlsConfig *tls.Config) (net.Conn, error) {
	var dialer net.Dialer
	host, _, err := net.SplitHostPort(c.config.Address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host).To4(); ip != nil && ip.IsLoopback() {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 1+c.config.Fleet, byte(i>>8), byte(i))}
	}
	if tlsConfig == nil {
		return dialer.DialContext(ctx, "tcp", c.config.Address)
	}
	return (&tls.Dialer{NetDialer: &dialer, Config: tlsConfig}).DialContext(ctx, "tcp", c.config.Address)
}
