package listener

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// bufferLimit changes more of a listener than its filter chains.
func bufferLimit(config *listenerv3.Listener, bytes uint32) *listenerv3.Listener {
	config = proto.CloneOf(config)
	config.PerConnectionBufferLimitBytes = wrapperspb.UInt32(bytes)
	return config
}

// renamed is a filter chain that differs.
func renamed(chain *listenerv3.FilterChain) *listenerv3.FilterChain {
	chain.Name += " once more"
	return chain
}

// refused says whether nobody listens at an address.
func refused(t *testing.T, at netip.AddrPort) bool {
	t.Helper()
	c, err := net.DialTimeout("tcp", at.String(), patience)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// A listener that is replaced refuses nobody, neither when its filter chains change nor when all of it does.
func TestUpdateKeepsAccepting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	w.addCluster(staticCluster("a", echo(t, "a")))
	config := listenerAt("127.0.0.1:0", tcpChain("a"))
	at := w.start(config).Addrs()[0]
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				c, err := net.DialTimeout("tcp", at.String(), patience)
				if err != nil {
					t.Errorf("refused: %v", err)
					return
				}
				if got := newClient(t, c).line(); got != "a" {
					t.Errorf("it says %q", got)
				}
				c.Close()
			}
		})
	}
	for i := range 100 {
		if i%2 == 0 {
			config = bufferLimit(config, uint32(1000+i))
		} else {
			config = proto.CloneOf(config)
			renamed(config.GetFilterChains()[0])
		}
		if addrs := w.start(config).Addrs(); len(addrs) != 1 || addrs[0] != at {
			t.Fatalf("after update %d, it listens at %v, want %s", i, addrs, at)
		}
	}
	close(done)
	clients.Wait()
}

func TestUpdateOfOneFilterChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	w.addSecret("server", newCertificate(t, "www.example"))
	config := listenerAt("127.0.0.1:0",
		of(httpChain("raw"), &listenerv3.FilterChainMatch{TransportProtocol: transportRaw}),
		of(httpChain("tls"), tlsFor()),
	)
	config.ListenerFilters = inspector()
	config.DefaultFilterChain = httpChain("default")
	at := w.start(config).Addrs()[0]
	raw := connected(t, at, "raw: ")

	config = proto.CloneOf(config)
	renamed(config.GetFilterChains()[1])
	renamed(config.GetDefaultFilterChain())
	w.start(config)
	if !raw.echoes("still here") {
		t.Error("a change of other filter chains ended a connection")
	}
	if n := len(w.http.named("raw")); n != 1 {
		t.Errorf("the filter chain that didn't change was made %d times", n)
	}
	for _, name := range []string{"tls", "default"} {
		servers := w.http.named(name)
		if len(servers) != 2 {
			t.Fatalf("%s was made %d times, want 2", name, len(servers))
		}
		if drained, _ := servers[0].state(); !drained {
			t.Errorf("%s isn't drained", name)
		}
		if drained, _ := servers[1].state(); drained {
			t.Errorf("%s is drained after the update", name)
		}
	}

	config = proto.CloneOf(config)
	config.FilterChains = config.GetFilterChains()[1:]
	w.start(config)
	if got := raw.line(); got != "goodbye" || !raw.isClosed() {
		t.Errorf("a connection of a filter chain that is gone gets %q", got)
	}
	connected(t, at, "default: ") // takes what the filter chain took
}

// connected connects, and waits until a filter chain has the connection, whose first line it compares.
func connected(t *testing.T, at netip.AddrPort, greeting string) *client {
	t.Helper()
	c := dial(t, at)
	if _, err := c.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if got := c.line(); !strings.HasPrefix(got, greeting) {
		t.Fatalf("it says %q, want %q", got, greeting)
	}
	if got := c.line(); got != "hello" {
		t.Fatalf("it echoes %q", got)
	}
	return c
}

func TestFullUpdateDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 50*time.Millisecond)
	w.addCluster(staticCluster("a", echo(t, "a")))
	web, tcp := listenerAt("127.0.0.1:0", httpChain("web")), listenerAt("127.0.0.1:0", tcpChain("a"))
	tcp.Name = "tcp"
	ofWeb, ofTCP := connected(t, w.start(web).Addrs()[0], "web: "), connected(t, w.start(tcp).Addrs()[0], "a")
	w.start(bufferLimit(web, 5))
	w.start(bufferLimit(tcp, 5))
	if got := ofWeb.line(); got != "goodbye" {
		t.Errorf("an HTTP connection of the listener before gets %q", got)
	}
	if !ofTCP.isClosed() {
		t.Error("a TCP connection of the listener before goes on after the drain time")
	}
	waitUntil(t, "the filter chain is closed", func() bool {
		_, closed := w.http.named("web")[0].state()
		return closed
	})
	// Without any but a default filter chain, each update is a full one.
	fallback := listenerAt("127.0.0.1:0")
	fallback.Name, fallback.DefaultFilterChain = "default", httpChain("default")
	c := connected(t, w.start(fallback).Addrs()[0], "default: ")
	fallback = proto.CloneOf(fallback)
	fallback.DefaultFilterChain = httpChain("other")
	w.start(fallback)
	if got := c.line(); got != "goodbye" {
		t.Errorf("a connection of the default filter chain before gets %q", got)
	}
}

func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it doesn't come to pass that %s", what)
		}
	}
}

// Until it is started, a listener refuses connections, and the one before it goes on.
func TestPrepare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	one := listenerAt("127.0.0.1:0", httpChain("one"))
	prepared, err := w.Prepare(one)
	if err != nil {
		t.Fatal(err)
	}
	at := prepared.Addrs()[0]
	if !refused(t, at) {
		t.Error("it accepts before it is started")
	}
	if err := prepared.Start(); err != nil {
		t.Fatal(err)
	}
	c := connected(t, at, "one: ")

	two := proto.CloneOf(one)
	two.FilterChains = []*listenerv3.FilterChain{httpChain("two")}
	prepared, err = w.Prepare(two)
	if err != nil {
		t.Fatal(err)
	}
	connected(t, at, "one: ")
	prepared.Discard()
	prepared.Discard() // again does nothing
	if err := prepared.Start(); err == nil {
		t.Error("what was discarded can be started")
	}
	if _, closed := w.http.named("two")[0].state(); !closed {
		t.Error("a filter chain that was discarded isn't closed")
	}
	if !c.echoes("still here") {
		t.Error("a listener that was prepared and discarded ended a connection")
	}

	// The later of two that are prepared counts.
	if prepared, err = w.Prepare(two); err != nil {
		t.Fatal(err)
	}
	three := proto.CloneOf(one)
	three.FilterChains = []*listenerv3.FilterChain{httpChain("three")}
	later, err := w.Prepare(three)
	if err != nil {
		t.Fatal(err)
	}
	if err := prepared.Start(); err == nil {
		t.Error("what was superseded can be started")
	}
	if err := later.Start(); err != nil {
		t.Fatal(err)
	}
	connected(t, at, "three: ")
}

func TestRemove(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	config := listenerAt("127.0.0.1:0", httpChain("web"))
	at := w.start(config).Addrs()[0]
	c := connected(t, at, "web: ")
	prepared, err := w.Prepare(bufferLimit(config, 5))
	if err != nil {
		t.Fatal(err)
	}
	w.Remove("web")
	if !refused(t, at) {
		t.Error("it still accepts")
	}
	if got := c.line(); got != "goodbye" {
		t.Errorf("a connection gets %q", got)
	}
	if err := prepared.Start(); err == nil {
		t.Error("an update of a listener that was removed can be started")
	}
	w.Remove("web") // again does nothing
	config.Address = socketAddress(at.String())
	connected(t, w.start(config).Addrs()[0], "web: ") // the address is free
}

func TestDrainAndClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	w.addCluster(staticCluster("a", echo(t, "a")))
	tcp, web := listenerAt("127.0.0.1:0", tcpChain("a")), listenerAt("127.0.0.1:0", httpChain("web"))
	web.Name = "other"
	tcpAt, webAt := w.start(tcp).Addrs()[0], w.start(web).Addrs()[0]
	ofTCP, ofWeb := connected(t, tcpAt, "a"), connected(t, webAt, "web: ")
	drained := make(chan struct{})
	go func() {
		w.Drain()
		close(drained)
	}()
	if got := ofWeb.line(); got != "goodbye" {
		t.Errorf("an HTTP connection gets %q", got)
	}
	waitUntil(t, "it refuses connections", func() bool { return refused(t, tcpAt) && refused(t, webAt) })
	if !ofTCP.echoes("still here") {
		t.Error("a TCP connection is closed before the drain time is over")
	}
	select {
	case <-drained:
		t.Error("it is drained before the last connection has ended")
	default:
	}
	w.Close()
	<-drained
	if !ofTCP.isClosed() {
		t.Error("a TCP connection is open after all is closed")
	}
	if _, err := w.Prepare(tcp); err == nil {
		t.Error("a listener can be prepared after all is closed")
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	if !hasIPv6() {
		t.Skip("there is no IPv6 here")
	}
	w := newWorld(t, time.Second)
	both := listenerAt("[::]:0", httpChain("both"))
	both.Address.GetSocketAddress().Ipv4Compat = true
	port := w.start(both).Addrs()[0].Port()
	for _, ip := range []string{"127.0.0.1", "::1"} {
		at := netip.AddrPortFrom(netip.MustParseAddr(ip), port)
		if got := dial(t, at).line(); got != "both: plaintext  to "+at.String() {
			t.Errorf("at %s, it says %q", at, got)
		}
	}

	several := listenerAt("127.0.0.1:0", httpChain("several"))
	several.Name = "several"
	several.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: socketAddress("[::1]:0")}, {Address: socketAddress("127.0.0.2:0")}}
	addrs := w.start(several).Addrs()
	for _, at := range addrs {
		connected(t, at, "several: ")
	}
	if len(addrs) != 3 {
		t.Fatalf("it listens at %v, want three", addrs)
	}
	if again := w.start(bufferLimit(several, 5)).Addrs(); again[0] != addrs[0] || again[1] != addrs[1] || again[2] != addrs[2] {
		t.Errorf("after an update, it listens at %v, want %v", again, addrs)
	}
	fewer := proto.CloneOf(several)
	fewer.AdditionalAddresses = fewer.GetAdditionalAddresses()[:1]
	w.start(fewer)
	if !refused(t, addrs[2]) {
		t.Errorf("it still listens at %s", addrs[2])
	}

	only6 := listenerAt("[::]:0", httpChain("only6"))
	only6.Name = "only6"
	port = w.start(only6).Addrs()[0].Port()
	if !refused(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)) {
		t.Error("without ipv4_compat, it accepts IPv4")
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// Two sockets that don't share a port can both be bound to it, but only one of them can listen.
func TestCannotListen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Second)
	config := listenerAt("127.0.0.1:0", httpChain("web"))
	config.EnableReusePort = wrapperspb.Bool(false)
	prepared, err := w.Prepare(config)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", prepared.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := prepared.Start(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v, want %v", err, syscall.EADDRINUSE)
	}
	if _, closed := w.http.named("web")[0].state(); !closed {
		t.Error("what can't be started isn't discarded")
	}
}

func TestAddressConflicts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	w := newWorld(t, time.Second)
	at := w.start(listenerAt("127.0.0.1:0", httpChain("web"))).Addrs()[0]
	fixed := listenerAt(at.String(), httpChain("web"))
	exclusive := listenerAt("127.0.0.3:0", httpChain("exclusive"))
	exclusive.Name, exclusive.EnableReusePort = "exclusive", wrapperspb.Bool(false)
	w.start(exclusive)
	w.Remove("web")
	w.start(fixed)
	for name, tt := range map[string]struct {
		change func(*listenerv3.Listener)
		want   string
	}{
		"taken by another process": {func(l *listenerv3.Listener) { l.Address = socketAddress(taken.Addr().String()) }, "address already in use"},
		"not an address of here":   {func(l *listenerv3.Listener) { l.Address = socketAddress("192.0.2.1:80") }, "cannot bind '192.0.2.1:80'"},
		"of another listener":      {func(l *listenerv3.Listener) { l.Name = "other" }, "duplicate address as existing listener 'web'"},
		"another one's, not bound": {func(l *listenerv3.Listener) { l.Name, l.BindToPort = "other", wrapperspb.Bool(false) }, "duplicate address as existing listener 'web'"},
		"bound no more":            {func(l *listenerv3.Listener) { l.BindToPort = wrapperspb.Bool(false) }, "bind_to_port"},
		"shared no more":           {func(l *listenerv3.Listener) { l.EnableReusePort = wrapperspb.Bool(false) }, "reuse port cannot be changed"},
	} {
		config := proto.CloneOf(fixed)
		tt.change(config)
		if _, err := w.Prepare(config); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), config.GetName()) {
			t.Errorf("%s: error %v, want one of %q", name, err, tt.want)
		}
	}
	connected(t, at, "web: ")
	datagrams := proto.CloneOf(fixed)
	datagrams.Name, datagrams.FilterChains = "udp", nil
	datagrams.Address.GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	datagrams.ListenerFilters = udpFilter("nowhere", 0)
	w.start(datagrams) // another protocol is another port
}
