package client

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// references calls found with each resource that m names anywhere in it, extensions in Any included.
func references(m proto.Message, found func(typeURL, name string)) error {
	return protorange.Range(m.ProtoReflect(), func(path protopath.Values) error {
		message, ok := path.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		switch m := message.Interface().(type) {
		case *hcmv3.Rds:
			found(routeType, m.GetRouteConfigName())
		case *clusterv3.Cluster:
			if m.GetType() == clusterv3.Cluster_EDS {
				found(endpointType, endpointName(m))
			}
		case *tlsv3.SdsSecretConfig:
			if m.GetSdsConfig() != nil { // without it the secret is one of the bootstrap
				found(secretType, m.GetName())
			}
		case *routev3.RouteAction:
			if name := m.GetCluster(); name != "" {
				found(clusterType, name)
			}
			for _, c := range m.GetWeightedClusters().GetClusters() {
				found(clusterType, c.GetName())
			}
		case *routev3.RouteAction_RequestMirrorPolicy:
			found(clusterType, m.GetCluster())
		}
		return nil
	})
}

// endpointName is the name by which a cluster asks for its endpoints: Cluster.EdsClusterConfig.service_name, or its own.
func endpointName(c *clusterv3.Cluster) string {
	if name := c.GetEdsClusterConfig().GetServiceName(); name != "" {
		return name
	}
	return c.GetName()
}
