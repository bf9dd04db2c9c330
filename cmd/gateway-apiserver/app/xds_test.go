package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	xdsserver "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

// serveXDS serves the Gateway default/web and the Service color of the mesh, from a free loopback port until the test ends.
func serveXDS(t *testing.T) (address string) {
	t.Helper()
	resources := cache.New(nodes.Bases()...)
	resources.Publish(nodes.GatewayScope("default/web"), cache.Update{Set: slices.Concat(
		fromYAML[listenerv3.Listener](t, listenersYAML),
		fromYAML[routev3.RouteConfiguration](t, routesYAML),
		fromYAML[clusterv3.Cluster](t, clustersYAML),
		fromYAML[endpointv3.ClusterLoadAssignment](t, endpointsYAML),
		fromYAML[tlsv3.Secret](t, fmt.Sprintf(secretsYAML, privateKey)),
	)})
	resources.Publish(nodes.MeshScope, cache.Update{Set: slices.Concat(
		fromYAML[listenerv3.Listener](t, meshListenersYAML),
		fromYAML[clusterv3.Cluster](t, clustersYAML),
	)})
	resources.Publish(nodes.ConsumerScope(nodes.MeshScope, "shop"), cache.Update{
		Set: fromYAML[listenerv3.Listener](t, strings.ReplaceAll(meshListenersYAML, "default/gone:80", "default/new:80")),
	})
	resources.Publish(nodes.ConsumerScope(nodes.SidecarScope, "shop"), cache.Update{
		Set: fromYAML[clusterv3.Cluster](t, strings.ReplaceAll(clustersYAML, "default/app:80", "shop/sidecar:80")),
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := xdsserver.New(xdsserver.Config{Cache: resources, Nodes: &nodes.Directory{}, Logger: klog.Background(), Limits: xdsserver.Limits{Drain: -1}})
	go server.Serve(listener)
	t.Cleanup(func() { server.Shutdown(context.Background()) })
	return listener.Addr().String()
}

// fromYAML reads resources in the form in which Envoy's documentation writes them.
func fromYAML[M any, P interface {
	*M
	proto.Message
}](t *testing.T, documents string) []*cache.Resource {
	t.Helper()
	var out []*cache.Resource
	for _, document := range strings.Split(documents, "\n---\n") {
		data, err := yaml.YAMLToJSONStrict([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		m := P(new(M))
		if err := protojson.Unmarshal(data, m); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if err := validateAll(m); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		packed := pack(t, m)
		out = append(out, cache.NewResource(packed.GetTypeUrl(), cachev3.GetResourceName(m), packed.GetValue()))
	}
	return out
}

const privateKey = "-----BEGIN PRIVATE KEY----- do not show"

func TestXDSTable(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run(t, "xds", "--gateway", "default/web", "--server", serveXDS(t))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if diff := cmp.Diff(strings.Split(webTables, "\n"), strings.Split(stdout, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestXDSMesh(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run(t, "xds", "--mesh", "color.faces:80", "--server", serveXDS(t))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if diff := cmp.Diff(strings.Split(meshTables, "\n"), strings.Split(stdout, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Where a client is decides what it gets.
func TestXDSOfNamespaces(t *testing.T) {
	t.Parallel()
	address := serveXDS(t)
	for _, test := range []struct {
		args   []string
		routes string
	}{
		{[]string{"--mesh", "color.faces:80"}, "default/gone:80"},
		{[]string{"--mesh", "color.faces:80", "--proxyless", "shop"}, "default/new:80"},
		{[]string{"--mesh", "color.faces:80", "--proxyless", "web"}, "default/gone:80"},
		{[]string{"--sidecar", "shop"}, "shop/sidecar:80"},
	} {
		stdout, stderr, code := run(t, append([]string{"xds", "--server", address}, test.args...)...)
		if code != 0 || !strings.Contains(stdout, test.routes) {
			t.Errorf("%v: exit code %d, %s, want %s in\n%s", test.args, code, stderr, test.routes, stdout)
		}
	}
}

func TestXDSResources(t *testing.T) {
	t.Parallel()
	address := serveXDS(t)
	for _, format := range []string{"yaml", "json"} {
		stdout, stderr, code := run(t, "xds", "--gateway", "default/web", "--server", address, "-o", format)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		var got map[string][]map[string]any
		if err := yaml.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatalf("%v in:\n%s", err, stdout)
		}
		names := map[string][]string{}
		for of, resources := range got {
			for _, r := range resources {
				name, _ := r["name"].(string)
				if of == "endpoints" {
					name, _ = r["cluster_name"].(string)
				}
				names[of] = append(names[of], name)
			}
		}
		want := map[string][]string{
			"listeners": {"default/web:443", "default/web:80"},
			"routes":    {"default/web:443/https", "default/web:80"},
			"clusters":  {"default/app:80", "default/grpc:9000/http2", "default/new:80"},
			"endpoints": {"default/app:80", "default/grpc:9000/http2", "default/new:80"},
			"secrets":   {"default/cert"},
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
		if strings.Contains(stdout, "do not show") || !strings.Contains(stdout, redacted) || !strings.Contains(stdout, "PUBLIC CHAIN") {
			t.Errorf("%s: want the certificate chain, and no private key, in:\n%s", format, stdout)
		}
		if format == "json" && !json.Valid([]byte(stdout)) {
			t.Errorf("not JSON:\n%s", stdout)
		}
		if again, _, _ := run(t, "xds", "--gateway", "default/web", "--server", address, "-o", format); again != stdout {
			t.Errorf("%s: two prints of the same differ:\n%s", format, cmp.Diff(stdout, again))
		}
	}
}

// A server that speaks something else may hang up or say nothing.
func TestXDSOfAnotherServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		serve   func(net.Conn)
		timeout string
		want    string
	}{
		{"hangs up", func(c net.Conn) { c.Close() }, "1m", "the connection to %s broke; does --server name an xDS address? "},
		{"says nothing", func(c net.Conn) { io.Copy(io.Discard, c) }, "5s", "server %s did not answer everything within --timeout 5s; does --server name an xDS address? "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
					go test.serve(c)
				}
			}()
			_, stderr, code := run(t, "xds", "--gateway", "default/web", "--server", listener.Addr().String(), "--timeout", test.timeout)
			if want := "error: " + fmt.Sprintf(test.want, listener.Addr()); code != 1 || !strings.HasPrefix(stderr, want) {
				t.Errorf("code %d, error\n%swant code 1 and\n%s", code, stderr, want)
			}
		})
	}
}

func TestXDSErrors(t *testing.T) {
	t.Parallel()
	address := serveXDS(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	const required = "one of --gateway NAMESPACE/NAME, for example default/web, --fleet NAMESPACE/NAME, --sidecar NAMESPACE and --mesh SERVICE.NAMESPACE:PORT is required, " +
		"or else --node-id, --node-cluster or --node-metadata of an Envoy that names none"
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{
			"no gateway", nil,
			required,
		},
		{
			"both", []string{"--gateway", "default/web", "--mesh", "color.faces:80"},
			required,
		},
		{
			"a client and nothing else", []string{"--proxyless", "shop"},
			"--proxyless NAMESPACE is where a client is: say with --mesh SERVICE.NAMESPACE:PORT what it dials",
		},
		{
			"a client that dials nothing", []string{"--gateway", "default/web", "--proxyless", "shop"},
			"--proxyless NAMESPACE is where a client is: say with --mesh SERVICE.NAMESPACE:PORT what it dials",
		},
		{
			"malformed", []string{"--gateway", "web"},
			`invalid argument "web" for "--gateway" flag: want NAMESPACE/NAME, for example default/web`,
		},
		{
			"unknown gateway", []string{"--gateway", "default/other", "--server", address, "--timeout", "5s"},
			"server " + address + " has no configuration for Gateway default/other: check the name, and that its status says Programmed",
		},
		{
			"unknown fleet", []string{"--fleet", "default/other", "--server", address, "--timeout", "5s"},
			"server " + address + " has no configuration for EnvoyFleet default/other: check the name, that it has mergeGateways, and that the status of a Gateway of it says Programmed",
		},
		{
			"contradictory", []string{"--gateway", "default/web", "--node-metadata", nodes.FleetKey + "=default/edge", "--server", address},
			"server " + address + ` refuses this node: node.metadata: has both "gateway-apiserver.dev/gateway" and "gateway-apiserver.dev/fleet"; name one`,
		},
		{
			"unknown service", []string{"--mesh", "color.nowhere:80", "--server", address},
			"server " + address + " has no configuration for the listener color.nowhere:80: check the names, and that each Service has that port",
		},
		{
			"nobody there", []string{"--gateway", "default/web", "--server", closed.Addr().String()},
			fmt.Sprintf(`no xDS server answers at %s: start one with "gateway-apiserver standalone", or name its address with --server: dial tcp %[1]s: connect: connection refused`, closed.Addr()),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := run(t, append([]string{"xds"}, test.args...)...)
			if code != 1 || stdout != "" || stderr != "error: "+test.want+"\n" {
				t.Errorf("code %d, printed %q and\n%swant code 1 and\nerror: %s", code, stdout, stderr, test.want)
			}
		})
	}
}
