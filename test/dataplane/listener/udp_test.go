package listener

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/listener/udpproxy"
)

// udpFilter sends all datagrams to a cluster. An idle timeout of 0 is the default one.
func udpFilter(cluster string, idleTimeout time.Duration) []*listenerv3.ListenerFilter {
	config := &udpproxyv3.UdpProxyConfig{
		StatPrefix: "udp",
		RouteSpecifier: &udpproxyv3.UdpProxyConfig_Matcher{Matcher: &xdsmatcherv3.Matcher{
			OnNoMatch: &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
				Action: &xdscorev3.TypedExtensionConfig{Name: "route", TypedConfig: packed(&udpproxyv3.Route{Cluster: cluster})},
			}},
		}},
	}
	if idleTimeout != 0 {
		config.IdleTimeout = durationpb.New(idleTimeout)
	}
	return listenerFilters(config)
}

func udpListener(at, cluster string) *listenerv3.Listener {
	config := listenerAt(at)
	config.Address.GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	config.ListenerFilters = udpFilter(cluster, 0)
	return config
}

// udpEcho is a server that answers each datagram with its name, where it came from, and the datagram.
func udpEcho(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteToUDPAddrPort(append([]byte(name+" "+unmap(from).String()+" "), buffer[:n]...), from)
			}
		}
	}()
	return unmap(c.LocalAddr().(*net.UDPAddr).AddrPort())
}

// dialUDP returns a socket that takes datagrams from that address only.
func dialUDP(t *testing.T, at netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends a datagram and returns the answer; empty if there is none within that time.
func ask(t *testing.T, c net.Conn, datagram string, within time.Duration) string {
	t.Helper()
	if _, err := c.Write([]byte(datagram)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(within))
	buffer := make([]byte, 1<<16)
	n, err := c.Read(buffer)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

// Whoever asks an address gets the answer from there, also where the socket is bound to all.
func TestUDP(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bind string
		ask  []string
		ipv6 bool
	}{
		"one address":      {"127.0.0.1:0", []string{"127.0.0.1"}, false},
		"all of IPv4":      {"0.0.0.0:0", []string{"127.0.0.1", "127.0.0.2"}, false},
		"all addresses":    {"[::]:0", []string{"127.0.0.1", "127.0.0.2", "::1"}, true},
		"one IPv6 address": {"[::1]:0", []string{"::1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.ipv6 && !hasIPv6() {
				t.Skip("there is no IPv6 here")
			}
			w := newWorld(t, time.Second)
			w.addCluster(staticCluster("a", udpEcho(t, "a")))
			config := udpListener(tt.bind, "a")
			config.Address.GetSocketAddress().Ipv4Compat = tt.bind == "[::]:0"
			port := w.start(config).Addrs()[0].Port()
			for _, ip := range tt.ask {
				c := dialUDP(t, netip.AddrPortFrom(netip.MustParseAddr(ip), port))
				first := ask(t, c, "hello", patience)
				if want := "a 127.0.0.1:"; len(first) < len(want) || first[:len(want)] != want {
					t.Errorf("%s answers %q", ip, first)
				}
				if again := ask(t, c, "hello", patience); again != first {
					t.Errorf("%s answers %q, and then %q: another session", ip, first, again)
				}
			}
		})
	}
}

func TestUDPUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Second)
	w.addCluster(staticCluster("a", udpEcho(t, "a")))
	w.addCluster(staticCluster("b", udpEcho(t, "b")))
	config := udpListener("127.0.0.1:0", "a")
	at := w.start(config).Addrs()[0]
	c := dialUDP(t, at)
	if got := ask(t, c, "hello", patience); got[:2] != "a " {
		t.Fatalf("it answers %q", got)
	}
	config = proto.CloneOf(config)
	config.ListenerFilters = udpFilter("b", 0)
	if again := w.start(config).Addrs()[0]; again != at {
		t.Fatalf("after an update, it is at %s, want %s", again, at)
	}
	if got := ask(t, c, "hello", patience); got[:2] != "b " {
		t.Errorf("after an update, it answers %q", got)
	}
	w.Remove("web")
	if _, err := c.Write([]byte("hello")); err == nil {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 10)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after it was removed, the port is open: %v", err)
		}
	}
}

func TestUDPTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Second)
	w.addCluster(staticCluster("a", udpEcho(t, "a")))
	c := dialUDP(t, w.start(udpListener("127.0.0.1:0", "a")).Addrs()[0])
	if _, err := c.Write(make([]byte, udpproxy.MaxDatagram+1)); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, c, "short", patience); got[len(got)-5:] != "short" {
		t.Errorf("it answers what was too long: %d bytes", len(got))
	}
}
