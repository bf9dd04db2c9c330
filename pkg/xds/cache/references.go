package cache

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// clustersOf returns the names of the clusters that a listener or a route table uses, sorted. There are none in what can't be read.
func clustersOf(r *Resource) []string {
	var m proto.Message
	switch kindOf(r.typeURL) {
	case listeners:
		m = &listenerv3.Listener{}
	case routes:
		m = &routev3.RouteConfiguration{}
	default:
		return nil
	}
	if err := proto.Unmarshal(r.Any().GetValue(), m); err != nil {
		return nil
	}
	var names []string
	// The function never returns an error, and Anys that can't be resolved are not ranged over.
	_ = protorange.Range(m.ProtoReflect(), func(path protopath.Values) error {
		if message, ok := path.Index(-1).Value.Interface().(protoreflect.Message); ok {
			if name := clusterIn(message.Interface()); name != "" {
				names = append(names, name)
			}
		}
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// clusterIn returns the cluster that a message names, not those that are named in the messages of which it is made.
func clusterIn(m proto.Message) string {
	switch m := m.(type) {
	case *routev3.RouteAction:
		return m.GetCluster()
	case *routev3.WeightedCluster_ClusterWeight:
		return m.GetName()
	case *routev3.RouteAction_RequestMirrorPolicy:
		return m.GetCluster()
	case *tcpproxyv3.TcpProxy:
		return m.GetCluster()
	case *tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight:
		return m.GetName()
	case *udpproxyv3.Route:
		return m.GetCluster()
	case *corev3.GrpcService_EnvoyGrpc:
		return m.GetClusterName()
	case *corev3.HttpUri:
		return m.GetCluster()
	}
	return ""
}
