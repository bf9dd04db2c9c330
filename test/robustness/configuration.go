package robustness

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/client"
)

// The types of resources.
const (
	lds = "type.googleapis.com/envoy.config.listener.v3.Listener"
	rds = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	cds = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	eds = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	sds = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// typeURLs are all of them, in the order in which an Envoy asks for them.
var typeURLs = []string{cds, eds, lds, rds, sds}

// Resource is one that a node has.
type Resource struct {
	Version string
	Message proto.Message
	refers  map[string]map[string]bool // names by type
	stream  int                        // by which it came, of the node's
}

func newResource(version string, encoded *anypb.Any) (Resource, error) {
	message, err := encoded.UnmarshalNew()
	if err != nil {
		return Resource{}, err
	}
	r := Resource{Version: version, Message: message, refers: map[string]map[string]bool{}}
	return r, r.walk()
}

// walk finds the resources that are named anywhere in this one, extensions included.
func (r *Resource) walk() error {
	refer := func(typeURL, name string) {
		if name == "" {
			return
		}
		if r.refers[typeURL] == nil {
			r.refers[typeURL] = map[string]bool{}
		}
		r.refers[typeURL][name] = true
	}
	return protorange.Range(r.Message.ProtoReflect(), func(path protopath.Values) error {
		message, ok := path.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		switch m := message.Interface().(type) {
		case *hcmv3.Rds:
			refer(rds, m.GetRouteConfigName())
		case *clusterv3.Cluster:
			if m.GetType() == clusterv3.Cluster_EDS {
				name := m.GetEdsClusterConfig().GetServiceName()
				if name == "" {
					name = m.GetName()
				}
				refer(eds, name)
			}
		case *tlsv3.SdsSecretConfig:
			if m.GetSdsConfig() != nil {
				refer(sds, m.GetName())
			}
		case *routev3.RouteAction:
			refer(cds, m.GetCluster())
		case *routev3.WeightedCluster_ClusterWeight:
			refer(cds, m.GetName())
		case *routev3.RouteAction_RequestMirrorPolicy:
			refer(cds, m.GetCluster())
		case *tcpv3.TcpProxy:
			refer(cds, m.GetCluster())
		case *tcpv3.TcpProxy_WeightedCluster_ClusterWeight:
			refer(cds, m.GetName())
		}
		return nil
	})
}

// poisoned says whether there is something in a resource that some Envoys reject.
func (r Resource) poisoned() bool {
	routes, ok := r.Message.(*routev3.RouteConfiguration)
	return ok && slices.ContainsFunc(routes.GetVirtualHosts(), func(h *routev3.VirtualHost) bool {
		return slices.ContainsFunc(h.GetDomains(), func(d string) bool { return strings.HasPrefix(d, poison) })
	})
}

// nobody is the cluster that there never is: Envoy answers requests to it with 500, as the specification wants for a backend
// that can't be resolved.
const nobody = "unresolved-backend"

// Configuration is what a node has, by type and name.
type Configuration map[string]map[string]Resource

func newConfiguration() Configuration {
	c := Configuration{}
	for _, typeURL := range typeURLs {
		c[typeURL] = map[string]Resource{}
	}
	return c
}

// wants are the names of a type that resources of others refer to.
func (c Configuration) wants(typeURL string) map[string]bool {
	names := map[string]bool{}
	for _, resources := range c {
		for _, r := range resources {
			maps.Copy(names, r.refers[typeURL])
		}
	}
	return names
}

// dangling are the clusters that listeners and routes lead to and that aren't there, each with who leads to it. Those that came
// by a stream before since don't count.
func (c Configuration) dangling(since int) (wrong []string) {
	for _, typeURL := range []string{lds, rds} {
		for name, r := range c[typeURL] {
			if r.stream < since {
				continue
			}
			for cluster := range r.refers[cds] {
				if cluster == nobody {
					continue
				}
				if _, is := c[cds][cluster]; !is {
					wrong = append(wrong, fmt.Sprintf("%s %q leads to the cluster %q, which isn't there", short(typeURL), name, cluster))
				}
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// from returns the part that the listeners with some names lead to.
func (c Configuration) from(listeners map[string]bool) Configuration {
	part := newConfiguration()
	for name, r := range c[lds] {
		if listeners[name] {
			part[lds][name] = r
		}
	}
	for _, typeURL := range []string{rds, cds, eds, sds} {
		for name := range part.wants(typeURL) {
			if r, is := c[typeURL][name]; is {
				part[typeURL][name] = r
			}
		}
	}
	return part
}

// differs says in what the configuration isn't the same as one that it should be.
func (c Configuration) differs(want Configuration) (differences []string) {
	for _, typeURL := range typeURLs {
		for name, r := range want[typeURL] {
			has, is := c[typeURL][name]
			switch {
			case !is:
				differences = append(differences, fmt.Sprintf("%s %q is missing", short(typeURL), name))
			case !proto.Equal(has.Message, r.Message):
				differences = append(differences, fmt.Sprintf("%s %q is\n%v\nand should be\n%v", short(typeURL), name, has.Message, r.Message))
			}
		}
		for name := range c[typeURL] {
			if _, is := want[typeURL][name]; !is {
				differences = append(differences, fmt.Sprintf("%s %q should not be there", short(typeURL), name))
			}
		}
	}
	slices.Sort(differences)
	return differences
}

// configurationOf is what a client has fetched at once.
func configurationOf(s *client.Snapshot) (Configuration, error) {
	c := newConfiguration()
	for _, part := range []struct {
		typeURL  string
		messages []proto.Message
	}{
		{lds, messages(s.Listeners)}, {rds, messages(s.Routes)}, {cds, messages(s.Clusters)}, {eds, messages(s.Endpoints)}, {sds, messages(s.Secrets)},
	} {
		for _, m := range part.messages {
			r := Resource{Message: m, refers: map[string]map[string]bool{}}
			if err := r.walk(); err != nil {
				return nil, err
			}
			c[part.typeURL][nameOf(m)] = r
		}
	}
	return c, nil
}

func messages[M proto.Message](from []M) (all []proto.Message) {
	for _, m := range from {
		all = append(all, m)
	}
	return all
}

// nameOf is the name in a resource.
func nameOf(m proto.Message) string {
	switch m := m.(type) {
	case interface{ GetName() string }:
		return m.GetName()
	case interface{ GetClusterName() string }:
		return m.GetClusterName()
	}
	return ""
}

// short is the name of a type without its package.
func short(typeURL string) string { return typeURL[strings.LastIndex(typeURL, ".")+1:] }
