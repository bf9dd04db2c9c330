package nodes

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// The keys of the node metadata that say what a node serves, or where in the mesh it is. A node has one of them at most.
const (
	// GatewayKey names a Gateway, as "namespace/name". If it is merged with others, the node serves all of them.
	GatewayKey = "gateway-apiserver.dev/gateway"
	// FleetKey names an EnvoyFleet that merges its Gateways, as "namespace/name".
	FleetKey = "gateway-apiserver.dev/fleet"
	// SidecarKey names the namespace of the workload whose outbound connections go through the node, an Envoy.
	SidecarKey = "gateway-apiserver.dev/sidecar"
	// NamespaceKey names the namespace that a proxyless client of the mesh is in. One that doesn't say it gets no consumer routes.
	NamespaceKey = "gateway-apiserver.dev/namespace"
)

// ObserverKey says, as "true" in the metadata of a node, that it only looks at what nodes get, and serves nothing.
const ObserverKey = "gateway-apiserver.dev/observer"

// Observes says whether a node only looks at what nodes get.
func Observes(node *corev3.Node) bool {
	return node.GetMetadata().GetFields()[ObserverKey].GetStringValue() == "true"
}

const (
	// MeshScope is the scope of nodes that name nothing and that no fleet selects: proxyless clients of the mesh.
	MeshScope = "mesh"
	// SidecarScope is what the scopes of sidecars lie over.
	SidecarScope = "sidecar"
)

// Bases are the scopes that those of single namespaces lie over (cache.New): what all namespaces have in common.
func Bases() []string { return []string{MeshScope, SidecarScope} }

// ConsumerScope returns the scope of the nodes of a namespace, which lies over a base.
func ConsumerScope(base, namespace string) string { return base + "/" + namespace }

// IsConsumerScope says whether a scope lies over a base.
func IsConsumerScope(scope string) bool {
	return slices.ContainsFunc(Bases(), func(base string) bool { return strings.HasPrefix(scope, base+"/") })
}

// GatewayScope returns the scope of a Gateway that isn't merged, which is given as "namespace/name".
func GatewayScope(gateway string) string { return "gateway/" + gateway }

// FleetScope returns the scope of an EnvoyFleet that merges its Gateways, which is given as "namespace/name".
func FleetScope(fleet string) string { return "fleet/" + fleet }

// ScopeKind is what a scope is of.
type ScopeKind int

// The kinds of scopes, and what ParseScope says of each.
const (
	OfNothing   ScopeKind = iota // no node gets it
	OfGateway                    // "namespace/name"
	OfFleet                      // "namespace/name"
	OfSidecars                   // a namespace
	OfProxyless                  // a namespace
	OfMesh                       // "": nodes that don't say where they are
)

// ParseScope returns what a scope is of.
func ParseScope(scope string) (ScopeKind, string) {
	kind, of, _ := strings.Cut(scope, "/")
	switch {
	case scope == MeshScope:
		return OfMesh, ""
	case of == "":
		return OfNothing, ""
	}
	switch kind {
	case "gateway":
		return OfGateway, of
	case "fleet":
		return OfFleet, of
	case SidecarScope:
		return OfSidecars, of
	case MeshScope:
		return OfProxyless, of
	}
	return OfNothing, ""
}

// namespacedName matches a DNS label (RFC 1123), a slash and a DNS subdomain, as Kubernetes names objects.
var namespacedName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// label matches the name of a namespace.
var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// naming is what a key of the metadata has to hold, and how an error says that.
type naming struct {
	key           string
	form          *regexp.Regexp
	what, example string
}

var namings = []naming{
	{GatewayKey, namespacedName, "the namespace and name of a Gateway", "default/my-gateway"},
	{FleetKey, namespacedName, "the namespace and name of an EnvoyFleet", "default/my-fleet"},
	{SidecarKey, label, "the name of a namespace", "default"},
	{NamespaceKey, label, "the name of a namespace", "default"},
}

// named returns what a node names in its metadata, by which key; both are empty if it names nothing. The error is for the node.
func named(node *corev3.Node) (key, name string, err error) {
	for _, n := range namings {
		value, ok := node.GetMetadata().GetFields()[n.key]
		if !ok {
			continue
		}
		said := value.GetStringValue() // "" if it is not a string
		if !n.form.MatchString(said) {
			return "", "", fmt.Errorf("node.metadata[%q]: must be %s, as in %q, not %s", n.key, n.what, n.example, strconv.QuoteToGraphic(cut(said)))
		}
		if key != "" {
			return "", "", fmt.Errorf("node.metadata: has both %q and %q; name one", key, n.key)
		}
		key, name = n.key, said
	}
	return key, name, nil
}

// cut returns the beginning of what a client has sent.
func cut(s string) string {
	if len(s) > 512 {
		return s[:512] + "..."
	}
	return s
}
