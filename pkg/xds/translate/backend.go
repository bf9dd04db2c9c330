package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// backendSplit is how a rule's requests are shared among its backends.
type backendSplit struct {
	valid      []backend // those that get requests
	weight     uint32    // of all valid
	invalid    uint32    // the weight of the backends that are invalid, whose share fails
	ownEffects bool      // a valid backend has filters of its own that do something
}

func split(r *rule) backendSplit {
	var s backendSplit
	for _, b := range r.backends {
		switch {
		case b.Weight == 0:
		case b.fails():
			s.invalid += uint32(b.Weight)
		default:
			s.valid = append(s.valid, b)
			s.weight += uint32(b.Weight)
			s.ownEffects = s.ownEffects || !b.effects.empty()
		}
	}
	return s
}

// only returns the backend that every request goes to, or nil if there is none.
func (s backendSplit) only() *backend {
	if len(s.valid) == 1 && s.invalid == 0 {
		return &s.valid[0]
	}
	return nil
}

// connector is what of a route and its Gateway decides how a backend is connected to.
type connector struct {
	grpc              bool // needs HTTP/2, said or not
	stream            bool // isn't known to be HTTP
	passthrough       bool // is a stream in TLS already
	clientCertificate types.NamespacedName
}

// cluster returns the cluster by which a backend is reached.
func (by connector) cluster(b *graph.BackendFacts) ClusterKey {
	key := ClusterKey{BackendKey: b.Backend, Stream: by.stream, HTTP2: by.grpc && !b.HTTP2}
	switch {
	case by.passthrough && b.TLS:
		key.Passthrough = true
	case b.TLS && b.Backend.Kind == graph.KindService:
		key.ClientCertificate = by.clientCertificate
	}
	return key
}

// weighted makes an action forward to the backends.
func (s backendSplit) weighted(action *routev3.RouteAction, by connector, clusters clusterSet) {
	if b := s.only(); b != nil {
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: clusters.use(by.cluster(b.BackendFacts))}
		return
	}
	s.setWeights(action, by, clusters)
}

// setWeights makes an action forward to the valid backends, in their order, by weight. "If multiple backends are
// specified, and some are invalid, the proportion of requests that would otherwise have been routed to an invalid
// backend MUST receive a 500 status code": their share goes to a cluster that doesn't exist.
func (s backendSplit) setWeights(action *routev3.RouteAction, by connector, clusters clusterSet) []*routev3.WeightedCluster_ClusterWeight {
	var weights []*routev3.WeightedCluster_ClusterWeight
	for _, b := range s.valid {
		weights = append(weights, clusterWeight(clusters.use(by.cluster(b.BackendFacts)), uint32(b.Weight)))
	}
	if s.invalid > 0 {
		weights = append(weights, clusterWeight(UnresolvedCluster, s.invalid))
		if !by.grpc { // else 503, Envoy's default, is right: see failureStatus
			action.ClusterNotFoundResponseCode = routev3.RouteAction_INTERNAL_SERVER_ERROR
		}
	}
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{Clusters: weights}}
	return weights
}

func clusterWeight(name string, weight uint32) *routev3.WeightedCluster_ClusterWeight {
	return &routev3.WeightedCluster_ClusterWeight{Name: name, Weight: wrapperspb.UInt32(weight)}
}
