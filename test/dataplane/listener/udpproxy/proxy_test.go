package udpproxy

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/secret"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// patience is how long a test waits for what has to happen.
const patience = 10 * time.Second

// clusters has the one cluster "a", which changes.
type clusters struct {
	mu sync.Mutex
	a  *upstream.Cluster
}

func (c *clusters) Cluster(name string) *upstream.Cluster {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name != "a" {
		return nil
	}
	return c.a
}

// set replaces the cluster by one of hosts. maxConnections of 0 is the default.
func (c *clusters) set(t *testing.T, maxConnections uint32, hosts ...netip.AddrPort) {
	t.Helper()
	config := &clusterv3.Cluster{
		Name: "a", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}, ResourceApiVersion: corev3.ApiVersion_V3,
		}},
	}
	if maxConnections > 0 {
		config.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections: wrapperspb.UInt32(maxConnections),
		}}}
	}
	cluster, err := upstream.New(config, upstream.Deps{Secrets: secret.NewStore()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	c.mu.Lock()
	replaced := c.a
	c.a = cluster
	c.mu.Unlock()
	c.setHosts(t, hosts...)
	if replaced != nil {
		replaced.Close()
	}
}

func (c *clusters) setHosts(t *testing.T, hosts ...netip.AddrPort) {
	t.Helper()
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: "a", Endpoints: []*endpointv3.LocalityLbEndpoints{{}}}
	for _, h := range hosts {
		address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: h.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(h.Port())},
		}}}
		assignment.Endpoints[0].LbEndpoints = append(assignment.Endpoints[0].LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}},
		})
	}
	if err := c.Cluster("a").Update(assignment); err != nil {
		t.Fatal(err)
	}
}

// host is a server. What it gets is sent to datagrams; what it is told to answer goes to who has asked last.
type host struct {
	*net.UDPConn
	datagrams chan string
	mu        sync.Mutex
	last      netip.AddrPort
}

func newHost(t *testing.T) *host {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{UDPConn: c, datagrams: make(chan string, 100)}
	t.Cleanup(func() { c.Close() })
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			h.mu.Lock()
			h.last = from
			h.mu.Unlock()
			h.datagrams <- string(buffer[:n])
		}
	}()
	return h
}

func (h *host) at() netip.AddrPort { return h.LocalAddr().(*net.UDPAddr).AddrPort() }

// session is where the last datagram came from, which is another address for each session.
func (h *host) session() netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

func (h *host) answer(t *testing.T, datagram string) {
	t.Helper()
	if _, err := h.WriteToUDPAddrPort([]byte(datagram), h.session()); err != nil {
		t.Fatal(err)
	}
}

