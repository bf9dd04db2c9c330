package nodes

import (
	"fmt"
	"regexp"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// The keys of the node metadata that say what an Envoy serves, as "namespace/name". A node has one of them at most.
const (
	// GatewayKey names a Gateway. If it is merged with others, the node serves all of them.
	GatewayKey = "gateway-apiserver.dev/gateway"
	// FleetKey names an EnvoyFleet that merges its Gateways.
	FleetKey = "gateway-apiserver.dev/fleet"
)

// MeshScope is the scope of nodes that name nothing and that no fleet selects: proxyless clients of the mesh.
const MeshScope = "mesh"

// GatewayScope returns the scope of a Gateway that isn't merged, which is given as "namespace/name".
func GatewayScope(gateway string) string { return "gateway/" + gateway }

// FleetScope returns the scope of an EnvoyFleet that merges its Gateways, which is given as "namespace/name".
func FleetScope(fleet string) string { return "fleet/" + fleet }

// namespacedName matches a DNS label (RFC 1123), a slash and a DNS subdomain, as Kubernetes names objects.
var namespacedName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// named returns the name under a key of a node's metadata, or "" if there is no such key. The error is for the node.
func named(node *corev3.Node, key, kind, example string) (string, error) {
	value, ok := node.GetMetadata().GetFields()[key]
	if !ok {
		return "", nil
	}
	name := value.GetStringValue() // "" if it is not a string
	if !namespacedName.MatchString(name) {
		return "", fmt.Errorf("node.metadata[%q]: must be the namespace and name of %s, as in %q, not %s", key, kind, example, strconv.QuoteToGraphic(cut(name)))
	}
	return name, nil
}

// cut returns the beginning of what a client has sent.
func cut(s string) string {
	if len(s) > 512 {
		return s[:512] + "..."
	}
	return s
}
