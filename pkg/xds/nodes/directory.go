package nodes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Fleet is what matters to nodes of an EnvoyFleet. It is not written to after it has been published.
type Fleet struct {
	// Selectors select the nodes that belong to the fleet. Without any, those belong to it that name it or its Gateways.
	Selectors []Selector
	// Merged says that the Gateways are served in the scope of the fleet, and not each in its own.
	Merged bool
	// Gateways are those of the fleet, as "namespace/name", sorted.
	Gateways []string
}

// Selector selects nodes of which all that is set in it is true.
type Selector struct {
	// ID and Cluster are what the node has, or if they end with "*", what that starts with; nil if anything will do.
	ID, Cluster *string
	// Metadata are entries of the node's metadata.
	Metadata map[string]string
}

// Directory knows the fleets. The zero value knows none. It is safe for concurrent use.
type Directory struct {
	mu     sync.RWMutex
	fleets map[string]*Fleet
	fleet  map[string]string // by Gateway

	followers sync.Mutex
	follow    map[*func()]struct{}
}

// Publish changes fleets, which are given by "namespace/name"; nil stands for one that is gone. It returns when all who follow
// the directory have been told.
func (d *Directory) Publish(changes map[string]*Fleet) {
	if len(changes) == 0 {
		return
	}
	d.apply(changes)
	d.followers.Lock()
	defer d.followers.Unlock()
	for changed := range d.follow {
		(*changed)()
	}
}

func (d *Directory) apply(changes map[string]*Fleet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fleets == nil {
		d.fleets, d.fleet = map[string]*Fleet{}, map[string]string{}
	}
	for name := range changes {
		if old := d.fleets[name]; old != nil {
			for _, gateway := range old.Gateways {
				delete(d.fleet, gateway)
			}
			delete(d.fleets, name)
		}
	}
	for name, fleet := range changes {
		if fleet == nil {
			continue
		}
		d.fleets[name] = fleet
		for _, gateway := range fleet.Gateways {
			d.fleet[gateway] = name
		}
	}
}

// Follow has changed called after each change, one call at a time, until stop is called. changed must not call Publish.
func (d *Directory) Follow(changed func()) (stop func()) {
	d.followers.Lock()
	defer d.followers.Unlock()
	if d.follow == nil {
		d.follow = map[*func()]struct{}{}
	}
	d.follow[&changed] = struct{}{}
	return func() {
		d.followers.Lock()
		defer d.followers.Unlock()
		delete(d.follow, &changed)
	}
}

// FleetOf returns the EnvoyFleet of a Gateway, both as "namespace/name", or "" if it has none.
func (d *Directory) FleetOf(gateway string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.fleet[gateway]
}

// Scope returns the scope that a node gets, which need not have been published. The error is for the node: it says what is
// wrong with it, or what it has to say.
func (d *Directory) Scope(node *corev3.Node) (string, error) {
	key, name, err := named(node)
	if err != nil {
		return "", err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	switch key {
	case GatewayKey:
		return d.ofGateway(node, name)
	case FleetKey:
		return d.ofFleet(node, name)
	case SidecarKey:
		return ConsumerScope(SidecarScope, name), nil
	case NamespaceKey:
		return ConsumerScope(MeshScope, name), nil
	}
	return d.selected(node)
}

// ofGateway returns the scope of a Gateway, for a node that names it. One that isn't there may come yet.
func (d *Directory) ofGateway(node *corev3.Node, gateway string) (string, error) {
	name, has := d.fleet[gateway]
	if !has {
		return GatewayScope(gateway), nil
	}
	fleet := d.fleets[name]
	if !fleet.admits(node) {
		return "", fmt.Errorf("node.metadata[%q]: Gateway %s is served by the nodes of EnvoyFleet %s, of whose spec.nodes none matches this node", GatewayKey, gateway, name)
	}
	if fleet.Merged {
		return FleetScope(name), nil
	}
	return GatewayScope(gateway), nil
}

// ofFleet returns the scope of a merged fleet, for a node that names it. One that isn't there may come yet.
func (d *Directory) ofFleet(node *corev3.Node, name string) (string, error) {
	fleet := d.fleets[name]
	switch {
	case fleet == nil:
		return FleetScope(name), nil
	case !fleet.admits(node):
		return "", fmt.Errorf("node.metadata[%q]: of the spec.nodes of EnvoyFleet %s, none matches this node", FleetKey, name)
	case !fleet.Merged:
		return "", fmt.Errorf("node.metadata[%q]: EnvoyFleet %s doesn't merge its Gateways (spec.mergeGateways); name one of them in node.metadata[%q]",
			FleetKey, name, GatewayKey)
	}
	return FleetScope(name), nil
}

// selected returns the scope of a node that names nothing.
func (d *Directory) selected(node *corev3.Node) (string, error) {
	var matching, scopes []string
	for _, name := range slices.Sorted(maps.Keys(d.fleets)) {
		fleet := d.fleets[name]
		if !fleet.selects(node) {
			continue
		}
		matching = append(matching, name)
		if fleet.Merged {
			scopes = append(scopes, FleetScope(name))
			continue
		}
		for _, gateway := range fleet.Gateways {
			scopes = append(scopes, GatewayScope(gateway))
		}
	}
	switch {
	case len(matching) == 0:
		return MeshScope, nil
	case len(scopes) == 0:
		return FleetScope(matching[0]), nil // which waits for the first Gateway
	case len(scopes) == 1:
		return scopes[0], nil
	case len(matching) == 1:
		return "", fmt.Errorf("this node belongs to EnvoyFleet %s, which has %d Gateways: name the one that it serves in node.metadata[%q]",
			matching[0], len(scopes), GatewayKey)
	}
	return "", fmt.Errorf("this node belongs to the EnvoyFleets %s: name the Gateway that it serves in node.metadata[%q], or a fleet that merges its Gateways in node.metadata[%q]",
		strings.Join(matching, ", "), GatewayKey, FleetKey)
}

// admits says whether a node may have what it names.
func (f *Fleet) admits(node *corev3.Node) bool { return len(f.Selectors) == 0 || f.selects(node) }

func (f *Fleet) selects(node *corev3.Node) bool {
	return slices.ContainsFunc(f.Selectors, func(s Selector) bool { return s.matches(node) })
}

func (s Selector) matches(node *corev3.Node) bool {
	if !matches(s.ID, node.GetId()) || !matches(s.Cluster, node.GetCluster()) {
		return false
	}
	for key, want := range s.Metadata {
		if value := node.GetMetadata().GetFields()[key]; !isString(value) || value.GetStringValue() != want {
			return false
		}
	}
	return true
}

func matches(pattern *string, value string) bool {
	if pattern == nil {
		return true
	}
	if start, isPrefix := strings.CutSuffix(*pattern, "*"); isPrefix {
		return strings.HasPrefix(value, start)
	}
	return *pattern == value
}

func isString(value *structpb.Value) bool {
	_, ok := value.GetKind().(*structpb.Value_StringValue)
	return ok
}
