package graph

import "slices"

// streamsOf returns the streams of listeners that are served. A TLS listener has one for its own hostname, which keeps the
// connections for it from less specific listeners, be there a route or not.
func (g *Graph) streamsOf(served []servedListener) []StreamFacts {
	var streams []StreamFacts
	for i := range served {
		l := &served[i]
		if l.http {
			continue
		}
		own := ""
		if l.layer == behindTLS {
			own = l.domain
		}
		domains := []string{own}
		for domain := range g.streamRoutes[l.key] {
			if domain != own {
				domains = append(domains, domain)
			}
		}
		slices.Sort(domains)
		for _, domain := range domains {
			streams = append(streams, StreamFacts{Key: StreamKey{l.key, domain}, Routes: oldestFirst(g.streamRoutes[l.key][domain])})
		}
	}
	return streams
}
