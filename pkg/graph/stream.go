package graph

import (
	"slices"
	"strings"
)

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
			routes := mostSpecificFirst(domain, oldestFirst(g.streamRoutes[l.key][domain]))
			streams = append(streams, StreamFacts{Key: StreamKey{l.key, domain}, Routes: routes})
		}
	}
	return streams
}

// mostSpecificFirst puts the routes of a stream, which come oldest first, in the order of precedence: "The most specific match
// as defined by the Route type", and of equal ones the oldest (Listener.AllowedRoutes). As for requests, the hostname that
// counts is the route's own, not its intersection with the listener's.
func mostSpecificFirst(domain string, routes []*RouteFacts) []*RouteFacts {
	if domain == "" {
		return routes
	}
	slices.SortStableFunc(routes, func(a, b *RouteFacts) int {
		switch x, y := hostnameFor(a, domain), hostnameFor(b, domain); {
		case moreSpecific(x, y):
			return -1
		case moreSpecific(y, x):
			return 1
		}
		return 0
	})
	return routes
}

// hostnameFor returns the most specific of a route's hostnames that cover a domain. Of several that do, each covers the next.
func hostnameFor(f *RouteFacts, domain string) string {
	best := anyHost
	for _, hostname := range f.route().hostnames() {
		if h := strings.ToLower(string(hostname)); covers(h, domain) && moreSpecific(h, best) {
			best = h
		}
	}
	return best
}
