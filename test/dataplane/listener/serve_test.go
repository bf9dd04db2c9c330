package listener

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A sidecar's listeners: all connections come to one address, and those for an address of another listener are handed over.
func TestRedirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	passthrough := &clusterv3.Cluster{
		Name: "passthrough", LbPolicy: clusterv3.Cluster_CLUSTER_PROVIDED,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
	}
	w.addCluster(passthrough)
	outbound := listenerAt("127.0.0.1:0")
	outbound.Name, outbound.UseOriginalDst = "outbound", wrapperspb.Bool(true)
	outbound.ListenerFilters = originalDstFilter()
	outbound.DefaultFilterChain = tcpChain("passthrough")
	at := w.start(outbound).Addrs()[0]
	destination, ofService := echo(t, "destination"), echo(t, "the service itself").String()
	service := listenerAt(ofService, httpChain("service"))
	service.Name, service.BindToPort = "service", wrapperspb.Bool(false)
	if addrs := w.start(service).Addrs(); len(addrs) != 0 {
		t.Errorf("a listener that binds no port has %v", addrs)
	}
	everywhere := listenerAt("0.0.0.0:8080", httpChain("everywhere"))
	everywhere.Name, everywhere.BindToPort = "everywhere", wrapperspb.Bool(false)
	w.start(everywhere)

	for name, tt := range map[string]struct{ dst, want string }{
		"to a service":      {ofService, "service: plaintext  to " + ofService},
		"to a port":         {"10.96.0.9:8080", "everywhere: plaintext  to 10.96.0.9:8080"},
		"to somewhere else": {destination.String(), "destination"},
	} {
		if got := w.dialRedirected(at, tt.dst).line(); got != tt.want {
			t.Errorf("%s: it says %q, want %q", name, got, tt.want)
		}
	}
	if c := dial(t, at); !c.isClosed() {
		t.Error("a connection that wasn't redirected is forwarded")
	}

	// It goes to the listener itself, from where nothing tracks it any more.
	if c := w.dialRedirected(at, at.String()); !c.isClosed() {
		t.Error("a connection to the listener itself stays open")
	}

	w.Remove("service")
	if got := w.dialRedirected(at, ofService).line(); got != "the service itself" {
		t.Errorf("after its listener was removed, the service says %q", got)
	}
	if _, err := w.Prepare(service); err != nil {
		t.Errorf("its address isn't free: %v", err)
	}
}

// dialRedirected connects as if to dst. The listener's filters wait for its first byte.
func (w *world) dialRedirected(at netip.AddrPort, dst string) *client {
	w.t.Helper()
	w.mu.Lock()
	c := dial(w.t, at)
	w.original[unmap(c.LocalAddr().(*net.TCPAddr).AddrPort())] = netip.MustParseAddrPort(dst)
	w.mu.Unlock()
	return c
}

func TestRestoreDst(t *testing.T) {
	t.Parallel()
	local, other := netip.MustParseAddrPort("127.0.0.1:15001"), netip.MustParseAddrPort("10.96.0.1:80")
	for name, tt := range map[string]struct {
		original netip.AddrPort // as the kernel has it
		local    netip.AddrPort
		restored bool
	}{
		"redirected":     {other, other, true},
		"not redirected": {local, local, true},
		"not tracked":    {netip.AddrPort{}, local, false},
	} {
		s := &Set{deps: Deps{OriginalDst: func(net.Conn) (netip.AddrPort, error) { return tt.original, nil }}}
		c := &conn{local: local}
		if err := s.restoreDst(c); err != nil || c.local != tt.local || c.restored != tt.restored {
			t.Errorf("%s: to %s, restored %t (%v)", name, c.local, c.restored, err)
		}
	}
}

// The filters of the listener that a connection is handed over to run, too.
func TestRedirectToTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	outbound := listenerAt("127.0.0.1:0", httpChain("outbound"))
	outbound.Name, outbound.UseOriginalDst = "outbound", wrapperspb.Bool(true) // which implies the filter
	outbound.ListenerFilters = inspector()
	at := w.start(outbound).Addrs()[0]
	service := listenerAt("10.96.0.7:80", of(httpChain("plain"), &listenerv3.FilterChainMatch{TransportProtocol: transportRaw}))
	service.Name, service.BindToPort = "service", wrapperspb.Bool(false)
	service.ListenerFilters = inspector()
	w.start(service)
	c := w.dialRedirected(at, "10.96.0.7:80")
	if _, err := c.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if got, first := c.line(), c.line(); got != "plain: plaintext  to 10.96.0.7:80" || first != "hello" {
		t.Errorf("it says %q and echoes %q", got, first)
	}
}

func TestListenerFiltersTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	config := listenerAt("127.0.0.1:0", of(httpChain("tls"), tlsFor()), httpChain("any"))
	config.ListenerFilters = inspector()
	config.ListenerFiltersTimeout = durationpb.New(20 * time.Millisecond)
	if !dial(t, w.start(config).Addrs()[0]).isClosed() {
		t.Error("a client that says nothing isn't closed")
	}
	config = proto.CloneOf(config)
	config.ContinueOnListenerFiltersTimeout = true
	c := dial(t, w.start(config).Addrs()[0])
	if _, err := c.Write([]byte("GET")); err != nil { // too little to know whether it is TLS
		t.Fatal(err)
	}
	if got := c.line(); !strings.HasPrefix(got, "any: ") {
		t.Errorf("a client that says little gets %q, want it to be continued", got)
	}
	if _, err := c.Write([]byte(" /\n")); err != nil {
		t.Fatal(err)
	}
	if got := c.line(); got != "GET /" {
		t.Errorf("it reads %q, want what was sent before the timeout, too", got)
	}
}

func TestClientHelloTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	config := listenerAt("127.0.0.1:0", httpChain("any"))
	config.ListenerFilters = inspector()
	c := dial(t, w.start(config).Addrs()[0])
	// Of a handshake message of 32 KiB, the beginning.
	header := []byte{22, 3, 1, 0x40, 0, 1, 0, 0x80, 0}
	if _, err := c.Write(append(header, make([]byte, maxClientHello)...)); err != nil {
		t.Fatal(err)
	}
	if !c.isClosed() {
		t.Error("it isn't closed")
	}
}

func TestNobodyToServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	empty := listenerAt("127.0.0.1:0", &listenerv3.FilterChain{Name: "empty"})
	if !dial(t, w.start(empty).Addrs()[0]).isClosed() {
		t.Error("a filter chain without filters keeps a connection")
	}
	none := listenerAt("127.0.0.1:0", of(httpChain("tls"), tlsFor()))
	none.Name = "none"
	if !dial(t, w.start(none).Addrs()[0]).isClosed() {
		t.Error("a connection without a filter chain stays open")
	}
}

func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Minute)
	refuse := func(name, want string, change func(*listenerv3.Listener, *corev3.SocketAddress, *listenerv3.FilterChain)) {
		config := listenerAt("127.0.0.1:0", httpChain("web"))
		change(config, config.GetAddress().GetSocketAddress(), config.GetFilterChains()[0])
		if _, err := w.Prepare(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one of %q", name, err, want)
		}
	}
	type (
		listener = listenerv3.Listener
		address  = corev3.SocketAddress
		chain    = listenerv3.FilterChain
	)
	refuse("no name", "name", func(l *listener, _ *address, _ *chain) { l.Name = "" })
	refuse("no address", "address", func(l *listener, _ *address, _ *chain) { l.Address = nil })
	refuse("a host's name", `malformed IP address: "localhost"`, func(_ *listener, a *address, _ *chain) { a.Address = "localhost" })
	refuse("a pipe", "address.pipe", func(l *listener, _ *address, _ *chain) {
		l.Address = &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/tmp/x"}}}
	})
	refuse("IPv4 as IPv6", "ipv4_compat", func(_ *listener, a *address, _ *chain) { a.Ipv4Compat = true })
	refuse("two protocols", "same socket type", func(l *listener, _ *address, _ *chain) {
		other := socketAddress("127.0.0.1:0")
		other.GetSocketAddress().Protocol = corev3.SocketAddress_UDP
		l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: other}}
	})
	refuse("no filter chains", "no filter chains", func(l *listener, _ *address, _ *chain) { l.FilterChains = nil })
	refuse("overlapping", "overlapping", func(l *listener, _ *address, _ *chain) {
		l.FilterChains = append(l.FilterChains, httpChain("again"))
	})
	refuse("a field", "freebind", func(l *listener, _ *address, _ *chain) { l.Freebind = wrapperspb.Bool(true) })
	refuse("a field inside", "filter_chains[0].filter_chain_match.source_ports", func(_ *listener, _ *address, c *chain) {
		c.FilterChainMatch = &listenerv3.FilterChainMatch{SourcePorts: []uint32{1}}
	})
	refuse("two filters", "more than one filter", func(_ *listener, _ *address, c *chain) {
		c.Filters = append(c.Filters, c.GetFilters()[0])
	})
	refuse("a filter of another kind", "Router", func(_ *listener, _ *address, c *chain) {
		c.Filters = []*listenerv3.Filter{filter(&routerv3.Router{})}
	})
	refuse("an unknown type", "envoy.None", func(_ *listener, _ *address, c *chain) {
		c.GetFilters()[0].GetTypedConfig().TypeUrl = "type.googleapis.com/envoy.None"
	})
	refuse("a transport socket of another kind", "HttpConnectionManager", func(_ *listener, _ *address, c *chain) {
		c.TransportSocket = &corev3.TransportSocket{
			Name: "x", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(&hcmv3.HttpConnectionManager{})},
		}
	})
	refuse("a listener filter of another kind", "Router", func(l *listener, _ *address, _ *chain) {
		l.ListenerFilters = listenerFilters(&routerv3.Router{})
	})
	refuse("a listener filter's field", "enable_ja3_fingerprinting", func(l *listener, _ *address, _ *chain) {
		l.ListenerFilters = listenerFilters(&tlsinspectorv3.TlsInspector{EnableJa3Fingerprinting: wrapperspb.Bool(true)})
	})
	refuse("UDP with filter chains", "connection-less", func(_ *listener, a *address, _ *chain) { a.Protocol = corev3.SocketAddress_UDP })
	refuse("UDP without a filter", "0 listener filters", func(l *listener, a *address, _ *chain) {
		a.Protocol, l.FilterChains = corev3.SocketAddress_UDP, nil
	})
	refuse("UDP with TLS", "TlsInspector", func(l *listener, a *address, _ *chain) {
		a.Protocol, l.FilterChains, l.ListenerFilters = corev3.SocketAddress_UDP, nil, inspector()
	})
	if len(w.active)+len(w.prepared) > 0 {
		t.Errorf("it has %v and %v", w.active, w.prepared)
	}
}
