package server

import (
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// register registers the aggregated service, which keeps the order between types, and the services of single types.
func (s *Server) register() {
	r := streaming{s.grpc}
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(r, aggregated{Server: s})
	clusterservice.RegisterClusterDiscoveryServiceServer(r, clusters{Server: s})
	endpointservice.RegisterEndpointDiscoveryServiceServer(r, endpoints{Server: s})
	secretservice.RegisterSecretDiscoveryServiceServer(r, secrets{Server: s})
	listenerservice.RegisterListenerDiscoveryServiceServer(r, listeners{Server: s})
	routeservice.RegisterRouteDiscoveryServiceServer(r, routes{Server: s})
}

// streaming registers the streaming methods of services. The unary ones, Fetch, would read a request of any size before anybody
// is asked who the client is. So they are unknown, as any other method is, and end in unimplemented.
type streaming struct{ server *grpc.Server }

// RegisterService implements grpc.ServiceRegistrar.
func (r streaming) RegisterService(desc *grpc.ServiceDesc, impl any) {
	streams := *desc
	streams.Methods = nil
	r.server.RegisterService(&streams, impl)
}

// unimplemented answers methods that are not served. Like all others, it is called for authenticated clients.
func unimplemented(_ any, str grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(str)
	return status.Errorf(codes.Unimplemented, "%s is not served: use a streaming method", Printable(method, 256))
}

type aggregated struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	*Server
}

func (s aggregated) DeltaAggregatedResources(str discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.serveDelta(str, resource.AnyType)
}

func (s aggregated) StreamAggregatedResources(str discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.serveState(str, resource.AnyType)
}

type clusters struct {
	clusterservice.UnimplementedClusterDiscoveryServiceServer
	*Server
}

func (s clusters) DeltaClusters(str clusterservice.ClusterDiscoveryService_DeltaClustersServer) error {
	return s.serveDelta(str, resource.ClusterType)
}

func (s clusters) StreamClusters(str clusterservice.ClusterDiscoveryService_StreamClustersServer) error {
	return s.serveState(str, resource.ClusterType)
}

type endpoints struct {
	endpointservice.UnimplementedEndpointDiscoveryServiceServer
	*Server
}

func (s endpoints) DeltaEndpoints(str endpointservice.EndpointDiscoveryService_DeltaEndpointsServer) error {
	return s.serveDelta(str, resource.EndpointType)
}

func (s endpoints) StreamEndpoints(str endpointservice.EndpointDiscoveryService_StreamEndpointsServer) error {
	return s.serveState(str, resource.EndpointType)
}

type secrets struct {
	secretservice.UnimplementedSecretDiscoveryServiceServer
	*Server
}

func (s secrets) DeltaSecrets(str secretservice.SecretDiscoveryService_DeltaSecretsServer) error {
	return s.serveDelta(str, resource.SecretType)
}

func (s secrets) StreamSecrets(str secretservice.SecretDiscoveryService_StreamSecretsServer) error {
	return s.serveState(str, resource.SecretType)
}

type listeners struct {
	listenerservice.UnimplementedListenerDiscoveryServiceServer
	*Server
}

func (s listeners) DeltaListeners(str listenerservice.ListenerDiscoveryService_DeltaListenersServer) error {
	return s.serveDelta(str, resource.ListenerType)
}

func (s listeners) StreamListeners(str listenerservice.ListenerDiscoveryService_StreamListenersServer) error {
	return s.serveState(str, resource.ListenerType)
}

type routes struct {
	routeservice.UnimplementedRouteDiscoveryServiceServer
	*Server
}

func (s routes) DeltaRoutes(str routeservice.RouteDiscoveryService_DeltaRoutesServer) error {
	return s.serveDelta(str, resource.RouteType)
}

func (s routes) StreamRoutes(str routeservice.RouteDiscoveryService_StreamRoutesServer) error {
	return s.serveState(str, resource.RouteType)
}
