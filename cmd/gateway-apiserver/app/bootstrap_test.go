package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// run executes a command line and returns what it printed and its exit code.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, &out, &errs)
	return out.String(), errs.String(), code
}

// validateAll checks every message in m by Envoy's rules, those that are packed in an Any included.
func validateAll(m proto.Message) error {
	var problems []error
	err := protorange.Range(m.ProtoReflect(), func(path protopath.Values) error {
		message, ok := path.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		if v, ok := message.Interface().(interface{ ValidateAll() error }); ok {
			problems = append(problems, v.ValidateAll())
		}
		return nil
	})
	return errors.Join(append(problems, err)...)
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"yaml", "json"} {
		stdout, stderr, code := run(t, "bootstrap", "--gateway", "default/web", "--node-id", "web-2", "--xds-server", "xds.example.com:443",
			"--admin-address", "[::1]:9901", "-o", format)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		data, err := yaml.YAMLToJSON([]byte(stdout))
		if err != nil {
			t.Fatalf("%v in:\n%s", err, stdout)
		}
		var got bootstrapv3.Bootstrap
		if err := protojson.Unmarshal(data, &got); err != nil {
			t.Fatalf("%v in:\n%s", err, stdout)
		}
		if err := validateAll(&got); err != nil {
			t.Errorf("Envoy would refuse it: %v", err)
		}
		if got.GetNode().GetId() != "web-2" || got.GetNode().GetMetadata().AsMap()[nodes.GatewayKey] != "default/web" {
			t.Errorf("node %v, want web-2 asking for default/web", got.GetNode())
		}
		address := got.GetStaticResources().GetClusters()[0].GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
		if address.GetAddress() != "xds.example.com" || address.GetPortValue() != 443 {
			t.Errorf("xDS at %v, want xds.example.com:443", address)
		}
		if admin := got.GetAdmin().GetAddress().GetSocketAddress(); admin.GetAddress() != "::1" || admin.GetPortValue() != 9901 {
			t.Errorf("admin at %v, want [::1]:9901", admin)
		}
	}
}

// A bootstrap says to the server where in the mesh its node is.
func TestBootstrapOfMesh(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args      []string
		id, scope string
	}{
		{[]string{"--sidecar", "shop"}, "shop", "sidecar/shop"},
		{[]string{"--sidecar", "shop", "--node-id", "web-7", "-o", "json"}, "web-7", "sidecar/shop"},
		{[]string{"--proxyless", "shop", "--node-id", "web-7", "-o", "json"}, "web-7", "mesh/shop"},
		{[]string{"--proxyless", "shop"}, "shop", "mesh/shop"},
	} {
		stdout, stderr, code := run(t, append([]string{"bootstrap"}, test.args...)...)
		if code != 0 {
			t.Fatalf("%v: exit code %d: %s", test.args, code, stderr)
		}
		data, err := yaml.YAMLToJSON([]byte(stdout))
		if err != nil {
			t.Fatalf("%v in:\n%s", err, stdout)
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatal(err)
		}
		var node corev3.Node
		if err := protojson.Unmarshal(all["node"], &node); err != nil {
			t.Fatal(err)
		}
		if scope, err := new(nodes.Directory).Scope(&node); scope != test.scope || err != nil || node.Id != test.id {
			t.Errorf("%v: node %q of scope %q (%v), want %q of %q", test.args, node.Id, scope, err, test.id, test.scope)
		}
	}
}

// A gRPC client is the judge of what is printed for gRPC clients.
func TestBootstrapOfGRPC(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run(t, "bootstrap", "--proxyless", "shop", "--xds-server", "[::1]:18000")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if _, err := xds.NewXDSResolverWithConfigForTesting([]byte(stdout)); err != nil {
		t.Errorf("%v in:\n%s", err, stdout)
	}
	if !strings.Contains(stdout, `"[::1]:18000"`) || !strings.Contains(stdout, `"xds_v3"`) {
		t.Errorf("printed\n%s", stdout)
	}
}

func TestBootstrapErrors(t *testing.T) {
	t.Parallel()
	const required = "error: one of --gateway NAMESPACE/NAME, for example default/web, --fleet NAMESPACE/NAME, --sidecar NAMESPACE and --proxyless NAMESPACE is required\n"
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, required},
		{[]string{"--gateway", "a/b", "--fleet", "a/c"}, required},
		{[]string{"--sidecar", "a", "--proxyless", "a"}, required},
		{[]string{"--sidecar", "a/b"}, "error: invalid argument \"a/b\" for \"--sidecar\" flag: want the name of a namespace, for example default\n"},
		{[]string{"--proxyless", "a", "--admin-address", "127.0.0.1:1"}, "error: --admin-address: gRPC clients have no administration interface\n"},
		{[]string{"--proxyless", "a", "-o", "yaml"}, "error: --output: gRPC clients read json only\n"},
		{[]string{"--gateway", "foo"}, "error: invalid argument \"foo\" for \"--gateway\" flag: want NAMESPACE/NAME, for example default/web\n"},
		{[]string{"--gateway", "a/b", "--xds-server", "18000"}, "error: invalid argument \"18000\" for \"--xds-server\" flag: want HOST:PORT, for example 127.0.0.1:18000 or [::1]:18000\n"},
		{[]string{"--gateway", "a/b", "-o", "xml"}, "error: invalid argument \"xml\" for \"-o, --output\" flag: want one of: yaml, json\n"},
	} {
		stdout, stderr, code := run(t, append([]string{"bootstrap"}, test.args...)...)
		if code != 1 || stderr != test.want || stdout != "" {
			t.Errorf("%v: code %d, printed %q and the error %q, want code 1 and %q", test.args, code, stdout, stderr, test.want)
		}
	}
}
