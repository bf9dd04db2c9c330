package lint

import (
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// target names a resource.
type target struct {
	kind protoreflect.FullName // of the message
	name string
}

// String returns it as "Cluster default/color:80".
func (t target) String() string { return string(t.kind.Name()) + " " + t.name }

var (
	listener   = kindOf(&listenerv3.Listener{})
	routeTable = kindOf(&routev3.RouteConfiguration{})
	cluster    = kindOf(&clusterv3.Cluster{})
	endpoints  = kindOf(&endpointv3.ClusterLoadAssignment{})
	secret     = kindOf(&tlsv3.Secret{})
)

func kindOf(m proto.Message) protoreflect.FullName { return m.ProtoReflect().Descriptor().FullName() }

// reference is a place where a resource refers to another one.
type reference struct {
	resource, path string
	to             target
}

// collect notes what a message refers to.
func (w *walk) collect(path string, m proto.Message) {
	refer := func(field string, kind protoreflect.FullName, name string) {
		if name != "" {
			w.refers = append(w.refers, reference{w.resource, path + "." + field, target{kind, name}})
		}
	}
	switch m := m.(type) {
	case *hcmv3.Rds:
		refer("route_config_name", routeTable, m.GetRouteConfigName())
	case *clusterv3.Cluster:
		if m.GetType() == clusterv3.Cluster_EDS {
			name := m.GetEdsClusterConfig().GetServiceName()
			if name == "" {
				name = m.GetName()
			}
			refer("eds_cluster_config", endpoints, name)
		}
	case *tlsv3.SdsSecretConfig:
		if m.GetSdsConfig() != nil { // without it the secret is one of the bootstrap
			refer("name", secret, m.GetName())
		}
	case *routev3.RouteAction:
		refer("cluster", cluster, m.GetCluster())
	case *routev3.WeightedCluster_ClusterWeight:
		refer("name", cluster, m.GetName())
	case *routev3.RouteAction_RequestMirrorPolicy:
		refer("cluster", cluster, m.GetCluster())
	case *tcpproxyv3.TcpProxy:
		refer("cluster", cluster, m.GetCluster())
	case *tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight:
		refer("name", cluster, m.GetName())
	case *udpproxyv3.Route:
		refer("cluster", cluster, m.GetCluster())
	case *corev3.GrpcService_EnvoyGrpc:
		refer("cluster_name", cluster, m.GetClusterName())
	case *corev3.HttpUri:
		refer("cluster", cluster, m.GetCluster())
	}
}

// references compares what is referred to with what is published.
func (c *check) references() {
	for _, r := range c.refers {
		c.used[r.to] = true
		if !c.published[r.to] && (r.to.kind != cluster || !slices.Contains(c.snapshot.Absent, r.to.name)) {
			c.findings = append(c.findings, Finding{Dangling, r.resource, r.path, r.to.String() + " is not published"})
		}
	}
	for t := range c.published {
		// A secret that nobody asks for is sent to nobody. The certificate that a Gateway shows to backends is kept for those
		// that may come.
		if t.kind != listener && t.kind != secret && !c.used[t] {
			c.findings = append(c.findings, Finding{Unused, t.String(), "", "nothing refers to it"})
		}
	}
}
