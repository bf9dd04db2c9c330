package graph

import (
	"maps"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// An EnvoyFleet is what parametersRef refers to: the only kind of parameters there is.

type fleetNode struct {
	object  *fleetv1alpha1.EnvoyFleet
	invalid *Problem
	// untraced is why no spans are sent that are to be sent.
	untraced *Problem
	// forGateways is what its Gateways are told of it; nil if it is invalid.
	forGateways *EnvoyFleetFacts
	pool        pool
	pooled      map[types.NamespacedName]addresses // what each Gateway has of the pool
}

func fleetKey(name types.NamespacedName) Key {
	return Key{Kind: KindEnvoyFleet, Namespace: name.Namespace, Name: name.Name}
}

// EnvoyFleet returns what is true of an EnvoyFleet, or nil if there is no such EnvoyFleet.
func (g *Graph) EnvoyFleet(name types.NamespacedName) *EnvoyFleetFacts {
	node := g.fleets[name]
	if node == nil {
		return nil
	}
	return g.fleetFacts(node)
}

// PreviewEnvoyFleet returns what would be true of fleet if it were written now. Nothing changes.
func (g *Graph) PreviewEnvoyFleet(fleet *fleetv1alpha1.EnvoyFleet) *EnvoyFleetFacts {
	return g.fleetFacts(g.evalFleet(fleet))
}

func (g *Graph) fleetFacts(node *fleetNode) *EnvoyFleetFacts {
	f := &EnvoyFleetFacts{
		Object:     node.object,
		Unaccepted: firstProblem(node.invalid, node.untraced),
		Gateways:   int32(len(g.gatewaysByFleet[namespacedName(node.object)])),
		Warnings:   append(g.fleetWarnings(node.object), g.tracingWarnings(node.object)...),
	}
	if node.forGateways != nil {
		f.Collector = node.forGateways.Collector
	}
	return f
}

// FleetNodes returns which nodes are those of an EnvoyFleet, or nil if there is no such EnvoyFleet.
func (g *Graph) FleetNodes(name types.NamespacedName) *FleetNodesFacts {
	node := g.fleets[name]
	if node == nil {
		return nil
	}
	return &FleetNodesFacts{
		Selectors: node.object.Spec.Nodes,
		Merged:    node.object.Spec.MergeGateways,
		Gateways:  slices.SortedFunc(maps.Keys(g.gatewaysByFleet[name]), compareNames),
	}
}

// evalFleet finds what is true of an EnvoyFleet whatever Gateways there are.
func (g *Graph) evalFleet(fleet *fleetv1alpha1.EnvoyFleet) *fleetNode {
	node := &fleetNode{object: fleet, invalid: invalidFleet(fleet)}
	var collector *BackendFacts
	collector, node.untraced = g.collector(fleet)
	if node.invalid != nil {
		return node
	}
	node.pool = poolOf(fleet)
	node.forGateways = &EnvoyFleetFacts{
		Object: &fleetv1alpha1.EnvoyFleet{ // what else there is of it may change, and is nothing to Gateways
			ObjectMeta: metav1.ObjectMeta{Namespace: fleet.Namespace, Name: fleet.Name},
			Spec:       fleet.Spec,
		},
		Collector: collector,
	}
	return node
}

func (g *Graph) setFleet(name types.NamespacedName, fleet *fleetv1alpha1.EnvoyFleet, d *Dirty) {
	d.status(fleetKey(name))
	old := g.fleets[name]
	if old != nil && fleet != nil && reflect.DeepEqual(old.object.Spec, fleet.Spec) {
		old.object = fleet
		return
	}
	if old != nil {
		g.indexFleet(old.object, false)
		delete(g.fleets, name)
	}
	if fleet != nil {
		g.indexFleet(fleet, true)
		g.fleets[name] = g.evalFleet(fleet)
	}
	d.fleets(name)
	g.fleetChanged(name, d)
}

// indexFleet adds or removes the edge from an EnvoyFleet to the Service of its collector.
func (g *Graph) indexFleet(fleet *fleetv1alpha1.EnvoyFleet, present bool) {
	if key, traced := collectorOf(fleet); traced {
		g.fleetsByService.edit(present, key.NamespacedName(), namespacedName(fleet))
	}
}

// refreshCollector looks again at the fleets whose spans are sent to a Service that has changed, or how it is connected to.
func (g *Graph) refreshCollector(service types.NamespacedName, d *Dirty) {
	for name := range g.fleetsByService[service] {
		old := g.fleets[name]
		next := g.evalFleet(old.object)
		if reflect.DeepEqual(old.untraced, next.untraced) && reflect.DeepEqual(old.forGateways, next.forGateways) {
			continue
		}
		next.pooled = old.pooled
		g.fleets[name] = next
		d.status(fleetKey(name))
		g.fleetChanged(name, d)
	}
}

// fleetChanged looks again at the classes and Gateways that refer to a fleet.
func (g *Graph) fleetChanged(name types.NamespacedName, d *Dirty) {
	gateways := map[types.NamespacedName]struct{}{}
	for class := range g.classesByFleet[name] {
		d.status(Key{Kind: KindGatewayClass, Name: class})
		for gateway := range g.gatewaysByClass[class] {
			gateways[gateway] = struct{}{}
		}
	}
	for gateway := range g.gatewaysByFleet[name] {
		gateways[gateway] = struct{}{}
	}
	g.refreshGateways(gateways, d)
}

// isFleet says whether a parametersRef is of the kind that is supported.
func isFleet(group gwv1.Group, kind gwv1.Kind) bool {
	return group == fleetv1alpha1.GroupName && Kind(kind) == KindEnvoyFleet
}

func gatewayParametersRef(gw *gwv1.Gateway) *gwv1.LocalParametersReference {
	if gw.Spec.Infrastructure == nil {
		return nil
	}
	return gw.Spec.Infrastructure.ParametersRef
}

// fleetRef returns the EnvoyFleet that a Gateway refers to, or else the one that its class refers to: the Gateway's takes the
// place of the class's as a whole. Without a name, there is none.
func fleetRef(gw *gwv1.Gateway, class *gwv1.GatewayClass) types.NamespacedName {
	if ref := gatewayParametersRef(gw); ref != nil {
		if !isFleet(ref.Group, ref.Kind) {
			return types.NamespacedName{}
		}
		return types.NamespacedName{Namespace: gw.Namespace, Name: ref.Name}
	}
	return classFleetRef(class)
}

func classFleetRef(class *gwv1.GatewayClass) types.NamespacedName {
	ref := class.Spec.ParametersRef
	if ref == nil || !isFleet(ref.Group, ref.Kind) || ref.Namespace == nil {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Namespace: string(*ref.Namespace), Name: ref.Name}
}

// fleetOf returns what is true of the EnvoyFleet of a Gateway; nil if there is none, or none that can be used.
func (g *Graph) fleetOf(gw *gwv1.Gateway, class *gwv1.GatewayClass) *EnvoyFleetFacts {
	return g.usableFleet(fleetRef(gw, class))
}

func (g *Graph) usableFleet(name types.NamespacedName) *EnvoyFleetFacts {
	if node := g.fleets[name]; node != nil {
		return node.forGateways
	}
	return nil
}

// refersToFleet says whether a Gateway refers to an EnvoyFleet, itself or by its class, be it there or not.
func refersToFleet(gw *gwv1.Gateway, class *gwv1.GatewayClass) bool {
	return fleetRef(gw, class).Name != ""
}

// fleetProblem says what is wrong with a reference to parameters; empty if nothing is.
func (g *Graph) fleetProblem(group gwv1.Group, kind gwv1.Kind, name types.NamespacedName) string {
	key := fleetKey(name)
	if !isFleet(group, kind) {
		return "kind " + groupKind(group, kind) + " is not supported; refer to an EnvoyFleet." + fleetv1alpha1.GroupName + " or remove the reference"
	}
	node := g.fleets[name]
	switch {
	case node == nil:
		return key.String() + " does not exist"
	case node.invalid != nil:
		return key.String() + " is not accepted: " + node.invalid.Message
	}
	return ""
}
