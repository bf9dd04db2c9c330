package tcpproxy

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	fileaccesslogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/secret"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// patience is how long a test waits for what has to happen.
const patience = 10 * time.Second

type clusters map[string]*upstream.Cluster

func (c clusters) Cluster(name string) *upstream.Cluster { return c[name] }

// add adds a cluster of fixed hosts. maxConnections of 0 is the default.
func (c clusters) add(t *testing.T, name string, maxConnections uint32, hosts ...netip.AddrPort) {
	t.Helper()
	var endpoints []*endpointv3.LbEndpoint
	for _, h := range hosts {
		address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: h.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(h.Port())},
		}}}
		endpoints = append(endpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: address},
		}})
	}
	config := &clusterv3.Cluster{
		Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: endpoints}}},
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
	c[name] = cluster
}

// to is a configuration that forwards to a cluster.
func to(cluster string) *tcpproxyv3.TcpProxy {
	return &tcpproxyv3.TcpProxy{StatPrefix: "tcp", ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: cluster}}
}

func newProxy(t *testing.T, config *tcpproxyv3.TcpProxy, clusters Clusters) *Proxy {
	t.Helper()
	p, err := New(config, clusters, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// accepted returns both ends of a connection.
func accepted(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l := listen(t)
	out, err := net.DialTimeout("tcp", l.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(); in.Close() })
	_ = out.SetDeadline(time.Now().Add(patience))
	return out.(*net.TCPConn), in.(*net.TCPConn)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve has a proxy serve a connection, and returns the client's end of it, and what is closed when it has ended.
func serve(t *testing.T, p *Proxy) (*net.TCPConn, <-chan struct{}) {
	t.Helper()
	client, server := accepted(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Serve(context.Background(), server, Downstream{
			Local:  server.LocalAddr().(*net.TCPAddr).AddrPort(),
			Remote: server.RemoteAddr().(*net.TCPAddr).AddrPort(),
		})
	}()
	t.Cleanup(func() {
		client.Close()
		await(t, ended)
	})
	return client, ended
}

func await(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("it doesn't end")
	}
}

// server accepts connections, and has each one handled.
func server(t *testing.T, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) netip.AddrPort {
	t.Helper()
	l := listen(t)
	l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// Either end may be the first to have said all. What the other one says then still arrives.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	const question, answer = "question", "answer"
	heard := make(chan string, 1) // by the backend that answers first
	for name, tt := range map[string]struct {
		backend func(*net.TCPConn)
		client  func(*net.TCPConn) string
		want    string
	}{
		"the client first": {
			func(c *net.TCPConn) {
				asked, _ := io.ReadAll(c)
				_, _ = io.WriteString(c, answer+" to "+string(asked))
			},
			func(c *net.TCPConn) string {
				_, _ = io.WriteString(c, question)
				c.CloseWrite()
				got, _ := io.ReadAll(c)
				return string(got)
			},
			answer + " to " + question,
		},
		"the backend first": {
			func(c *net.TCPConn) {
				_, _ = io.WriteString(c, answer)
				c.CloseWrite()
				asked, _ := io.ReadAll(c)
				heard <- string(asked)
			},
			func(c *net.TCPConn) string {
				got, _ := io.ReadAll(c)
				_, _ = io.WriteString(c, question)
				c.CloseWrite()
				return string(got) + " before " + <-heard
			},
			answer + " before " + question,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clusters := clusters{}
			clusters.add(t, "a", 0, server(t, tt.backend))
			client, ended := serve(t, newProxy(t, to("a"), clusters))
			if got := tt.client(client); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			await(t, ended)
		})
	}
}

// Much data goes through unchanged, in both directions at once.
func TestMuch(t *testing.T) {
	t.Parallel()
	clusters := clusters{}
	clusters.add(t, "a", 0, server(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) }))
	client, _ := serve(t, newProxy(t, to("a"), clusters))
	much := strings.Repeat("0123456789abcdef", 1<<17)
	go func() {
		_, _ = io.WriteString(client, much)
		client.CloseWrite()
	}()
	if got, err := io.ReadAll(client); err != nil || string(got) != much {
		t.Errorf("%d bytes (%v), want %d", len(got), err, len(much))
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	reset := func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.SetLinger(0)
	}
	clusters := clusters{}
	clusters.add(t, "a", 0, server(t, reset))
	client, ended := serve(t, newProxy(t, to("a"), clusters))
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(client); len(got) > 0 {
		t.Errorf("after the backend's reset, %q", got)
	}
	await(t, ended)
}

// pipe is an end of a connection in memory, whose halves can't be closed one by one.
type pipe struct{ net.Conn }

func (p pipe) CloseWrite() error { return p.Close() }

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Minute
		client, down := net.Pipe()
		up, backend := net.Pipe()
		go func() { _, _ = io.Copy(backend, backend) }()
		go newSplice(pipe{down}, pipe{up}, timeout, 0).run()
		// For longer than the timeout, there is never as long nothing to do.
		for range 3 {
			time.Sleep(timeout - time.Second)
			if _, err := client.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Read(make([]byte, 1)); err != nil {
				t.Fatalf("a busy connection ends: %v", err)
			}
		}
		last := time.Now()
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("an idle connection: %v, want %v", err, io.EOF)
		}
		if idle := time.Since(last); idle != timeout {
			t.Errorf("it ends after %s, want %s", idle, timeout)
		}
	})
}

