package translate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// precedence is what decides which of several matches of a request wins. More is better, field by field in order.
type precedence struct {
	grpc int // GRPCRoutes first: they take only gRPC requests, and a gRPC request is meant for them

	// "Precedence must be given to rules from the HTTPRoute with the largest number of characters in a matching
	// non-wildcard hostname, characters in a matching hostname."
	exactHostname, hostname int

	// "Exact" path match. RegularExpression, which the specification leaves to us, comes after Exact and before
	// PathPrefix, the longest expression first: a prefix of "/" would hide it otherwise.
	pathType int
	// "Prefix" path match with largest number of characters. GRPCRoute: characters in a matching service.
	path int
	// Method match. GRPCRoute: characters in a matching method.
	method int
	// Largest number of header matches.
	headers int
	// Largest number of query param matches.
	query int
}

const (
	pathTypePrefix = iota
	pathTypeRegex
	pathTypeExact
)

func httpPrecedence(m *match) precedence {
	p := precedence{path: len(m.path.value), headers: len(m.headers), query: len(m.query)}
	switch m.path.form {
	case pathExact:
		p.pathType = pathTypeExact
	case pathRegex:
		p.pathType = pathTypeRegex
	}
	if m.method != "" {
		p.method = 1
	}
	return p
}

// grpcPrecedence ranks regular expressions by the rule of httpPrecedence: after Exact, before what matches every request.
func grpcPrecedence(spec *gwv1.GRPCMethodMatch, m *match) precedence {
	p := precedence{grpc: 1, headers: len(m.headers)}
	if spec == nil || deref(spec.Service, "") == "" && deref(spec.Method, "") == "" {
		return p // it matches every request
	}
	p.path, p.method = len(deref(spec.Service, "")), len(deref(spec.Method, ""))
	p.pathType = pathTypeExact
	if isGRPCRegex(spec) {
		p.pathType = pathTypeRegex
	}
	return p
}

func (p precedence) compare(q precedence) int {
	return cmp.Or(
		cmp.Compare(q.grpc, p.grpc),
		cmp.Compare(q.exactHostname, p.exactHostname),
		cmp.Compare(q.hostname, p.hostname),
		cmp.Compare(q.pathType, p.pathType),
		cmp.Compare(q.path, p.path),
		cmp.Compare(q.method, p.method),
		cmp.Compare(q.headers, p.headers),
		cmp.Compare(q.query, p.query),
	)
}

// candidate is a match of a rule, which becomes an Envoy route.
type candidate struct {
	*rule
	match      *match
	name       string
	precedence precedence
}

// candidates returns the matches of all rules that get requests, in the order in which Envoy and gRPC clients are to try them, for both take
// the first that holds. The routes come oldest first, and then by name: as the sort is stable, that decides ties, and
// then the order of rules and matches, as the specification has it.
//
// The domain is that of the virtual host; empty if routes apply whatever their hostnames are.
func candidates(routes []*graph.RouteFacts, domain string) []candidate {
	var out []candidate
	for _, route := range routes {
		exact, length := hostnameMatch(route, domain)
		for _, r := range rulesOf(route) {
			for i := range r.matches {
				m := &r.matches[i]
				c := candidate{rule: r, match: m, name: r.name + "/match/" + strconv.Itoa(i), precedence: m.precedence}
				c.precedence.exactHostname, c.precedence.hostname = exact, length
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b candidate) int { return a.precedence.compare(b.precedence) })
	return reachable(out)
}

// hostnameMatch returns the number of characters of the route's hostname that covers a domain best: those of a hostname
// without wildcard, and those of any. The hostname is the route's own, not its intersection with the listener's
// (feature GatewayRouteHostnameIntersectionPrecedence).
func hostnameMatch(route *graph.RouteFacts, domain string) (exact, length int) {
	var hostnames []gwv1.Hostname
	if route.HTTP != nil {
		hostnames = route.HTTP.Spec.Hostnames
	} else {
		hostnames = route.GRPC.Spec.Hostnames
	}
	for _, h := range hostnames {
		switch hostname := strings.ToLower(string(h)); {
		case hostname == domain && !strings.HasPrefix(hostname, "*"):
			return len(hostname), len(hostname)
		case hostname == domain, strings.HasPrefix(hostname, "*.") && strings.HasSuffix(domain, hostname[1:]):
			length = max(length, len(hostname))
		}
	}
	return 0, length
}
