package lint

import (
	"cmp"
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

// Rule names what a finding is against.
type Rule string

const (
	// Invalid: Envoy refuses a value: by the rules that its API states (PGV), the limits of lengths among them, or when it makes
	// something of it.
	Invalid Rule = "invalid"
	// Ignored: Envoy takes a value, and nothing follows from it.
	Ignored Rule = "ignored"
	// UnknownType: an Any holds a message of a type that is not known, or that can't be decoded.
	UnknownType Rule = "unknown-type"
	// Deprecated: a field or an enum value that Envoy's API marks as such.
	Deprecated Rule = "deprecated"
	// BadRegex: an expression that isn't RE2.
	BadRegex Rule = "bad-regex"
	// TwoRewrites: more than one of prefix_rewrite, regex_rewrite and path_rewrite_policy, of which Envoy takes one.
	TwoRewrites Rule = "two-rewrites"
	// DuplicateName: two resources of a type, two virtual hosts of a table or two filter chains of a listener have the same
	// name.
	DuplicateName Rule = "duplicate-name"
	// DuplicateDomain: a domain stands in a RouteConfiguration more than once, which Envoy refuses.
	DuplicateDomain Rule = "duplicate-domain"
	// DuplicateMatch: a connection would match two filter chains of a listener, or one of them twice, by the same criteria, which
	// Envoy refuses.
	DuplicateMatch Rule = "duplicate-match"
	// DuplicateAddress: two listeners bind the same address.
	DuplicateAddress Rule = "duplicate-address"
	// UnreachableRoute: an earlier route takes all requests that a route is for.
	UnreachableRoute Rule = "unreachable-route"
	// Dangling: a resource that is referred to isn't published.
	Dangling Rule = "dangling"
	// Unused: a resource other than a listener or a secret is published that nothing refers to.
	Unused Rule = "unused"
)

// Finding is something wrong.
type Finding struct {
	Rule Rule
	// Resource is what it was found in, as "Listener default/gateway:80".
	Resource string
	// Path leads to the field, such as ".virtual_hosts[0].routes[3]"; empty for the resource as a whole.
	Path string
	// Detail says what is wrong there.
	Detail string
}

// String returns all of it in a line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s%s: %s", f.Rule, f.Resource, f.Path, f.Detail)
}

// Snapshot is all that a node is served.
type Snapshot struct {
	Listeners []*listenerv3.Listener
	Routes    []*routev3.RouteConfiguration
	Clusters  []*clusterv3.Cluster
	Endpoints []*endpointv3.ClusterLoadAssignment
	Secrets   []*tlsv3.Secret
	// Absent are clusters that are referred to because they don't exist: what is sent to them fails.
	Absent []string
}

// Check returns what is wrong, by resource in the order of xDS (listeners, routes, clusters, endpoints, secrets) and by rule.
func (s *Snapshot) Check() []Finding {
	c := &check{snapshot: s, published: map[target]bool{}, used: map[target]bool{}, filters: map[string]map[string]bool{}}
	each(c, s.Listeners)
	each(c, s.Routes)
	each(c, s.Clusters)
	for _, e := range s.Endpoints {
		c.resource(e, e.GetClusterName())
	}
	each(c, s.Secrets)
	c.addresses()
	c.references()
	c.filterConfigs()
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(c.order(a), c.order(b)), cmp.Compare(a.Rule, b.Rule))
	})
	return c.findings
}

// check is a snapshot while it is looked at.
type check struct {
	snapshot *Snapshot
	findings []Finding
	// resources are those seen so far, in order.
	resources []string
	published map[target]bool
	used      map[target]bool
	refers    []reference
	// filters are the names of the HTTP filters of all connection managers that use a RouteConfiguration, by its name.
	filters map[string]map[string]bool
	configs []filterConfig
}

// order is the place of a finding's resource.
func (c *check) order(f Finding) int { return slices.Index(c.resources, f.Resource) }

func each[M interface {
	proto.Message
	GetName() string
}](c *check, all []M) {
	for _, m := range all {
		c.resource(m, m.GetName())
	}
}

// resource looks at a resource by itself, and collects what it refers to.
func (c *check) resource(m proto.Message, name string) {
	t := target{m.ProtoReflect().Descriptor().FullName(), name}
	w := &walk{check: c, resource: t.String()}
	c.resources = append(c.resources, w.resource)
	if c.published[t] {
		w.add(DuplicateName, "", "another %s has this name", t.kind.Name())
	}
	c.published[t] = true
	switch m := m.(type) {
	case *listenerv3.Listener:
		w.proxyless = m.GetApiListener() != nil
	case *routev3.RouteConfiguration:
		w.table = name
	}
	w.message(m)
}
