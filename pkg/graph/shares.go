package graph

// Envoy shares out connections among clusters by weight, but not packets: its UDP proxy knows no weighted clusters. So what a
// UDPRoute sends to, taken together, is a backend too, with the endpoints of all.

// ShareFacts is a backend of a UDPRoute and its weight, which is above 0.
type ShareFacts struct {
	Weight uint32
	// Port is the port of the backend; nil if the backend is invalid, so that its share is dropped.
	Port *BackendPortFacts
}

// UDPRouteBackend is the key of all backends of a UDPRoute, taken together.
func UDPRouteBackend(route Key) BackendKey { return BackendKey{Key: route, UDP: true} }

// udpRouteBackend returns the backends of a UDPRoute, taken together, or nil if there is no such route.
func (g *Graph) udpRouteBackend(key BackendKey) *BackendPortFacts {
	node := g.routes[key.Key]
	if node == nil || len(node.facts.Rules) == 0 {
		return nil
	}
	f := &BackendPortFacts{Key: key}
	for i := range node.facts.Rules[0].Backends {
		b := &node.facts.Rules[0].Backends[i]
		if b.Weight == 0 {
			continue
		}
		share := ShareFacts{Weight: uint32(b.Weight)}
		if b.Problem == nil {
			share.Port = g.BackendPort(b.Backend)
		}
		f.Shares = append(f.Shares, share)
	}
	return f
}

// udpPortChanged marks the UDPRoutes that send to a port.
func (g *Graph) udpPortChanged(key BackendKey, d *Dirty) {
	if !key.UDP {
		return
	}
	for n := range g.routesByBackend[key.Key] {
		if n.facts.UDP != nil {
			d.backend(UDPRouteBackend(n.facts.Key))
		}
	}
}
