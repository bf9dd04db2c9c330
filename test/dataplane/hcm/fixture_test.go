package hcm_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3" // for Any
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"      // for Any

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// edge is a manager as Gateways have it.
const edge = `
statPrefix: test
rds: {configSource: {ads: {}, resourceApiVersion: V3}, routeConfigName: table}
httpFilters:
- {name: envoy.filters.http.cors, disabled: true, typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}
- name: envoy.filters.http.ext_authz
  disabled: true
  typedConfig:
    "@type": type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher
    extensionConfig: {name: composite, typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite}}
- name: envoy.filters.http.stateful_session
  disabled: true
  typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSession}
- name: envoy.filters.http.router
  typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, suppressEnvoyHeaders: true}
useRemoteAddress: true
internalAddressConfig: {}
normalizePath: true
mergeSlashes: true
pathWithEscapedSlashesAction: UNESCAPE_AND_REDIRECT
commonHttpProtocolOptions: {idleTimeout: 3600s, headersWithUnderscoresAction: REJECT_REQUEST}
http2ProtocolOptions: {maxConcurrentStreams: 100, initialStreamWindowSize: 65536, initialConnectionWindowSize: 1048576}
streamIdleTimeout: 300s
requestHeadersTimeout: 10s
serverHeaderTransformation: PASS_THROUGH
upgradeConfigs: [{upgradeType: websocket, enabled: false}]
`

// fromYAML reads a message.
func fromYAML[M proto.Message](t *testing.T, text string, into M) M {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(data, into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return into
}

// gateway is a manager behind a socket, and what it forwards to.
type gateway struct {
	t       *testing.T
	address string
	manager *hcm.Manager
	failing func() bool // or nil

	mu       sync.Mutex
	table    *router.Table
	clusters map[string]*upstream.Cluster
}

// Table implements hcm.Routes.
func (g *gateway) Table(name string) *router.Table {
	g.mu.Lock()
	defer g.mu.Unlock()
	if name != "table" {
		return nil
	}
	return g.table
}

// Cluster implements hcm.Clusters.
func (g *gateway) Cluster(name string) *upstream.Cluster {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.clusters[name]
}

func (g *gateway) isFailing() bool { return g.failing != nil && g.failing() }

type option func(*hcmv3.HttpConnectionManager)

// newGateway serves routes, which are those of a virtual host for all domains.
func newGateway(t *testing.T, routes string, options ...option) *gateway {
	t.Helper()
	g := &gateway{t: t, clusters: map[string]*upstream.Cluster{}}
	g.setRoutes(routes)
	config := fromYAML(t, edge, &hcmv3.HttpConnectionManager{})
	for _, o := range options {
		o(config)
	}
	var err error
	if g.manager, err = hcm.New(config, hcm.Deps{Routes: g, Clusters: g, Logger: slog.New(slog.DiscardHandler), Failing: g.isFailing}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				g.manager.Serve(conn, hcm.Downstream{
					Local:       conn.LocalAddr().(*net.TCPAddr).AddrPort(),
					Remote:      conn.RemoteAddr().(*net.TCPAddr).AddrPort(),
					BufferLimit: 32 << 10,
				})
			})
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		g.manager.Close()
		serving.Wait()
	})
	return g
}

func (g *gateway) setRoutes(routes string) {
	g.t.Helper()
	config := fromYAML(g.t, "name: table\nignorePortInHostMatching: true\nvirtualHosts:\n- name: all\n  domains: ['*']\n  routes:\n"+routes,
		&routev3.RouteConfiguration{})
	table, err := router.Compile(config, hcm.ParseFilterConfig)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.table = table
}

// cluster adds a cluster of hosts, as "ip:port"; more is added to its settings.
func (g *gateway) cluster(name string, hosts []string, more ...string) {
	g.t.Helper()
	var endpoints strings.Builder
	for _, h := range hosts {
		a := netip.MustParseAddrPort(h)
		fmt.Fprintf(&endpoints, "    - endpoint: {address: {socketAddress: {address: %q, portValue: %d}}}\n", a.Addr(), a.Port())
	}
	list := "loadAssignment:\n  clusterName: " + name + "\n"
	if len(hosts) > 0 {
		list += "  endpoints:\n  - lbEndpoints:\n" + endpoints.String()
	}
	config := fromYAML(g.t, "name: "+name+"\ntype: STATIC\nconnectTimeout: 5s\n"+list+strings.Join(more, "\n"), &clusterv3.Cluster{})
	c, err := upstream.New(config, upstream.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(c.Close)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clusters[name] = c
}

const http2Cluster = `
typedExtensionProtocolOptions:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicitHttpConfig: {http2ProtocolOptions: {}}
`

// backend serves HTTP/1.1 and HTTP/2 by prior knowledge, and returns its address.
func backend(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String()
}

// client returns a client of a gateway, which follows no redirects.
func (g *gateway) client(http2 bool) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: &protocols, DisableCompression: true}
	g.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
}

func (g *gateway) do(r *http.Request) answer {
	g.t.Helper()
	response, err := g.client(false).Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.read(response)
}

func (g *gateway) read(response *http.Response) answer {
	g.t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		g.t.Error(err)
	}
	return answer{response, string(body)}
}

func (g *gateway) get(path string) answer {
	g.t.Helper()
	return g.do(g.request(http.MethodGet, path, nil))
}

// request returns a request whose header is given as lines of "name: value".
func (g *gateway) request(method, path string, body io.Reader, header ...string) *http.Request {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.address+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// raw sends bytes over a connection of its own, and reads a response.
func (g *gateway) raw(request string) (answer, error) {
	g.t.Helper()
	conn := g.dial()
	if _, err := io.WriteString(conn, request); err != nil {
		g.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	return g.read(response), nil
}

func (g *gateway) dial() net.Conn {
	g.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(g.t.Context(), "tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() }) // some tests close it
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	return conn
}

// refused returns an address where nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}
