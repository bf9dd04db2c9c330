package server

import (
	"fmt"
	"regexp"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// GatewayKey is the key of the node metadata that names the Gateway which an Envoy serves, as "namespace/name".
const GatewayKey = "gateway-apiserver.dev/gateway"

// MeshScope is the scope of nodes that name no Gateway: proxyless clients of the mesh.
const MeshScope = "mesh"

// GatewayScope returns the scope of the nodes of a Gateway, which is given as "namespace/name".
func GatewayScope(gateway string) string { return "gateway/" + gateway }

// namespacedName matches a DNS label (RFC 1123), a slash and a DNS subdomain, as Kubernetes names Gateways.
var namespacedName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// NodeScope returns the scope that a node asks for in its metadata. The error names the field and is for the node.
func NodeScope(node *corev3.Node) (string, error) {
	value, ok := node.GetMetadata().GetFields()[GatewayKey]
	if !ok {
		return MeshScope, nil
	}
	gateway := value.GetStringValue() // "" if it is not a string
	if !namespacedName.MatchString(gateway) {
		return "", fmt.Errorf("node.metadata[%q]: must be the namespace and name of a Gateway, as in \"default/my-gateway\", not \"%s\"",
			GatewayKey, printable(gateway, 512))
	}
	return GatewayScope(gateway), nil
}
