package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// ClusterKey identifies a cluster: a port of a Service or an XBackend, and how it is spoken to.
type ClusterKey struct {
	graph.BackendKey
	// HTTP2 says that a route needs HTTP/2 of a port that isn't said to speak it: gRPC is HTTP/2 always. It is false for a
	// port that is (graph.BackendFacts.HTTP2), so that all routes share that port's one cluster.
	HTTP2 bool
	// Stream says that what is sent isn't known to be HTTP: no application protocol is asked for.
	Stream bool
	// Passthrough says that what is sent is in TLS already. It is sent as it is, whatever the port is to be secured by.
	Passthrough bool
	// ClientCertificate is the Secret with the certificate that a Gateway shows to a Service that uses TLS; without a name if
	// it shows none. Gateways with the same one share the cluster. An XBackend says itself what it is shown.
	ClientCertificate types.NamespacedName
}

// String returns the cluster's name: "namespace/service:port", with the suffix "/http2", "/stream" or "/passthrough" for what is
// set of these, and then "/client-certificate/namespace/secret" if there is one.
func (k ClusterKey) String() string {
	name := k.BackendKey.String()
	switch {
	case k.HTTP2:
		name += "/http2"
	case k.Passthrough:
		name += "/passthrough"
	case k.Stream:
		name += "/stream"
	}
	if k.ClientCertificate.Name != "" {
		name += "/client-certificate/" + k.ClientCertificate.String()
	}
	return name
}

// UnresolvedCluster is the name of a cluster that never exists. It cannot be a ClusterKey's: those contain a slash.
const UnresolvedCluster = "unresolved-backend"

// clusterSet collects the clusters that routes use.
type clusterSet map[ClusterKey]struct{}

// use adds a cluster and returns its name.
func (s clusterSet) use(key ClusterKey) string {
	s[key] = struct{}{}
	return key.String()
}

// sorted returns the clusters by namespace, name, port and protocol.
func (s clusterSet) sorted() []ClusterKey {
	keys := make([]ClusterKey, 0, len(s))
	for key := range s {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b ClusterKey) int {
		if c := cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port)); c != 0 {
			return c
		}
		return cmp.Compare(a.String(), b.String()) // which has to be made
	})
	return keys
}

// RouteConfigurationName names a table: "namespace/gateway:port" for the HTTP listeners of a port,
// "namespace/gateway:port/listener" for an HTTPS listener. With merged Gateways, it starts with "fleet/namespace/name".
func RouteConfigurationName(t graph.TableKey) string {
	name := listenerName(t.Scope, t.Port)
	if t.Listener != "" {
		name += "/" + t.Listener
	}
	return name
}

// scopeName is how the names of a scope's resources begin.
func scopeName(scope graph.Key) string {
	if scope.Kind == graph.KindEnvoyFleet {
		return "fleet/" + scope.NamespacedName().String()
	}
	return scope.NamespacedName().String()
}

// listenerName names the Envoy listener of a scope's port for TCP.
func listenerName(scope graph.Key, port int32) string {
	return fmt.Sprintf("%s:%d", scopeName(scope), port)
}

const (
	backendSecretSuffix = "client-certificate"
	clientCASuffix      = "client-ca"
	// meshUnresolved follows the BackendKey in the name of a cluster without endpoints, and in that of its endpoints.
	meshUnresolved = "/unresolved"
)

// secretName names the SDS secret of a Kubernetes Secret.
func secretName(secret types.NamespacedName) string { return secret.String() }

// backendSecretName names the SDS secret with the certificate that an XBackend is shown. It cannot be a secretName's: those
// contain no colon.
func backendSecretName(backend graph.BackendKey) string {
	return backend.String() + "/" + backendSecretSuffix
}

// clientCAName names the SDS secret with which the clients of a Gateway's port are validated. It cannot be a secretName's:
// those contain no colon.
func clientCAName(gateway types.NamespacedName, port int32) string {
	return fmt.Sprintf("%s:%d/%s", gateway, port, clientCASuffix)
}

// isHTTPS says whether the virtual hosts of a table are served over TLS; see graph.TableKey.
func isHTTPS(t graph.TableKey) bool { return t.Listener != "" }

// lowerName is the form in which header names are compared and sent: their case has no meaning.
func lowerName[T ~string](name T) string { return strings.ToLower(string(name)) }
