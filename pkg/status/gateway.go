package status

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

const (
	messageResolved   = "All references are resolved"
	messageProgrammed = "Configuration is generated and published to xDS"
)

// Gateway returns the status of a Gateway of the given metadata.generation: the conditions Accepted, Programmed and
// ResolvedRefs, and InsecureFrontendValidationMode and DefaultGateway where they are True, merged into old, the addresses and one entry per
// listener, in the order of the spec. The status of a Gateway that isn't ours, or no longer, is
// for the controller of its class to write, which knows nothing of conditions of our own domain: they go, the rest is as it was.
func Gateway(f *graph.GatewayFacts, old gwv1.GatewayStatus, generation int64, now metav1.Time) gwv1.GatewayStatus {
	if f.ClassMissing {
		return unclaimed(f, old, generation, now)
	}
	status := *old.DeepCopy()
	if !f.Managed {
		status.Conditions = slices.DeleteFunc(status.Conditions, func(c metav1.Condition) bool { return strings.HasPrefix(c.Type, ownDomain) })
		return status
	}
	merge(&status.Conditions, generation, now, append(gatewayVerdicts(f), delivered(f.Delivery, old.Conditions, generation)...)...)
	status.Addresses = addresses(f.Addresses)
	if f.Infrastructure != nil {
		status.Addresses = infrastructureAddresses(f.Infrastructure)
	}

	status.AttachedListenerSets = attachedListenerSets(f)

	// An entry whose listener is gone from the spec goes too: its name is all that it was about.
	listeners := make([]gwv1.ListenerStatus, 0, len(f.Object.Spec.Listeners))
	for i, l := range f.Listeners {
		if l.Key.Parent.Kind == graph.KindListenerSet {
			continue // it is the business of a ListenerSet
		}
		entry := gwv1.ListenerStatus{Name: l.Spec.Name}
		if j := slices.IndexFunc(status.Listeners, func(s gwv1.ListenerStatus) bool { return s.Name == l.Spec.Name }); j >= 0 {
			entry.Conditions = status.Listeners[j].Conditions
		}
		entry.SupportedKinds = supportedKinds(l.SupportedKinds)
		entry.AttachedRoutes = f.AttachedRoutes[i]
		merge(&entry.Conditions, generation, now, listenerVerdicts(l)...)
		listeners = append(listeners, entry)
	}
	status.Listeners = listeners
	return status
}

// attachedListenerSets counts the ListenerSets of a Gateway that says something about them.
func attachedListenerSets(f *graph.GatewayFacts) *int32 {
	if f.Object.Spec.AllowedListeners == nil {
		return nil
	}
	return new(f.AttachedListenerSets)
}

// DefaultGateway is a type of condition of which GEP-3793 says that a default Gateway MUST set it, and others MUST NOT. Upstream
// has no constants for it.
const (
	conditionDefaultGateway = "DefaultGateway"
	reasonDefaultScope      = "DefaultScope"
)

// defaultGateway says that the Gateway is a default Gateway "and what its scope is".
func defaultGateway(f *graph.GatewayFacts) verdict {
	if !f.IsDefault() {
		return verdict{conditionType: conditionDefaultGateway}
	}
	return verdict{conditionDefaultGateway, metav1.ConditionTrue, reasonDefaultScope,
		fmt.Sprintf("Gateway has default scope %s", f.Object.Spec.DefaultScope)}
}

// gatewayVerdicts are the conditions of a Gateway.
func gatewayVerdicts(f *graph.GatewayFacts) []verdict {
	return []verdict{
		gatewayAccepted(f),
		positive(gwv1.GatewayConditionProgrammed, gatewayUnprogrammed(f), gwv1.GatewayReasonProgrammed, messageProgrammed),
		positive(gwv1.GatewayConditionResolvedRefs, f.Unresolved, gwv1.GatewayReasonResolvedRefs, messageResolved),
		negative(gwv1.GatewayConditionInsecureFrontendValidationMode, f.InsecureFrontend),
		defaultGateway(f),
		provisioningFailed(f.Infrastructure),
	}
}

// gatewayAccepted says whether the Gateway is accepted. The reason ListenersNotValid goes with True as long as one
// listener is valid: "This can be the reason when Accepted is True or False, depending on whether the listener being
// invalid causes the entire Gateway to not be accepted."
func gatewayAccepted(f *graph.GatewayFacts) verdict {
	reason, message := string(gwv1.GatewayReasonAccepted), "All listeners are valid"
	if f.SomeListenersInvalid != nil {
		reason, message = f.SomeListenersInvalid.Reason, f.SomeListenersInvalid.Message
	}
	return positive(gwv1.GatewayConditionAccepted, f.Unaccepted, reason, message)
}

// gatewayUnprogrammed says why there is no configuration for the Gateway, which is so too when it isn't accepted.
func gatewayUnprogrammed(f *graph.GatewayFacts) *graph.Problem {
	if f.Unprogrammed == nil && f.Unaccepted != nil {
		return &graph.Problem{Reason: string(gwv1.GatewayReasonInvalid), Message: f.Unaccepted.Message}
	}
	if f.Unprogrammed == nil && f.Infrastructure != nil && f.Infrastructure.Unprogrammed != nil {
		return f.Infrastructure.Unprogrammed
	}
	if f.Unprogrammed == nil {
		return rejected(f.Rejected)
	}
	return f.Unprogrammed
}

// listenerUnprogrammed says why there is no configuration for a listener, or none that nodes take.
func listenerUnprogrammed(l *graph.ListenerFacts) *graph.Problem {
	if l.Unprogrammed == nil {
		return rejected(l.Rejected)
	}
	return l.Unprogrammed
}

// listenerVerdicts are the conditions of an entry of status.listeners. Conflicted and OverlappingTLSConfig are there
// only when they are True: "If this condition is not set, it is assumed that there are no conflicts", and "This is a
// negative polarity condition and MUST NOT be set when it is False".
func listenerVerdicts(l *graph.ListenerFacts) []verdict {
	return []verdict{
		positive(gwv1.ListenerConditionAccepted, l.Unaccepted, gwv1.ListenerReasonAccepted, "The listener is valid"),
		positive(gwv1.ListenerConditionProgrammed, listenerUnprogrammed(l), gwv1.ListenerReasonProgrammed, messageProgrammed),
		positive(gwv1.ListenerConditionResolvedRefs, l.Unresolved, gwv1.ListenerReasonResolvedRefs, messageResolved),
		negative(gwv1.ListenerConditionConflicted, l.Conflict),
		negative(gwv1.ListenerConditionOverlappingTLSConfig, l.Overlapping),
	}
}

// addresses returns status.addresses. It is empty when the spec asks for none: which addresses an Envoy that binds
// every address can be reached at is known only where it runs.
func addresses(bound []string) []gwv1.GatewayStatusAddress {
	var list []gwv1.GatewayStatusAddress
	for _, a := range bound {
		list = append(list, gwv1.GatewayStatusAddress{Type: new(gwv1.IPAddressType), Value: a})
	}
	return list
}

// supportedKinds returns a copy that isn't nil, because an empty list says something: no kind of route can attach.
func supportedKinds(kinds []gwv1.RouteGroupKind) []gwv1.RouteGroupKind {
	list := make([]gwv1.RouteGroupKind, 0, len(kinds))
	for i := range kinds {
		list = append(list, *kinds[i].DeepCopy())
	}
	return list
}
