package status

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

const (
	// maxParents is the maxItems of status.parents in the CRDs. Entries of other controllers must not be removed to
	// make room, so the last of ours are left out if need be.
	maxParents = 32

	// maxNamed is how many listeners or ports a message names before it goes on to count them.
	maxNamed = 8
)

// Route returns the status of a route of the given metadata.generation: one entry for each of its
// parents that is ours. An entry is found again by its controllerName and the parentRef as a whole, sectionName and port
// included; one whose parent is gone from the spec, doesn't exist any more or isn't ours any more is removed.
//
// The order is stable: entries of other controllers keep theirs, ours take the places that ours had, in the order of
// spec.parentRefs. More than before go to the end, fewer leave the last places.
//
// status.parents is never nil, because the schema requires an array.
func Route(f *graph.RouteFacts, old gwv1.RouteStatus, generation int64, now metav1.Time) gwv1.RouteStatus {
	status := *old.DeepCopy()
	var ours []gwv1.RouteParentStatus
	for i := range f.Parents {
		if p := &f.Parents[i]; p.Managed {
			entry := parentEntry(status.Parents, p.Ref)
			merge(&entry.Conditions, generation, now, parentVerdicts(f, p)...)
			ours = append(ours, entry)
		}
	}
	parents := make([]gwv1.RouteParentStatus, 0, len(status.Parents)+len(ours))
	for _, entry := range status.Parents {
		if entry.ControllerName == graph.ControllerName {
			if len(ours) == 0 {
				continue
			}
			entry, ours = ours[0], ours[1:]
		}
		parents = append(parents, entry)
	}
	room := max(0, maxParents-len(parents))
	status.Parents = append(parents, ours[:min(room, len(ours))]...)
	return status
}

// parentEntry returns our entry for a parentRef, or an empty one. "Parent status MUST be considered to be namespaced by
// the combination of the parentRef and controllerName fields."
func parentEntry(parents []gwv1.RouteParentStatus, ref gwv1.ParentReference) gwv1.RouteParentStatus {
	for _, entry := range parents {
		if entry.ControllerName == graph.ControllerName && reflect.DeepEqual(entry.ParentRef, ref) {
			return entry
		}
	}
	return gwv1.RouteParentStatus{ParentRef: *ref.DeepCopy(), ControllerName: graph.ControllerName}
}

// parentVerdicts are the conditions of our entry for a parent. PartiallyInvalid "MUST NOT be set if a Route is fully
// valid, fully invalid, or not accepted".
func parentVerdicts(f *graph.RouteFacts, p *graph.ParentFacts) []verdict {
	partiallyInvalid := f.PartiallyInvalid
	if p.Unaccepted != nil {
		partiallyInvalid = nil
	}
	attached := attachedTo(p)
	if p.Consumer(f.Key) {
		attached += ", for clients in namespace " + f.Key.Namespace
	}
	if p.NeedsProxy != nil {
		attached += ". Clients have to have a sidecar: " + p.NeedsProxy.Message
	}
	return []verdict{
		positive(gwv1.RouteConditionAccepted, p.Unaccepted, gwv1.RouteReasonAccepted, attached),
		positive(gwv1.RouteConditionResolvedRefs, p.Unresolved, gwv1.RouteReasonResolvedRefs, messageResolved),
		negative(gwv1.RouteConditionPartiallyInvalid, partiallyInvalid),
		unprogrammed(p.Rejected),
	}
}

// attachedTo says what of a parent the route is attached to, e.g. `Attached to listeners "http" and "https"`.
func attachedTo(p *graph.ParentFacts) string {
	var names []string
	what := "listener"
	for _, a := range p.Attachments {
		names = append(names, strconv.Quote(string(a.Listener.Name)))
	}
	if p.Service != nil {
		what = "port"
		for _, port := range p.ServicePorts {
			names = append(names, strconv.Itoa(int(port)))
		}
	}
	switch len(names) {
	case 0: // a Service without ports
		return "Attached"
	case 1:
		return "Attached to " + what + " " + names[0]
	default:
		return "Attached to " + what + "s " + enumerate(names)
	}
}

// enumerate joins two names or more as a sentence does: "a and b", "a, b and c", "a, b, c and 9 more".
func enumerate(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed:maxNamed], fmt.Sprintf("%d more", more))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
