package translate

import (
	"cmp"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// MetadataKey is below which Envoy's metadata (filter_metadata) of a resource, a filter chain or a route say what it was made of,
// with the fields "kind", "namespace" and "name", and "rule", "listener" and "port" as in Origin; of a cluster also with
// "backendTLSPolicy" and "backendTrafficPolicy", which are names of policies in the same namespace. So who looks at an Envoy's
// /config_dump finds the objects, and access logs can have them, such as %METADATA(ROUTE:gateway-apiserver.dev:name)%.
const MetadataKey = "gateway-apiserver.dev"

// An Origin is an object, or a part of one, that an Envoy resource, or a part of one, was made of.
type Origin struct {
	// Kind, Namespace and Name are those of the object: of an HTTPRoute or a GRPCRoute; of a Gateway, a ListenerSet or, of Gateways that
	// are merged, their EnvoyFleet; of a Service, an XBackend or a UDPRoute, to which a cluster leads, or its BackendTLSPolicy or
	// XBackendTrafficPolicy; or of a Secret.
	Kind            graph.Kind
	Namespace, Name string
	// Rule of a route: its name, or its index if it has none.
	Rule string
	// Listener is the section name of the one listener of the Gateway or ListenerSet that it is about; empty if it is about more.
	Listener string
	// Domain is that of a stream of the Listener, which its routes say where to forward: the server name (SNI) of connections, or "*"
	// for all that are left. It is empty if it is about the listener itself. Metadata don't have it.
	Domain string
	// Port of a scope's Gateway or EnvoyFleet, without Listener: it is about all listeners of the scope with that port, which
	// share an Envoy listener or a table. 0 without such a port.
	Port int32
}

const (
	originKind      = "kind"
	originNamespace = "namespace"
	originName      = "name"
	originRule      = "rule"
	originListener  = "listener"
	originPort      = "port"

	originTLSPolicy     = "backendTLSPolicy"
	originTrafficPolicy = "backendTrafficPolicy"
)

func originOf(key graph.Key) Origin {
	return Origin{Kind: key.Kind, Namespace: key.Namespace, Name: key.Name}
}

// listenerOrigin is that of what one listener of a Gateway or a ListenerSet makes.
func listenerOrigin(l graph.ListenerKey) Origin {
	o := originOf(l.Parent)
	o.Listener = string(l.Name)
	return o
}

// StreamOrigin is that of what forwards a stream. It doesn't say for which route: one that takes the place of another must not close
// the connections of both, which it would if their filter chain named it.
func StreamOrigin(s graph.StreamKey) Origin {
	o := listenerOrigin(s.Listener)
	o.Domain = cmp.Or(s.Domain, anyDomain)
	return o
}

// anyDomain is the Domain of connections with any server name, or none, and of those without TLS.
const anyDomain = "*"

// portOrigin is that of what the listeners of a port of a scope make together. It names none of them: an Envoy listener that
// becomes another one closes connections, and must not when listeners come and go that change nothing else of it.
func portOrigin(scope graph.Key, port int32) Origin {
	o := originOf(scope)
	o.Port = port
	return o
}

// tableOrigin is that of a table of virtual hosts.
func tableOrigin(t graph.TableKey) Origin {
	if t.Listener == "" {
		return portOrigin(t.Scope, t.Port)
	}
	o := originOf(t.Scope)
	o.Listener = t.Listener
	if parts := strings.Split(t.Listener, "/"); len(parts) == 4 { // graph.TableName
		o = Origin{Kind: graph.KindGateway, Namespace: parts[1], Name: parts[2], Listener: parts[3]}
		if parts[0] == strings.ToLower(string(graph.KindListenerSet)) {
			o.Kind = graph.KindListenerSet
		}
	}
	return o
}

// metadata says in Envoy's words what something was made of.
func (o Origin) metadata() *corev3.Metadata {
	fields := map[string]*structpb.Value{
		originKind:      structpb.NewStringValue(string(o.Kind)),
		originNamespace: structpb.NewStringValue(o.Namespace),
		originName:      structpb.NewStringValue(o.Name),
	}
	if o.Rule != "" {
		fields[originRule] = structpb.NewStringValue(o.Rule)
	}
	if o.Listener != "" {
		fields[originListener] = structpb.NewStringValue(o.Listener)
	}
	if o.Port != 0 {
		fields[originPort] = structpb.NewNumberValue(float64(o.Port))
	}
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{MetadataKey: {Fields: fields}}}
}

// say adds a field to metadata, unless it is empty.
func say(m *corev3.Metadata, field, value string) {
	if value != "" {
		m.FilterMetadata[MetadataKey].Fields[field] = structpb.NewStringValue(value)
	}
}

// originIn is the reverse of Origin.metadata; false if the metadata don't say.
func originIn(m *corev3.Metadata) (Origin, bool) {
	o := Origin{
		Kind: graph.Kind(said(m, originKind)), Namespace: said(m, originNamespace), Name: said(m, originName),
		Rule: said(m, originRule), Listener: said(m, originListener),
		Port: int32(m.GetFilterMetadata()[MetadataKey].GetFields()[originPort].GetNumberValue()),
	}
	return o, o.Kind != ""
}

func said(m *corev3.Metadata, field string) string {
	return m.GetFilterMetadata()[MetadataKey].GetFields()[field].GetStringValue()
}

// secretOrigin reads the name of an SDS secret, which has no metadata: secretName, backendSecretName or clientCAName.
func secretOrigin(name string) (Origin, bool) {
	if !strings.Contains(name, ":") {
		namespace, secret, ok := strings.Cut(name, "/")
		return Origin{Kind: graph.KindSecret, Namespace: namespace, Name: secret}, ok && !strings.Contains(secret, "/")
	}
	if backend, ok := strings.CutSuffix(name, "/"+backendSecretSuffix); ok {
		return endpointsOrigin(backend)
	}
	gateway, port, ok := portIn(strings.TrimSuffix(name, "/"+clientCASuffix))
	return Origin{Kind: graph.KindGateway, Namespace: gateway.Namespace, Name: gateway.Name, Port: port}, ok
}

// endpointsOrigin reads the name of a ClusterLoadAssignment, which has no metadata: graph.BackendKey.String, with
// meshUnresolved after it or not.
func endpointsOrigin(name string) (Origin, bool) {
	name = strings.TrimSuffix(strings.TrimSuffix(name, meshUnresolved), "/udp")
	kind := graph.KindService
	if first, rest, _ := strings.Cut(name, "/"); strings.Contains(rest, "/") {
		switch first {
		case "udproute":
			namespace, name, _ := strings.Cut(rest, "/")
			return Origin{Kind: graph.KindUDPRoute, Namespace: namespace, Name: name}, true
		case "xbackend":
			kind, name = graph.KindBackend, rest
		}
	}
	backend, _, ok := portIn(name)
	return Origin{Kind: kind, Namespace: backend.Namespace, Name: backend.Name}, ok
}

// portIn reads "namespace/name:port".
func portIn(s string) (types.NamespacedName, int32, bool) {
	host, port, _ := strings.Cut(s, ":")
	namespace, name, ok := strings.Cut(host, "/")
	number, err := strconv.ParseInt(port, 10, 32)
	return types.NamespacedName{Namespace: namespace, Name: name}, int32(number), ok && err == nil
}
