package graph

import (
	"reflect"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// GatewayClass returns what is true of the class, or nil if there is no such class.
func (g *Graph) GatewayClass(name string) *GatewayClassFacts {
	class := g.classes[name]
	if class == nil {
		return nil
	}
	return g.evalGatewayClass(class)
}

// PreviewGatewayClass returns what would be true of class if it were written now. Nothing changes.
func (g *Graph) PreviewGatewayClass(class *gwv1.GatewayClass) *GatewayClassFacts {
	return g.evalGatewayClass(class)
}

func (g *Graph) setClass(name string, class *gwv1.GatewayClass, d *Dirty) {
	before := g.GatewayClass(name)
	if before != nil {
		g.indexClass(before.Object, false)
	}
	put(g.classes, name, class)
	if class != nil {
		g.indexClass(class, true)
	}
	d.status(Key{Kind: KindGatewayClass, Name: name})
	if !sameForGateways(before, g.GatewayClass(name)) {
		g.refreshGateways(g.gatewaysByClass[name], d)
	}
}

// indexClass adds or removes the edge from a class to its parameters.
func (g *Graph) indexClass(class *gwv1.GatewayClass, present bool) {
	if fleet := classFleetRef(class); fleet.Name != "" {
		g.classesByFleet.edit(present, fleet, class.Name)
	}
}

// sameForGateways says whether the Gateways of a class find the same in two states of it.
func sameForGateways(a, b *GatewayClassFacts) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Managed == b.Managed && reflect.DeepEqual(a.Unaccepted, b.Unaccepted) && classFleetRef(a.Object) == classFleetRef(b.Object)
}

// classNotAccepted: Accepted is "True if the controller will support provisioning Gateways using this class"
// (GatewayClassConditionStatusAccepted).
//
// A class that stops being accepted takes its Gateways along. The specification leaves it open whether changes of a
// class reach existing Gateways; if they did not, what is served would depend on the order of the writes.
func classNotAccepted(class *GatewayClassFacts) *Problem {
	if class.Unaccepted == nil {
		return nil
	}
	return newProblem(gwv1.GatewayReasonInvalidParameters, "GatewayClass %s is not accepted: %s", class.Object.Name, class.Unaccepted.Message)
}

func (g *Graph) evalGatewayClass(class *gwv1.GatewayClass) *GatewayClassFacts {
	facts := &GatewayClassFacts{Object: class, Managed: class.Spec.ControllerName == ControllerName}
	if facts.Managed {
		facts.Unaccepted = g.classParameters(class)
		facts.Fleet = g.usableFleet(classFleetRef(class))
		facts.Provisions = g.provisions && facts.Fleet != nil && facts.Fleet.Object.Spec.Provisioning != nil
	}
	return facts
}

// classParameters: "If the referent cannot be found, refers to an unsupported kind, or when the data within that
// resource is malformed, the GatewayClass SHOULD be rejected with the Accepted status condition set to False and an
// InvalidParameters reason." And of its namespace: "This field is required when referring to a Namespace-scoped resource".
func (g *Graph) classParameters(class *gwv1.GatewayClass) *Problem {
	ref := class.Spec.ParametersRef
	if ref == nil {
		return nil
	}
	if isFleet(ref.Group, ref.Kind) && ref.Namespace == nil {
		return newProblem(gwv1.GatewayClassReasonInvalidParameters, "spec.parametersRef.namespace: must be set: an EnvoyFleet is in a namespace")
	}
	name := types.NamespacedName{Namespace: string(valueOr(ref.Namespace, "")), Name: ref.Name}
	if p := g.fleetProblem(ref.Group, ref.Kind, name); p != "" {
		return newProblem(gwv1.GatewayClassReasonInvalidParameters, "spec.parametersRef: %s", p)
	}
	return nil
}
