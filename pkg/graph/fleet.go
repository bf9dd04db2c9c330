package graph

import (
	"reflect"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// An EnvoyFleet is what parametersRef refers to: the only kind of parameters there is.

type fleetNode struct {
	object     *fleetv1alpha1.EnvoyFleet
	unaccepted *Problem
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
	return g.fleetFacts(&fleetNode{fleet, g.invalidFleet(fleet)})
}

func (g *Graph) fleetFacts(node *fleetNode) *EnvoyFleetFacts {
	return &EnvoyFleetFacts{
		Object:     node.object,
		Unaccepted: node.unaccepted,
		Gateways:   int32(len(g.gatewaysByFleet[namespacedName(node.object)])),
	}
}

func (g *Graph) setFleet(name types.NamespacedName, fleet *fleetv1alpha1.EnvoyFleet, d *Dirty) {
	d.status(fleetKey(name))
	old := g.fleets[name]
	if fleet == nil {
		delete(g.fleets, name)
	} else {
		g.fleets[name] = &fleetNode{fleet, g.invalidFleet(fleet)}
	}
	if old != nil && fleet != nil && reflect.DeepEqual(old.object.Spec, fleet.Spec) {
		return
	}
	g.fleetChanged(name, d)
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
	node := g.fleets[fleetRef(gw, class)]
	if node == nil || node.unaccepted != nil {
		return nil
	}
	return &EnvoyFleetFacts{Object: node.object}
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
	case node.unaccepted != nil:
		return key.String() + " is not accepted: " + node.unaccepted.Message
	}
	return ""
}

// invalidFleet says why the spec of an EnvoyFleet can't be used.
func (g *Graph) invalidFleet(*fleetv1alpha1.EnvoyFleet) *Problem { return nil }