func TestIdleTimeoutOfConfiguration(t *testing.T) {
	t.Parallel()
	config := to("a")
	for want, set := range map[time.Duration]*durationpb.Duration{time.Hour: nil, 0: durationpb.New(0), time.Second: durationpb.New(time.Second)} {
		config.IdleTimeout = set
		if got := newProxy(t, config, clusters{}).idleTimeout; got != want {
			t.Errorf("with %v: %s, want %s", set, got, want)
		}
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	weight := func(name string, weight uint32) *tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight {
		return &tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight{Name: name, Weight: weight}
	}
	p := newProxy(t, &tcpproxyv3.TcpProxy{StatPrefix: "tcp", ClusterSpecifier: &tcpproxyv3.TcpProxy_WeightedClusters{
		WeightedClusters: &tcpproxyv3.TcpProxy_WeightedCluster{Clusters: []*tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight{
			weight("a", 1), weight("b", 3), weight("c", 2),
		}},
	}}, clusters{})
	got := ""
	for random := range p.total {
		got += p.pick(random)
	}
	if got != "abbbcc" {
		t.Errorf("the numbers from 0 on choose %q", got)
	}
}

// Connections that can't be forwarded are closed, and the log says why.
func TestFailures(t *testing.T) {
	t.Parallel()
	accepting := server(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	answering := server(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "hello") })
	for name, tt := range map[string]struct {
		hosts    []netip.AddrPort // nil for no cluster
		attempts uint32
		full     bool
		want     string // what the client gets
		log      string
	}{
		"forwarded":             {[]netip.AddrPort{answering}, 0, false, "hello", "- a 5"},
		"no cluster":            {nil, 0, false, "", "NC a 0"},
		"no host":               {[]netip.AddrPort{}, 0, false, "", "UH a 0"},
		"refused":               {[]netip.AddrPort{nobody(t)}, 0, false, "", "UF,URX a 0"},
		"the second is refused": {[]netip.AddrPort{nobody(t), nobody(t)}, 2, false, "", "UF,URX a 0"},
		"the second answers":    {[]netip.AddrPort{nobody(t), answering}, 2, false, "hello", ""},
		"too many":              {[]netip.AddrPort{accepting}, 0, true, "", "UO a 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clusters := clusters{}
			if tt.hosts != nil {
				clusters.add(t, "a", 1, tt.hosts...)
			}
			if tt.full {
				host, err := clusters["a"].Pick(upstream.Choice{})
				if err != nil {
					t.Fatal(err)
				}
				only, err := clusters["a"].Dial(context.Background(), host)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { only.Close() })
			}
			config := to("a")
			if tt.attempts > 0 {
				config.MaxConnectAttempts = wrapperspb.UInt32(tt.attempts)
			}
			file := filepath.Join(t.TempDir(), "log")
			config.AccessLog = []*accesslogv3.AccessLog{logTo(t, file)}
			p := newProxy(t, config, clusters)
			client, ended := serve(t, p)
			client.CloseWrite()
			got, err := io.ReadAll(bufio.NewReader(client))
			if err != nil || string(got) != tt.want {
				t.Errorf("the client gets %q (%v), want %q", got, err, tt.want)
			}
			await(t, ended)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if logged, err := os.ReadFile(file); err != nil || tt.log != "" && string(logged) != tt.log+"\n" {
				t.Errorf("logged %q (%v), want %q", logged, err, tt.log)
			}
		})
	}
}

// logTo logs why a connection ended, where it went, and how much the client got.
func logTo(t *testing.T, file string) *accesslogv3.AccessLog {
	t.Helper()
	config, err := anypb.New(&fileaccesslogv3.FileAccessLog{
		Path: file,
		AccessLogFormat: &fileaccesslogv3.FileAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: "%RESPONSE_FLAGS% %UPSTREAM_CLUSTER% %BYTES_SENT%\n"},
			}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &accesslogv3.AccessLog{Name: "file", ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: config}}
}

func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config *tcpproxyv3.TcpProxy
		want   string
	}{
		"no cluster": {&tcpproxyv3.TcpProxy{StatPrefix: "tcp"}, "ClusterSpecifier"},
		"a field": {&tcpproxyv3.TcpProxy{
			StatPrefix: "tcp", ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: "a"},
			MaxDownstreamConnectionDuration: durationpb.New(time.Second),
		}, "max_downstream_connection_duration"},
		"a cluster's field": {&tcpproxyv3.TcpProxy{
			StatPrefix: "tcp", ClusterSpecifier: &tcpproxyv3.TcpProxy_WeightedClusters{WeightedClusters: &tcpproxyv3.TcpProxy_WeightedCluster{
				Clusters: []*tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight{{Name: "a", Weight: 1, MetadataMatch: &corev3.Metadata{}}},
			}},
		}, "weighted_clusters.clusters[0].metadata_match"},
	} {
		if _, err := New(tt.config, clusters{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one of %q", name, err, tt.want)
		}
	}
}
