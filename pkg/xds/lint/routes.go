package lint

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
)

// domains: "Domains search order ... Only a single entry can exist for each domain" (RouteConfiguration.virtual_hosts), in
// whatever case.
func (w *walk) domains(path string, t *routev3.RouteConfiguration) {
	owner, names := map[string]string{}, map[string]bool{}
	for _, vh := range t.GetVirtualHosts() {
		if names[vh.GetName()] {
			w.add(DuplicateName, path+".virtual_hosts", "two virtual hosts are named %q", vh.GetName())
		}
		names[vh.GetName()] = true
		for _, domain := range vh.GetDomains() {
			domain = strings.ToLower(domain)
			if other, taken := owner[domain]; taken {
				w.add(DuplicateDomain, path+".virtual_hosts", "%q is a domain of virtual hosts %q and %q", domain, other, vh.GetName())
			}
			owner[domain] = vh.GetName()
		}
	}
}

// unreachable finds routes that never get a request, since routes are tried in order and an earlier one takes all that
// they match. It compares matches, and doesn't reason about expressions: it finds no less than what is written twice or
// stands behind a wider prefix, and never one that can be reached.
func (w *walk) unreachable(path string, vh *routev3.VirtualHost) {
	routes := vh.GetRoutes()
	for later := range routes {
		for earlier := range later {
			if covers(routes[earlier].GetMatch(), routes[later].GetMatch()) {
				w.add(UnreachableRoute, path, "route %q takes all requests of route %q", routes[earlier].GetName(), routes[later].GetName())
				break
			}
		}
	}
}

// covers says that all requests that b matches are matched by a.
func covers(a, b *routev3.RouteMatch) bool {
	if !coversPath(a, b) || a.GetRuntimeFraction() != nil && !always(a.GetRuntimeFraction()) || a.GetGrpc() != nil && b.GetGrpc() == nil {
		return false
	}
	other := proto.CloneOf(a) // conditions, if a has any
	other.PathSpecifier, other.CaseSensitive, other.Headers, other.QueryParameters = nil, nil, nil, nil
	other.Grpc, other.RuntimeFraction = nil, nil
	return proto.Size(other) == 0 && contains(b.GetHeaders(), a.GetHeaders()) && contains(b.GetQueryParameters(), a.GetQueryParameters())
}

// always says that a fraction is all of it.
func always(f *corev3.RuntimeFractionalPercent) bool {
	const hundred = 100
	percent := f.GetDefaultValue()
	denominator := map[string]uint32{"HUNDRED": hundred, "TEN_THOUSAND": hundred * hundred, "MILLION": hundred * hundred * hundred}
	return f.GetRuntimeKey() == "" && percent.GetNumerator() >= denominator[percent.GetDenominator().String()]
}

// contains says that each of some matchers is one of all.
func contains[M proto.Message](all, some []M) bool {
	for _, want := range some {
		found := false
		for _, have := range all {
			found = found || proto.Equal(have, want)
		}
		if !found {
			return false
		}
	}
	return true
}

func coversPath(a, b *routev3.RouteMatch) bool {
	sensitive := func(m *routev3.RouteMatch) bool {
		return m.GetCaseSensitive() == nil || m.GetCaseSensitive().GetValue()
	}
	_, connect := b.GetPathSpecifier().(*routev3.RouteMatch_ConnectMatcher_)
	if all, ok := a.GetPathSpecifier().(*routev3.RouteMatch_Prefix); ok && all.Prefix == "/" && !connect {
		return true
	}
	if sensitive(a) != sensitive(b) {
		return false
	}
	text := func(s string) string { return s }
	if !sensitive(a) {
		text = strings.ToLower
	}
	switch of := a.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Path:
		path, ok := b.GetPathSpecifier().(*routev3.RouteMatch_Path)
		return ok && text(path.Path) == text(of.Path)
	case *routev3.RouteMatch_SafeRegex:
		regex, ok := b.GetPathSpecifier().(*routev3.RouteMatch_SafeRegex)
		return ok && regex.SafeRegex.GetRegex() == of.SafeRegex.GetRegex()
	case *routev3.RouteMatch_Prefix:
		return hasPrefix(b, func(path string) bool { return strings.HasPrefix(text(path), text(of.Prefix)) })
	case *routev3.RouteMatch_PathSeparatedPrefix:
		prefix := text(of.PathSeparatedPrefix)
		if p, ok := b.GetPathSpecifier().(*routev3.RouteMatch_Prefix); ok {
			return strings.HasPrefix(text(p.Prefix), prefix+"/")
		}
		return hasPrefix(b, func(path string) bool { return text(path) == prefix || strings.HasPrefix(text(path), prefix+"/") })
	}
	return false
}

// hasPrefix says that a path, or a prefix of paths, is so.
func hasPrefix(m *routev3.RouteMatch, is func(string) bool) bool {
	switch of := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Path:
		return is(of.Path)
	case *routev3.RouteMatch_Prefix:
		return is(of.Prefix)
	case *routev3.RouteMatch_PathSeparatedPrefix:
		return is(of.PathSeparatedPrefix)
	}
	return false
}
