package nodes

import (
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// node returns a node whose metadata is given as keys and values.
func node(id, cluster string, metadata ...string) *corev3.Node {
	n := &corev3.Node{Id: id, Cluster: cluster, Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{}}}
	for i := 0; i < len(metadata); i += 2 {
		n.Metadata.Fields[metadata[i]] = structpb.NewStringValue(metadata[i+1])
	}
	return n
}

func TestScope(t *testing.T) {
	t.Parallel()
	var d Directory
	d.Publish(map[string]*Fleet{
		"infra/merged":  {Merged: true, Gateways: []string{"a/one", "a/two"}},
		"infra/edge":    {Merged: true, Gateways: []string{"b/one"}, Selectors: []Selector{{ID: new("edge-*")}, {Cluster: new("edge"), Metadata: map[string]string{"zone": "a"}}}},
		"infra/single":  {Gateways: []string{"c/one"}, Selectors: []Selector{{ID: new("single")}}},
		"infra/several": {Gateways: []string{"d/one", "d/two"}, Selectors: []Selector{{Cluster: new("several")}, {Cluster: new("both")}}},
		"infra/empty":   {Selectors: []Selector{{ID: new("empty")}}},
		"infra/plain":   {Gateways: []string{"e/one"}},
		"infra/also":    {Merged: true, Gateways: []string{"f/one"}, Selectors: []Selector{{Cluster: new("both")}}},
	})
	number := node("n", "")
	number.Metadata.Fields["zone"] = structpb.NewNumberValue(1)
	number.Cluster = "edge"
	notAString := node("n", "")
	notAString.Metadata.Fields[GatewayKey] = structpb.NewNumberValue(7)

	for _, tc := range []struct {
		name string
		node *corev3.Node
		want string // or, with a "!", what is in the error
	}{
		{"nothing at all", nil, "mesh"},
		{"no metadata", &corev3.Node{Id: "n"}, "mesh"},
		{"a Gateway that nobody knows", node("n", "", GatewayKey, "default/my-gateway"), "gateway/default/my-gateway"},
		{"a name with dots", node("n", "", GatewayKey, "a/b.c"), "gateway/a/b.c"},
		{"a number for a Gateway", notAString, `!node.metadata["gateway-apiserver.dev/gateway"]: must be`},
		{"no namespace", node("n", "", FleetKey, "merged"), `!node.metadata["gateway-apiserver.dev/fleet"]: must be the namespace and name of an EnvoyFleet`},
		{"both keys", node("n", "", GatewayKey, "a/one", FleetKey, "infra/merged"), "!name one"},

		{"a sidecar", node("n", "", SidecarKey, "shop"), "sidecar/shop"},
		{"a sidecar of what is no namespace", node("n", "", SidecarKey, "shop/web"), `!node.metadata["gateway-apiserver.dev/sidecar"]: must be the name of a namespace, as in "default", not "shop/web"`},
		{"a proxyless client of a namespace", node("n", "", NamespaceKey, "shop"), "mesh/shop"},
		{"a proxyless client of nothing", node("n", "", NamespaceKey, ""), `!node.metadata["gateway-apiserver.dev/namespace"]: must be`},
		{"a sidecar and a Gateway", node("n", "", SidecarKey, "shop", GatewayKey, "a/one"), `!both "gateway-apiserver.dev/gateway" and "gateway-apiserver.dev/sidecar"`},
		{"a client that a fleet selects by its id", node("edge-1", "", NamespaceKey, "shop"), "mesh/shop"},

		{"a merged Gateway", node("n", "", GatewayKey, "a/two"), "fleet/infra/merged"},
		{"a Gateway of a plain fleet", node("n", "", GatewayKey, "e/one"), "gateway/e/one"},
		{"a Gateway of a fleet that selects another node", node("n", "", GatewayKey, "c/one"), "!EnvoyFleet infra/single, of whose spec.nodes none matches"},
		{"and this node", node("single", "", GatewayKey, "c/one"), "gateway/c/one"},
		{"a merged Gateway of another node", node("n", "edge", GatewayKey, "b/one"), "!EnvoyFleet infra/edge"},
		{"and of this node", node("edge-7", "", GatewayKey, "b/one"), "fleet/infra/edge"},
		{"one of several Gateways", node("n", "several", GatewayKey, "d/two"), "gateway/d/two"},
		{"another Gateway than those of its fleet", node("edge-7", "", GatewayKey, "e/one"), "gateway/e/one"},

		{"a merged fleet", node("n", "", FleetKey, "infra/merged"), "fleet/infra/merged"},
		{"a fleet that nobody knows", node("n", "", FleetKey, "infra/later"), "fleet/infra/later"},
		{"a fleet that selects another node", node("n", "", FleetKey, "infra/edge"), "!none matches this node"},
		{"a fleet that doesn't merge", node("n", "", FleetKey, "infra/plain"), "!doesn't merge its Gateways"},

		{"selected by id", node("edge-1", ""), "fleet/infra/edge"},
		{"an id that is the prefix", node("edge-", ""), "fleet/infra/edge"},
		{"another id", node("edg", ""), "mesh"},
		{"selected by cluster and metadata", node("n", "edge", "zone", "a", "rack", "1"), "fleet/infra/edge"},
		{"by half of that", node("n", "edge", "zone", "b"), "mesh"},
		{"by a value that is no string", number, "mesh"},
		{"the only Gateway", node("single", ""), "gateway/c/one"},
		{"several Gateways", node("n", "several"), "!EnvoyFleet infra/several, which has 2 Gateways: name the one"},
		{"several fleets", node("n", "both"), "!EnvoyFleets infra/also, infra/several"},
		{"a fleet without Gateways", node("empty", ""), "fleet/infra/empty"},
	} {
		got, err := d.Scope(tc.node)
		if what, refused := strings.CutPrefix(tc.want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: got %q and error %v, want an error with %q", tc.name, got, err, what)
			}
		} else if got != tc.want || err != nil {
			t.Errorf("%s: got %q and error %v, want %q", tc.name, got, err, tc.want)
		}
	}
}

// TestPublish holds that what was published before leaves nothing behind.
func TestPublish(t *testing.T) {
	t.Parallel()
	var d Directory
	calls := 0
	stop := d.Follow(func() { calls++ })
	check := func(what, want string) {
		t.Helper()
		if got, err := d.Scope(node("n", "", GatewayKey, "a/one")); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", what, got, err, want)
		}
	}
	check("before", "gateway/a/one")
	d.Publish(map[string]*Fleet{"infra/x": {Merged: true, Gateways: []string{"a/one"}}})
	check("merged", "fleet/infra/x")
	d.Publish(map[string]*Fleet{"infra/x": {Merged: true}, "infra/y": {Merged: true, Gateways: []string{"a/one"}}})
	check("moved to another fleet", "fleet/infra/y")
	d.Publish(map[string]*Fleet{"infra/y": nil, "infra/x": {Merged: true, Gateways: []string{"a/one"}}})
	check("and back", "fleet/infra/x")
	d.Publish(map[string]*Fleet{"infra/x": nil, "infra/never": nil})
	check("fleet gone", "gateway/a/one")
	if left := fmt.Sprint(d.fleets, d.fleet); left != "map[] map[]" {
		t.Errorf("%s is left", left)
	}
	d.Publish(nil)
	stop()
	d.Publish(map[string]*Fleet{"infra/x": {}})
	if calls != 4 {
		t.Errorf("told of changes %d times, want 4", calls)
	}
}
