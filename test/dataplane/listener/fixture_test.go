package listener

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	originaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/secret"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// patience is how long a test waits for what has to happen.
const patience = 10 * time.Second

// world is a Set and what is around it.
type world struct {
	*Set
	t       *testing.T
	secrets *secret.Store
	http    *httpServers

	mu       sync.Mutex
	clusters map[string]*upstream.Cluster
	original map[netip.AddrPort]netip.AddrPort // by the client's address
}

func newWorld(t *testing.T, drainTime time.Duration) *world {
	t.Helper()
	w := &world{
		t: t, secrets: secret.NewStore(), http: &httpServers{},
		clusters: map[string]*upstream.Cluster{}, original: map[netip.AddrPort]netip.AddrPort{},
	}
	w.Set = NewSet(Deps{
		HTTP:        func(config *hcmv3.HttpConnectionManager) (HTTP, error) { return w.http.add(config), nil },
		Clusters:    w,
		Secrets:     w.secrets,
		OriginalDst: w.originalDst,
		DrainTime:   drainTime,
		Logger:      slog.New(slog.DiscardHandler),
	})
	t.Cleanup(w.Close)
	return w
}

// Cluster implements Clusters.
func (w *world) Cluster(name string) *upstream.Cluster {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clusters[name]
}

// addCluster adds a cluster, or replaces the one of its name, as a change of it does.
func (w *world) addCluster(config *clusterv3.Cluster) *upstream.Cluster {
	w.t.Helper()
	c, err := upstream.New(config, upstream.Deps{Secrets: w.secrets})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	w.mu.Lock()
	replaced := w.clusters[config.GetName()]
	w.clusters[config.GetName()] = c
	w.mu.Unlock()
	if replaced != nil {
		replaced.Close()
	}
	return c
}

func (w *world) originalDst(c net.Conn) (netip.AddrPort, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.original[unmap(c.RemoteAddr().(*net.TCPAddr).AddrPort())], nil
}

// start prepares and starts a listener.
func (w *world) start(config *listenerv3.Listener) *Listener {
	w.t.Helper()
	l, err := w.Prepare(config)
	if err == nil {
		err = l.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// listenerAt is a listener of TCP.
func listenerAt(at string, chains ...*listenerv3.FilterChain) *listenerv3.Listener {
	return &listenerv3.Listener{Name: "web", Address: socketAddress(at), FilterChains: chains}
}

func socketAddress(at string) *corev3.Address {
	a := netip.MustParseAddrPort(at)
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}

// staticCluster is a cluster of fixed hosts.
func staticCluster(name string, hosts ...netip.AddrPort) *clusterv3.Cluster {
	var endpoints []*endpointv3.LbEndpoint
	for _, h := range hosts {
		endpoints = append(endpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: socketAddress(h.String())},
		}})
	}
	return &clusterv3.Cluster{
		Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: endpoints}},
		},
	}
}

// tcpChain forwards to a cluster.
func tcpChain(cluster string) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{Name: cluster, Filters: []*listenerv3.Filter{filter(&tcpproxyv3.TcpProxy{
		StatPrefix: cluster, ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: cluster},
	})}}
}

// httpChain is served by what HTTP returns.
func httpChain(routes string) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{Name: routes, Filters: []*listenerv3.Filter{filter(&hcmv3.HttpConnectionManager{
		StatPrefix: routes,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: routes, ConfigSource: &corev3.ConfigSource{
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		}}},
	})}}
}

// of restricts a filter chain.
func of(chain *listenerv3.FilterChain, match *listenerv3.FilterChainMatch) *listenerv3.FilterChain {
	chain.FilterChainMatch = match
	return chain
}

func tlsFor(names ...string) *listenerv3.FilterChainMatch {
	return &listenerv3.FilterChainMatch{TransportProtocol: transportTLS, ServerNames: names}
}

func filter(config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: "filter", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(config)}}
}

func listenerFilters(configs ...proto.Message) []*listenerv3.ListenerFilter {
	var out []*listenerv3.ListenerFilter
	for _, config := range configs {
		out = append(out, &listenerv3.ListenerFilter{
			Name: "filter", ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed(config)},
		})
	}
	return out
}

func inspector() []*listenerv3.ListenerFilter {
	return listenerFilters(&tlsinspectorv3.TlsInspector{})
}

func originalDstFilter() []*listenerv3.ListenerFilter {
	return listenerFilters(&originaldstv3.OriginalDst{})
}

func packed(m proto.Message) *anypb.Any {
	out, err := anypb.New(m)
	if err != nil {
		panic(err) // not of a message that exists
	}
	return out
}

// echo is a server that greets with its name, and then sends back what it gets.
func echo(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveEcho(t, l, name)
	return unmap(l.Addr().(*net.TCPAddr).AddrPort())
}

func serveEcho(t *testing.T, l net.Listener, name string) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, name+"\n")
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

// client is a connection of a test.
type client struct {
	net.Conn
	t      *testing.T
	reader *bufio.Reader
}

func newClient(t *testing.T, c net.Conn) *client {
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{c, t, bufio.NewReader(c)}
}

func dial(t *testing.T, at netip.AddrPort) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", at.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, c)
}

// line reads a line, without its end. It is empty if the connection ends before.
func (c *client) line() string {
	line, _ := c.reader.ReadString('\n')
	return strings.TrimSuffix(line, "\n")
}

// echoes says whether what is sent comes back.
func (c *client) echoes(text string) bool {
	_, err := io.WriteString(c, text+"\n")
	return err == nil && c.line() == text
}

// isClosed says whether the connection is closed, now or within the test's patience.
func (c *client) isClosed() bool {
	_, err := c.reader.ReadByte()
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return false
	}
	return err != nil
}

// httpServers stand in for HTTP connection managers.
type httpServers struct {
	mu  sync.Mutex
	all []*httpServer
}

func (s *httpServers) add(config *hcmv3.HttpConnectionManager) *httpServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &httpServer{name: config.GetRds().GetRouteConfigName()}
	s.all = append(s.all, h)
	return h
}

// named returns the servers of a name, in the order in which they were made.
func (s *httpServers) named(name string) []*httpServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.all), func(h *httpServer) bool { return h.name != name })
}
