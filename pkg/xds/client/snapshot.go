package client

import (
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

// The resource types, by the type URLs of https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#resource-types.
const (
	listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	routeType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	clusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	endpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	secretType   = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// Snapshot is what a server has for a node, each type in the order of its resources' names.
type Snapshot struct {
	Listeners []*listenerv3.Listener
	Routes    []*routev3.RouteConfiguration
	Clusters  []*clusterv3.Cluster
	Endpoints []*endpointv3.ClusterLoadAssignment
	// Secrets carry private keys.
	Secrets []*tlsv3.Secret
	// Missing are the resources that the others refer to and the server says do not exist.
	Missing []Resource
}

// Resource names a resource.
type Resource struct {
	Type string // the message's name, e.g. "RouteConfiguration"
	Name string
}

// Empty says that the server has nothing for the node.
func (s *Snapshot) Empty() bool {
	return len(s.Listeners) == 0 && len(s.Routes) == 0 && len(s.Clusters) == 0 && len(s.Endpoints) == 0 && len(s.Secrets) == 0
}

// byName returns the resources of a subscription, all of which are of the type M, in the order of their names.
func byName[M proto.Message](s *subscription) []M {
	out := make([]M, 0, len(s.resources))
	for _, name := range slices.Sorted(maps.Keys(s.resources)) {
		out = append(out, s.resources[name].(M))
	}
	return out
}
