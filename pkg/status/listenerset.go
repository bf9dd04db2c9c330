package status

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// ListenerSet returns the status of a ListenerSet of the given metadata.generation: the conditions Accepted and Programmed,
// merged into old, and one entry per listener, in the order of the spec, unless the Gateway doesn't allow it. The status of a
// ListenerSet of a Gateway that isn't ours is returned as it is; one without a Gateway, or whose Gateway's class doesn't exist,
// waits for a controller.
func ListenerSet(f *graph.ListenerSetFacts, old gwv1.ListenerSetStatus, generation int64, now metav1.Time) gwv1.ListenerSetStatus {
	if !f.Managed && !f.Orphaned {
		return old
	}
	status := *old.DeepCopy()
	if f.Orphaned {
		merge(&status.Conditions, generation, now, orphanVerdicts(f)...)
	} else {
		merge(&status.Conditions, generation, now, listenerSetVerdicts(f)...)
	}
	if len(f.Listeners) == 0 {
		status.Listeners = othersEntries(status.Listeners)
		return status
	}
	listeners := make([]gwv1.ListenerEntryStatus, 0, len(f.Listeners))
	for i, l := range f.Listeners {
		entry := gwv1.ListenerEntryStatus{Name: l.Spec.Name}
		if j := slices.IndexFunc(status.Listeners, func(s gwv1.ListenerEntryStatus) bool { return s.Name == l.Spec.Name }); j >= 0 {
			entry.Conditions = status.Listeners[j].Conditions
		}
		entry.SupportedKinds = nil // a ListenerSet leaves out an empty list
		if len(l.SupportedKinds) > 0 {
			entry.SupportedKinds = supportedKinds(l.SupportedKinds)
		}
		entry.AttachedRoutes = f.AttachedRoutes[i]
		merge(&entry.Conditions, generation, now, listenerVerdicts(l)...)
		listeners = append(listeners, entry)
	}
	status.Listeners = listeners
	return status
}

// othersEntries returns what others have said of listeners of which we say nothing.
func othersEntries(entries []gwv1.ListenerEntryStatus) []gwv1.ListenerEntryStatus {
	var others []gwv1.ListenerEntryStatus
	for _, e := range entries {
		if e.Conditions = restore(e.Conditions, nil, listenerConditionTypes); len(e.Conditions) > 0 {
			e.SupportedKinds, e.AttachedRoutes = nil, 0
			others = append(others, e)
		}
	}
	return others
}

// listenerSetVerdicts are the conditions of a ListenerSet.
func listenerSetVerdicts(f *graph.ListenerSetFacts) []verdict {
	reason, message := string(gwv1.ListenerSetReasonAccepted), "All listeners are valid"
	if f.SomeListenersInvalid != nil {
		reason, message = f.SomeListenersInvalid.Reason, f.SomeListenersInvalid.Message
	}
	unprogrammed := f.Unprogrammed
	if unprogrammed == nil {
		unprogrammed = rejected(f.Rejected)
	}
	return []verdict{
		positive(gwv1.ListenerSetConditionAccepted, f.Unaccepted, reason, message),
		positive(gwv1.ListenerSetConditionProgrammed, unprogrammed, gwv1.ListenerSetReasonProgrammed, messageProgrammed),
	}
}

// orphanVerdicts are the conditions of a ListenerSet that is nobody's: those of the CRD's default status.
func orphanVerdicts(f *graph.ListenerSetFacts) []verdict {
	message := fmt.Sprintf("Waiting for controller: %s does not exist", f.Missing)
	return []verdict{
		{string(gwv1.ListenerSetConditionAccepted), metav1.ConditionUnknown, string(gwv1.ListenerSetReasonPending), message},
		{string(gwv1.ListenerSetConditionProgrammed), metav1.ConditionUnknown, string(gwv1.ListenerSetReasonPending), message},
	}
}

// RestoreListenerSet is RestoreGatewayClass for a ListenerSet and its listeners.
func RestoreListenerSet(f *graph.ListenerSetFacts, written, stored gwv1.ListenerSetStatus) gwv1.ListenerSetStatus {
	if !f.Managed {
		return written
	}
	written.Conditions = restore(written.Conditions, stored.Conditions, listenerSetConditionTypes)
	written.Listeners = slices.Clone(written.Listeners)
	for _, s := range stored.Listeners {
		i := slices.IndexFunc(written.Listeners, func(w gwv1.ListenerEntryStatus) bool { return w.Name == s.Name })
		if i < 0 {
			i = len(written.Listeners)
			written.Listeners = append(written.Listeners, gwv1.ListenerEntryStatus{Name: s.Name})
		}
		w := &written.Listeners[i]
		w.Conditions = restore(w.Conditions, s.Conditions, listenerConditionTypes)
	}
	return written
}

// ListenerSetWarnings returns what the writer of a ListenerSet should know.
func ListenerSetWarnings(f *graph.ListenerSetFacts) []string {
	var w warnings
	if f.Orphaned {
		w.add(fmt.Sprintf("spec.parentRef: %s does not exist; the listeners are served as soon as it does", f.Missing))
	}
	w.problem("the ListenerSet is not accepted", f.Unaccepted)
	if f.Unaccepted == nil {
		w.problem("the ListenerSet is not programmed", f.Unprogrammed)
	}
	w.listeners(f.Listeners)
	w.add(f.Warnings...)
	return w
}
