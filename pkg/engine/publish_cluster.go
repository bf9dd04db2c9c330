package engine

import (
	"slices"

	resource "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// need counts a use of each of the clusters in s.
func (p *publisher) need(g *graph.Graph, s *scope, clusters []translate.ClusterKey) {
	for _, key := range clusters {
		s.needs[key]++
		if s.needs[key] > 1 {
			continue
		}
		s.clusters[key] = true
		if p.users[key] == nil {
			p.users[key] = map[*scope]bool{}
			if p.ports[key.BackendKey] == nil {
				p.ports[key.BackendKey] = map[translate.ClusterKey]bool{}
			}
			p.ports[key.BackendKey][key] = true
			p.encodeBackend(g, key.BackendKey)
		}
		p.users[key][s] = true
	}
}

// release is the reverse of need.
func (p *publisher) release(s *scope, clusters []translate.ClusterKey) {
	for _, key := range clusters {
		s.needs[key]--
		if s.needs[key] > 0 {
			continue
		}
		delete(s.needs, key)
		s.clusters[key] = true
		delete(p.users[key], s)
		if len(p.users[key]) == 0 {
			delete(p.users, key)
			delete(p.clusters, key)
			delete(p.ports[key.BackendKey], key)
		}
		if len(p.ports[key.BackendKey]) == 0 {
			delete(p.ports, key.BackendKey)
			delete(p.shared, key.BackendKey)
		}
	}
}

// backend translates a port anew, if a cluster of it is in use, and returns the scopes that use it.
func (p *publisher) backend(g *graph.Graph, port graph.BackendKey) []*scope {
	if len(p.ports[port]) == 0 {
		return nil
	}
	p.encodeBackend(g, port)
	var touched []*scope
	for key := range p.ports[port] {
		for s := range p.users[key] {
			s.clusters[key] = true
			touched = append(touched, s)
		}
	}
	return touched
}

// encodeBackend encodes the clusters in use of a port and what they share. The port exists: what used one that is gone was
// dirty too, and has released it by now.
func (p *publisher) encodeBackend(g *graph.Graph, port graph.BackendKey) {
	facts := g.BackendPort(port)
	for key := range p.ports[port] {
		p.clusters[key] = encode(resource.ClusterType, key.String(), translate.Cluster(key, facts))
	}
	p.shared[port] = encodeShared(facts)
}

// encodeShared encodes what all clusters of a port share: endpoints, unless Envoy finds them itself, and what these are shown.
func encodeShared(port *graph.BackendPortFacts) []*cache.Resource {
	var shared []*cache.Resource
	if endpoints := translate.ClusterLoadAssignment(port); endpoints != nil {
		shared = append(shared, encode(resource.EndpointType, endpoints.GetClusterName(), endpoints))
	}
	if secret := translate.BackendSecret(port); secret != nil {
		shared = append(shared, encode(resource.SecretType, secret.GetName(), secret))
	}
	return shared
}

// assembleShared adds to the update of s what the clusters of a port share, if it needs any, and withdraws what they don't any
// more.
func (p *publisher) assembleShared(s *scope, port graph.BackendKey) {
	before := s.shared[port]
	delete(s.shared, port)
	if p.needsPort(s, port) {
		for _, r := range p.shared[port] {
			s.update.Set = append(s.update.Set, r)
			s.shared[port] = append(s.shared[port], cache.Name{TypeURL: r.TypeURL(), Name: r.Name()})
		}
	}
	for _, name := range before {
		if !slices.Contains(s.shared[port], name) {
			s.update.Delete = append(s.update.Delete, name)
		}
	}
}

// needsPort says that s needs a cluster of a port, whatever its protocol.
func (p *publisher) needsPort(s *scope, port graph.BackendKey) bool {
	for key := range p.ports[port] {
		if s.needs[key] > 0 {
			return true
		}
	}
	return false
}
