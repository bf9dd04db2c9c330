package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
)

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Proto)) })
	for proto, config := range protocols(t) {
		before, _ := s.connections()
		c := newCluster(t, config, s.address())
		for range 5 {
			if _, body := get(t, c, pick(t, c)); body != proto {
				t.Errorf("the backend is spoken to in %s, want %s", body, proto)
			}
		}
		if after, _ := s.connections(); after-before != 1 {
			t.Errorf("%s: 5 requests, one after the other, took %d connections", proto, after-before)
		}
	}
}

// together sends requests and waits until all are with the backend, and lets them go.
func together(t *testing.T, c *Cluster, n int, arrived <-chan struct{}, release chan<- struct{}) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() { get(t, c, pick(t, c)) })
	}
	for range n {
		<-arrived
	}
	for range n {
		release <- struct{}{}
	}
	all.Wait()
}

func TestRequestsAtOnce(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	want := map[string]int{"HTTP/1.1": 8, "HTTP/2.0": 1}
	for proto, config := range protocols(t) {
		before, _ := s.connections()
		c := newCluster(t, config, s.address())
		for range 2 { // the second time, all find a connection
			together(t, c, 8, arrived, release)
		}
		if after, _ := s.connections(); after-before != want[proto] {
			t.Errorf("%s: 8 requests at once took %d connections, want %d", proto, after-before, want[proto])
		}
		if n := c.limits.pending.n.Load(); n != 0 {
			t.Errorf("%s: %d requests are pending", proto, n)
		}
	}
}

// At the limit of connections, requests wait for one to become free. A host that has none gets one, whatever the limit.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := newCluster(t, eds(), s.address())
	c.limits.connections.max = 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { get(t, c, pick(t, c)) })
	}
	all.Wait()
	if n, _ := s.connections(); n != 1 {
		t.Errorf("there were %d connections, want 1", n)
	}
}

// A request that gives up waiting for a connection leaves it to the next one.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	c := newCluster(t, eds(), s.address())
	c.limits.connections.max = 1
	h := pick(t, c)
	var first sync.WaitGroup
	first.Go(func() { get(t, c, h) })
	<-arrived
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	second := make(chan error)
	go func() {
		_, err := c.RoundTrip(ctx, h, request(t, http.MethodGet, "/", nil))
		second <- err
	}()
	eventually(t, "the second request waits", func() bool { return c.limits.pending.n.Load() == 1 })
	cancel(enough)
	if err := <-second; !errors.Is(err, enough) {
		t.Errorf("it gave up with %v", err)
	}
	release <- struct{}{}
	first.Wait()
	together(t, c, 1, arrived, release)
	if n, _ := s.connections(); n != 1 {
		t.Errorf("there were %d connections, want 1", n)
	}
}

// The connections of a host that is gone are closed: at once if they are idle, else after what is under way.
func TestHostGone(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-release
		}
	})
	for proto, config := range protocols(t) {
		c := newCluster(t, config, s.address())
		h := pick(t, c)
		get(t, c, h)
		if err := c.Update(assignment()); err != nil {
			t.Fatal(err)
		}
		eventually(t, proto+": the idle connection is closed", func() bool { _, open := s.connections(); return open == 0 })

		if err := c.Update(assignment(s.address())); err != nil {
			t.Fatal(err)
		}
		h = pick(t, c)
		done := make(chan error)
		go func() {
			response, err := c.RoundTrip(t.Context(), h, request(t, http.MethodGet, "/slow", nil))
			if err == nil {
				err = response.Body.Close()
			}
			done <- err
		}()
		<-arrived
		c.Close()
		release <- struct{}{}
		if err := <-done; err != nil {
			t.Errorf("%s: the request that was under way ended with %v", proto, err)
		}
		eventually(t, proto+": the connection is closed after it", func() bool { _, open := s.connections(); return open == 0 })
		eventually(t, proto+": none is counted", func() bool { return c.limits.connections.n.Load() == 0 })
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Proto + " " + r.TLS.ServerName)) })
	for proto, config := range protocols(t) {
		c := newCluster(t, withTLS(t, config, s.Certificate(), "example.com"), s.Listener.Addr().String())
		if _, body := get(t, c, pick(t, c)); body != proto+" sni.example" {
			t.Errorf("the backend is spoken to in %s, want %s", body, proto)
		}
		wrong := newCluster(t, withTLS(t, config, s.Certificate(), "other.example"), s.Listener.Addr().String())
		if _, err := wrong.RoundTrip(t.Context(), pick(t, wrong), request(t, http.MethodGet, "/", nil)); !errors.Is(err, ErrConnect) {
			t.Errorf("%s: a backend that isn't who it has to be: %v", proto, err)
		}
	}
}

func TestDial(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {})
	c := newCluster(t, withTLS(t, eds(), s.Certificate(), "example.com"), s.Listener.Addr().String())
	conn, err := c.Dial(t.Context(), pick(t, c))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
	answer := make([]byte, 15)
	if _, err := conn.Read(answer); err != nil || string(answer) != "HTTP/1.1 200 OK" {
		t.Errorf("it answers %q (%v)", answer, err)
	}
}

func TestDialUDP(t *testing.T) {
	t.Parallel()
	backend, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	go func() {
		packet := make([]byte, 16)
		for {
			n, from, err := backend.ReadFrom(packet)
			if err != nil {
				return
			}
			_, _ = backend.WriteTo(packet[:n], from)
		}
	}()
	c := newCluster(t, eds(), backend.LocalAddr().String())
	conn, err := c.DialUDP(t.Context(), pick(t, c))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 16)
	if n, err := conn.Read(echo); err != nil || string(echo[:n]) != "ping" {
		t.Errorf("it echoes %q (%v)", echo[:n], err)
	}
}

// A backend that is gone, and comes back, is connected to again.
func TestReconnect(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, config := range []string{"HTTP/1.1", "HTTP/2.0"} {
		c := newCluster(t, protocols(t)[config], s.address())
		h := pick(t, c)
		get(t, c, h)
		s.CloseClientConnections()
		eventually(t, "the pool has noticed", func() bool {
			h.pool.mu.Lock()
			defer h.pool.mu.Unlock()
			return len(h.pool.conns) == 0
		})
		get(t, c, h)
	}
}
