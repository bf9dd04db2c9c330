package graph

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// gatewayParameters: "If the referent cannot be found, refers to an unsupported kind, or when the data within that
// resource is malformed, the Gateway SHOULD be rejected with the Accepted status condition set to False and an
// InvalidParameters reason."
func (g *Graph) gatewayParameters(gw *gwv1.Gateway) *Problem {
	ref := gatewayParametersRef(gw)
	if ref == nil {
		return nil
	}
	p := g.fleetProblem(ref.Group, ref.Kind, types.NamespacedName{Namespace: gw.Namespace, Name: ref.Name})
	if p == "" {
		return nil
	}
	return newProblem(gwv1.GatewayReasonInvalidParameters, "spec.infrastructure.parametersRef: %s", p)
}

// noListenerValid: "At least one distinct Listener MUST be present, or else the Gateway effectively contains no
// Listeners, and must be rejected from processing as a whole." It may be one of a ListenerSet: "Implementations MUST treat the
// parent Gateway as having the merged list of all listeners from itself and attached ListenerSets".
func noListenerValid(f *GatewayFacts) *Problem {
	if slices.ContainsFunc(f.Listeners, isValid) {
		return nil
	}
	return newProblem(gwv1.GatewayReasonListenersNotValid, "no listener is valid: %s", describeListeners(f.own(), unacceptedListeners(f.own())))
}

func isValid(l *ListenerFacts) bool { return l.Unaccepted == nil }

// someListenersInvalid: "The implementation MUST set a ListenersNotValid condition on the Gateway Status when the
// Gateway contains Conflicted Listeners whether or not they accept the Gateway. That Condition SHOULD clearly indicate
// in the Message which Listeners are conflicted, and which are Accepted."
func someListenersInvalid(f *GatewayFacts) *Problem {
	own := f.own()
	unaccepted := unacceptedListeners(own)
	if len(unaccepted) == 0 {
		return nil
	}
	which := "some listeners are not valid"
	if len(unaccepted) == len(own) {
		which = "no listener but those of ListenerSets is valid"
	}
	return newProblem(gwv1.GatewayReasonListenersNotValid, "%s: %s", which, describeListeners(own, unaccepted))
}

func unacceptedListeners(listeners []*ListenerFacts) map[*ListenerFacts]*Problem {
	unaccepted := map[*ListenerFacts]*Problem{}
	for _, l := range listeners {
		if !isValid(l) {
			unaccepted[l] = l.Unaccepted
		}
	}
	return unaccepted
}

// describeListeners says of each listener what is wrong with it, or that it is accepted.
func describeListeners(listeners []*ListenerFacts, wrong map[*ListenerFacts]*Problem) string {
	if len(listeners) == 0 {
		return "there are none"
	}
	var parts []string
	for _, l := range listeners {
		reason := string(gwv1.ListenerReasonAccepted)
		if p := wrong[l]; p != nil {
			reason = p.Reason
		}
		parts = append(parts, fmt.Sprintf("%s is %s", l.Spec.Name, reason))
	}
	return strings.Join(parts, ", ")
}

// notAccepted: "This reason is used with the Programmed and Accepted conditions when the Gateway is syntactically or
// semantically invalid" (GatewayReasonInvalid). What isn't accepted isn't programmed.
func notAccepted(f *GatewayFacts) *Problem {
	if f.Unaccepted == nil {
		return nil
	}
	return newProblem(gwv1.GatewayReasonInvalid, "the Gateway is not accepted: %s", f.Unaccepted.Message)
}

// holdListeners takes the listeners of a Gateway that isn't programmed out of service.
func holdListeners(f *GatewayFacts) {
	for _, l := range f.Listeners {
		if l.Unprogrammed == nil {
			l.Unprogrammed = newProblem(gwv1.ListenerReasonPending, "waits for the Gateway: %s", f.Unprogrammed.Message)
		}
	}
}

// nothingServed: Programmed says "whether a Gateway has generated some configuration"; without a listener to serve,
// there is none.
func nothingServed(f *GatewayFacts) *Problem {
	if slices.ContainsFunc(f.Listeners, func(l *ListenerFacts) bool { return l.Unprogrammed == nil }) {
		return nil
	}
	var parts []string
	for _, l := range f.own() {
		parts = append(parts, fmt.Sprintf("%s: %s", l.Spec.Name, l.Unprogrammed.Message))
	}
	return newProblem(gwv1.GatewayReasonInvalid, "no listener can be served: %s", strings.Join(parts, "; "))
}

// listenersNotResolved: "This reason is used with the ResolvedRefs condition when one or more Listeners have their
// ResolvedRefs condition set to false in their status."
func listenersNotResolved(listeners []*ListenerFacts) *Problem {
	var parts []string
	for _, l := range listeners {
		if l.Unresolved != nil {
			parts = append(parts, fmt.Sprintf("%s: %s", l.Spec.Name, l.Unresolved.Message))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return newProblem(gwv1.GatewayReasonListenersNotResolved, "references of listeners are not resolved: %s", strings.Join(parts, "; "))
}

// gatewayWarnings names what is set in the spec and does nothing.
func gatewayWarnings(f *GatewayFacts) []string {
	warnings := allowedListenersWarnings(f.Object)
	for _, l := range f.own() {
		warnings = append(warnings, listenerWarnings(l)...)
	}
	return warnings
}