// expect waits for a datagram.
func expect(t *testing.T, datagrams <-chan string, want string) {
	t.Helper()
	select {
	case got := <-datagrams:
		if got != want {
			t.Errorf("datagram %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("no datagram, want %q", want)
	}
}

func newProxy(t *testing.T, clusters *clusters, idleTimeout time.Duration) *Proxy {
	t.Helper()
	config := to("a")
	config.IdleTimeout = durationpb.New(idleTimeout)
	p, err := New(config, clusters, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func to(cluster string) *udpproxyv3.UdpProxyConfig {
	route, err := anypb.New(&udpproxyv3.Route{Cluster: cluster})
	if err != nil {
		panic(err) // not of a message that exists
	}
	return &udpproxyv3.UdpProxyConfig{StatPrefix: "udp", RouteSpecifier: &udpproxyv3.UdpProxyConfig_Matcher{Matcher: &xdsmatcherv3.Matcher{
		OnNoMatch: &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
			Action: &xdscorev3.TypedExtensionConfig{Name: "route", TypedConfig: route},
		}},
	}}}
}

// client sends datagrams by a proxy. What it gets is sent to datagrams.
type client struct {
	proxy     *Proxy
	peers     Peers
	datagrams chan string
}

func newClient(p *Proxy, remote string) *client {
	peers := Peers{Local: netip.MustParseAddrPort("192.0.2.1:53"), Remote: netip.MustParseAddrPort(remote)}
	return &client{p, peers, make(chan string, 100)}
}

func (c *client) send(datagram string) {
	c.proxy.Receive(c.peers, []byte(datagram), func(to Peers, answer []byte) error {
		if to != c.peers {
			return errors.New("not the client's session")
		}
		c.datagrams <- string(answer)
		return nil
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	clusters := &clusters{}
	clusters.set(t, 0, h.at())
	p := newProxy(t, clusters, time.Minute)
	one, two := newClient(p, "198.51.100.1:1000"), newClient(p, "198.51.100.1:1001")
	one.send("1")
	expect(t, h.datagrams, "1")
	first := h.session()
	h.answer(t, "a")
	h.answer(t, "b")
	expect(t, one.datagrams, "a")
	expect(t, one.datagrams, "b")
	one.send("2")
	expect(t, h.datagrams, "2")
	if h.session() != first {
		t.Error("datagrams of one client are of two sessions")
	}
	two.send("3")
	expect(t, h.datagrams, "3")
	if h.session() == first {
		t.Error("datagrams of two clients are of one session")
	}
	h.answer(t, "c")
	expect(t, two.datagrams, "c")
	one.peers.Local = netip.MustParseAddrPort("192.0.2.2:53")
	one.send("4")
	expect(t, h.datagrams, "4")
	if h.session() == first {
		t.Error("datagrams to two addresses are of one session")
	}
	h.answer(t, strings.Repeat("x", MaxDatagram+1))
	h.answer(t, "after one that was too long")
	expect(t, one.datagrams, "after one that was too long")
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	clusters := &clusters{}
	clusters.set(t, 0, h.at())
	p := newProxy(t, clusters, 20*time.Millisecond)
	c := newClient(p, "198.51.100.1:1000")
	c.send("1")
	expect(t, h.datagrams, "1")
	first := h.session()
	waitFor(t, p, 0)
	c.send("2")
	expect(t, h.datagrams, "2")
	if h.session() == first {
		t.Error("a session is idle for longer than it may, and goes on")
	}
}

// waitFor waits until there are so many sessions.
func waitFor(t *testing.T, p *Proxy, sessions int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		n := len(p.sessions)
		p.mu.Unlock()
		if n == sessions {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("there are %d sessions, want %d", n, sessions)
		}
	}
}

// A session ends with its host, or with its cluster.
func TestChanges(t *testing.T) {
	t.Parallel()
	one, two := newHost(t), newHost(t)
	clusters := &clusters{}
	clusters.set(t, 0, one.at())
	p := newProxy(t, clusters, time.Minute)
	c := newClient(p, "198.51.100.1:1000")
	c.send("1")
	expect(t, one.datagrams, "1")
	first := one.session()

	clusters.setHosts(t, one.at(), two.at())
	c.send("2")
	expect(t, one.datagrams, "2")
	if one.session() != first {
		t.Error("a host that was added ended a session with another one")
	}
	clusters.setHosts(t, two.at())
	c.send("3") // at once
	expect(t, two.datagrams, "3")
	second := two.session()
	clusters.set(t, 0, two.at())
	waitFor(t, p, 0)
	c.send("4")
	expect(t, two.datagrams, "4")
	if two.session() == second {
		t.Error("a session goes on with a cluster that was replaced")
	}
	clusters.setHosts(t)
	waitFor(t, p, 0)
	c.send("to nobody")
	waitFor(t, p, 0)
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	clusters := &clusters{}
	clusters.set(t, 2, h.at())
	p := newProxy(t, clusters, time.Minute)
	for _, remote := range []string{"198.51.100.1:1000", "198.51.100.1:1001", "198.51.100.1:1002"} {
		newClient(p, remote).send(remote)
	}
	waitFor(t, p, 2)
	expect(t, h.datagrams, "198.51.100.1:1000")
	expect(t, h.datagrams, "198.51.100.1:1001")
	p.lockAndEnd(p.sessions[newClient(p, "198.51.100.1:1000").peers])
	newClient(p, "198.51.100.1:1003").send("after one has ended")
	expect(t, h.datagrams, "after one has ended")
}

// A host that isn't there yet doesn't end a session.
func TestRefusingHost(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	at := h.at()
	h.Close()
	clusters := &clusters{}
	clusters.set(t, 0, at)
	p := newProxy(t, clusters, time.Minute)
	c := newClient(p, "198.51.100.1:1000")
	c.send("to nobody")
	first := p.session(c.peers, nil)
	for range 100 {
		c.send("to nobody")
		if p.session(c.peers, nil) != first {
			t.Fatal("it has ended the session")
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	clusters := &clusters{}
	clusters.set(t, 0, h.at())
	p := newProxy(t, clusters, time.Minute)
	c := newClient(p, "198.51.100.1:1000")
	c.send("1")
	expect(t, h.datagrams, "1")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	c.send("2")
	waitFor(t, p, 0)
}

func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*udpproxyv3.UdpProxyConfig)
		want   string
	}{
		"no route": {func(c *udpproxyv3.UdpProxyConfig) { c.RouteSpecifier = nil }, "RouteSpecifier"},
		"the old form of a route": {func(c *udpproxyv3.UdpProxyConfig) {
			//lint:ignore SA1019 it is refused
			c.RouteSpecifier = &udpproxyv3.UdpProxyConfig_Cluster{Cluster: "a"}
		}, "cluster: not executed"},
		"a matcher": {func(c *udpproxyv3.UdpProxyConfig) {
			c.GetMatcher().MatcherType = &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{}}
		}, "matcher.matcher_list"},
		"no action": {func(c *udpproxyv3.UdpProxyConfig) { c.GetMatcher().OnNoMatch = nil }, "on_no_match has no action"},
		"another action": {func(c *udpproxyv3.UdpProxyConfig) {
			c.GetMatcher().GetOnNoMatch().GetAction().TypedConfig, _ = anypb.New(&udpproxyv3.UdpProxyConfig{})
		}, "UdpProxyConfig"},
		"a field": {func(c *udpproxyv3.UdpProxyConfig) { c.UseOriginalSrcIp = true }, "use_original_src_ip"},
	} {
		config := to("a")
		tt.change(config)
		if _, err := New(config, &clusters{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one of %q", name, err, tt.want)
		}
	}
}
