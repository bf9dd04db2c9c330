package graph

import (
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ListenerSetFacts is what is true of a ListenerSet.
type ListenerSetFacts struct {
	Object *gwv1.ListenerSet
	// Gateway is its parent.
	Gateway types.NamespacedName
	// Managed says that the parent is a Gateway of ours. Nothing else is said of other ListenerSets.
	Managed bool
	// Orphaned says that nobody is responsible: the parent, or its class, doesn't exist. Missing says what it is.
	Orphaned bool
	Missing  Key
	// Listeners are in the order of spec.listeners; those that are not TooManyListeners are among those of the Gateway. There are
	// none if the Gateway doesn't allow the ListenerSet.
	Listeners []*ListenerFacts
	// AttachedRoutes counts, for each of Listeners, the routes that are accepted there.
	AttachedRoutes []int32
	// Unaccepted: NotAllowed; ListenersNotValid when no listener is valid; ParentNotAccepted.
	Unaccepted *Problem
	// SomeListenersInvalid: the ListenerSet is accepted, with reason ListenersNotValid.
	SomeListenersInvalid *Problem
	// Unprogrammed: NotAllowed, ListenersNotValid, ParentNotProgrammed.
	Unprogrammed *Problem
	// Rejected says that nodes have rejected listeners or secrets of the ListenerSet.
	Rejected *RejectionFacts
	// Warnings name fields that have no effect, and why.
	Warnings []string
}
