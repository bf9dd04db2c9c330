package server

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// from is a listener whose connections come from other addresses than those of loopback, which have no limits of their own.
type from struct {
	net.Listener
	next func() net.IP
}

func (f from) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return connectionFrom{c, &net.TCPAddr{IP: f.next(), Port: 1}}, nil
}

type connectionFrom struct {
	net.Conn
	addr net.Addr
}

func (c connectionFrom) RemoteAddr() net.Addr { return c.addr }

// same is the address of all clients of a from.
func same() net.IP { return net.IPv4(192, 0, 2, 1) }

// plainFromOne is plain, with an address that all clients share.
func (s *testServer) plainFromOne(t *testing.T) *testServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(from{l, same})
	s.addr = l.Addr().String()
	return s.plain(t)
}

// wantRefusals checks what is logged of eleven refusals of a second connection or stream.
func (s *testServer) wantRefusals(t *testing.T, what, flag string) {
	t.Helper()
	lines := s.logged("Refused an xDS client")
	if len(lines) != 2 || !strings.Contains(lines[0], `"refusals"=1`) || !strings.Contains(lines[1], `"refusals"=10`) ||
		!strings.Contains(lines[0], `"client"="192.0.2.1" "reason"="this server has 1 `+what) || !strings.Contains(lines[0], "("+flag+" raises that)") {
		t.Errorf("logged %q, want the first refusal and the tenth, of whom, and %s", lines, flag)
	}
}

// TestRefusedConnectionsAreLogged connects more often than a server takes, in all and from one address.
func TestRefusedConnectionsAreLogged(t *testing.T) {
	t.Parallel()
	for flag, limits := range map[string]Limits{
		"--xds-max-streams":                 {Connections: 1},
		"--xds-max-connections-per-address": {ConnectionsPerAddress: 1},
	} {
		s := serve(t, func(c *Config) { c.Limits = limits })
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for limited := s.limit(from{l, same}); ; {
				if _, err := limited.Accept(); err != nil {
					return
				}
			}
		}()
		for i := range 12 {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if i == 0 {
				continue
			}
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Fatalf("%s: connection %d is taken", flag, i)
			}
		}
		s.wantRefusals(t, "connections", flag)
	}
}

// TestRefusedStreamsAreLogged opens more streams than a server takes, in all and from one address.
func TestRefusedStreamsAreLogged(t *testing.T) {
	t.Parallel()
	for flag, limits := range map[string]Limits{
		"--xds-max-streams":             {Streams: 1, Drain: -1},
		"--xds-max-streams-per-address": {StreamsPerAddress: 1, Drain: -1},
	} {
		s := serve(t, func(c *Config) { c.Limits = limits })
		client := s.plainFromOne(t)
		s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l1")))
		first := client.delta(t, nil)
		first.subscribe(lds)
		first.wantAck("listeners +l=l1")
		for range 11 {
			if _, err := client.delta(t, nil).Recv(); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), flag) {
				t.Fatalf("%s: got %v, want ResourceExhausted", flag, err)
			}
		}
		s.wantRefusals(t, "streams", flag)
	}
}

// TestUnprovenStreamsAreLimited opens more streams than may wait for an answer about their clients.
func TestUnprovenStreamsAreLimited(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	s := serve(t, authenticated(func(context.Context) (*identity.Identity, error) {
		close(asked)
		<-answer
		return nil, status.Error(codes.Unauthenticated, "no")
	}), func(c *Config) { c.Limits.Unproven = 1 })
	client := s.plainFromOne(t)
	first := client.delta(t, nil)
	<-asked
	if _, err := client.delta(t, nil).Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v, want ResourceExhausted", err)
	}
	close(answer)
	if _, err := first.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("got %v, want Unauthenticated", err)
	}
	if lines := s.logged("not been authenticated yet of the address 192.0.2.1"); len(lines) != 1 {
		t.Errorf("logged %q, want a line", lines)
	}
}

// TestCrowd has ever new addresses connect to a server that takes no more: what they cost it is bounded, and so is the log.
func TestCrowd(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Connections = 1 })
	if _, err := s.peers.take(address(&net.TCPAddr{IP: same()}), s.peers.connections()); err != nil {
		t.Fatal(err)
	}
	crowd := 0
	_, err := s.limit(from{pipes(3 * maxCounts), func() net.IP {
		crowd++
		return net.IPv4(198, 18, byte(crowd>>8), byte(crowd))
	}}).Accept()
	if !errors.Is(err, net.ErrClosed) || crowd != 3*maxCounts {
		t.Fatalf("after %d connections: %v", crowd, err)
	}
	if n := s.refusals.counts.Len(); n > maxCounts {
		t.Errorf("%d addresses are remembered", n)
	}
	if len(s.peers.usage) != 1 || s.peers.all.connections != 1 {
		t.Errorf("%d connections of %d addresses are counted, want that of one", s.peers.all.connections, len(s.peers.usage))
	}
	if lines := s.logged("Refused"); len(lines) == 0 || len(lines) > 1000 { // which is three minutes' worth
		t.Errorf("logged %d lines", len(lines))
	}
}

// pipes returns a listener that has so many connections, and then is closed.
func pipes(n int) net.Listener { return &pipeListener{left: n} }

type pipeListener struct {
	net.Listener
	left int
}

func (l *pipeListener) Accept() (net.Conn, error) {
	if l.left == 0 {
		return nil, net.ErrClosed
	}
	l.left--
	c, _ := net.Pipe()
	return c, nil
}
