package router

import (
	"net/http"
	"time"
)

// Match is the route that a request takes. Exactly one of Forward, Redirect and Direct is set.
type Match struct {
	VirtualHost string // its name
	Route       string // its name

	Forward  *Forward
	Redirect *Redirect
	Direct   *Direct

	route   *route
	cluster *weightedCluster // that was chosen; nil if Forward is
}

// Forward sends a request to a cluster.
type Forward struct {
	Cluster           string          // chosen by weight already
	NotFoundStatus    int             // the response if there is no such cluster
	Timeout           time.Duration   // from the end of the request to the end of the response, with all tries; 0: none
	IdleTimeout       *time.Duration  // in place of the connection manager's stream_idle_timeout; 0: none
	MaxStreamDuration time.Duration   // from the stream's first to its last byte; 0: none
	Retry             *Retry          // nil: the request is tried once, for as long as it takes
	Upgrades          map[string]bool // upgrade type, in lower case -> enabled; overrides the connection manager's upgrade_configs
	Mirrors           []string        // clusters that get a copy of the request as RewriteRequest leaves it: those drawn for this one
}

func (r *route) take(request *Request) *Match {
	m := &Match{VirtualHost: r.vh.name, Route: r.name, Direct: r.direct, route: r}
	switch {
	case r.forward != nil:
		m.Forward, m.cluster = r.forward.choose(request.Random)
	case r.redirect != nil:
		m.Redirect = &Redirect{Status: r.redirect.status, action: r.redirect}
	}
	return m
}

// FilterConfig returns what the FilterParser made of a filter's typed_per_filter_config; the most specific wins: that of the
// cluster in weighted_clusters, of the route, of the virtual host, of the route configuration. It is nil if there is none.
func (m *Match) FilterConfig(filter string) any {
	for _, l := range m.levels() {
		if config := l.filters[filter].config; config != nil {
			return config
		}
	}
	return nil
}

// FilterDisabled says whether a filter is skipped for the request. byDefault is what the connection manager says
// (HttpFilter.disabled): a typed_per_filter_config turns a filter on, one with FilterConfig.disabled turns it off, and the most
// specific wins.
func (m *Match) FilterDisabled(filter string, byDefault bool) bool {
	for _, l := range m.levels() {
		if config, ok := l.filters[filter]; ok {
			return config.disabled
		}
	}
	return byDefault
}

// levels returns all levels of the configuration that the request came to, the most specific first.
func (m *Match) levels() []*level { return m.with(m.route.levels) }

// mutations returns them in the order of their header mutations. Those of the cluster are first, whatever
// most_specific_header_mutations_wins says of the others.
func (m *Match) mutations() []*level { return m.with(m.route.mutations) }

func (m *Match) with(levels []*level) []*level {
	if m.cluster == nil || m.cluster.level == nil {
		return levels
	}
	return append([]*level{m.cluster.level}, levels...)
}

// RewriteRequest does to a request what is done before it is sent to the cluster: header mutations, then the rewrites of its host
// and path. With keepOriginal (the router filter without suppress_envoy_headers), x-envoy-original-host and -path keep what was
// rewritten. It changes r and r.Header in place: clone them before if the request as it came is still needed. It is only for
// Forward.
func (m *Match) RewriteRequest(r *Request, keepOriginal bool) {
	for _, l := range m.mutations() {
		l.request.apply(r.Header)
	}
	if m.cluster.host != "" {
		r.Authority = m.cluster.host
	}
	m.route.forward.rewrite.apply(r, m.route.match.path, keepOriginal)
}

// MutateResponse does the response header mutations. They are for every response on the route, whoever makes it: the cluster, a
// redirect (after its Location) or direct response, or a filter on a route that forwards.
func (m *Match) MutateResponse(h http.Header) {
	for _, l := range m.mutations() {
		l.response.apply(h)
	}
}
