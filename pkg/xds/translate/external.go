package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dnscommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// resolveExternal makes a cluster find the endpoints of an XBackend in DNS, as often as the records live. All addresses are
// endpoints, so that sessions can be kept at one, and a try goes elsewhere than the one before.
//
// The name is an absolute one, with a dot at its end: resolvers append the search domains of a Pod to others, so that
// web.infra.example.com could turn out to be a Service. The Host of a request stays what the client sent, unless a URLRewrite filter
// says otherwise.
func resolveExternal(out *clusterv3.Cluster, port *graph.BackendPortFacts) {
	out.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.cluster.dns",
		TypedConfig: packed(&dnsclusterv3.DnsCluster{
			RespectDnsTtl: true,
			// Addresses of the other family, too, could be ones that there is no way to.
			DnsLookupFamily: dnscommonv3.DnsLookupFamily_V4_PREFERRED,
		}),
	}}
	out.LoadAssignment = &endpointv3.ClusterLoadAssignment{
		ClusterName: out.Name,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: socketAddress(port.Hostname+".", port.Key.Port), Hostname: port.Hostname,
			}},
		}}}},
	}
}

// streamProtocols are the application protocols that are asked for with a stream: "In cases where the protocol is negotiated on
// the wire (e.g. HTTP/1.1 Upgrade or ALPN), implementations MUST include the protocol set here" (XBackend's protocol).
func streamProtocols(port *graph.BackendPortFacts) []string {
	if port.Protocol == "" || port.Protocol == gwxv1alpha1.BackendProtocolTCP {
		return nil
	}
	return []string{httpProtocol(port.HTTP2)}
}

// BackendSecret returns the certificate that an XBackend is shown; nil if it is shown none. All clusters of it share it.
func BackendSecret(port *graph.BackendPortFacts) *tlsv3.Secret {
	if port.TLS == nil || port.TLS.ClientCertificate == nil {
		return nil
	}
	secret := certificateSecret(*port.TLS.ClientCertificate)
	secret.Name = backendSecretName(port.Key)
	return secret
}
