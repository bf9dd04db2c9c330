package graph

import (
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// trafficTargetKinds are the kinds that an XBackendTrafficPolicy can be attached to: "Backends (A grouping of like endpoints such
// as Service, ServiceImport, or any implementation-specific backendRef) are the only valid API target references."
var trafficTargetKinds = []Kind{KindService, KindBackend}

// trafficTarget resolves a targetRef of a policy in a namespace. If the target exists, it is for the caller to say whether
// the policy is accepted there.
func (g *Graph) trafficTarget(namespace string, ref gwv1.LocalPolicyTargetReference) TrafficTargetFacts {
	name := types.NamespacedName{Namespace: namespace, Name: string(ref.Name)}
	f := TrafficTargetFacts{Ref: ref, Unaccepted: unknownTarget(ref, trafficTargetKinds)}
	if f.Unaccepted == nil {
		f.Target, _ = policyTarget(ref, namespace, trafficTargetKinds)
		f.Unaccepted = g.missingTarget(f.Target)
		for _, gateway := range g.gatewaysUsing(f.Target, func(u use) bool { return !u.stream }) {
			f.Ancestors = append(f.Ancestors, ancestor(gwv1.GroupName, gwv1.Kind(KindGateway), gateway))
		}
	}
	if len(f.Ancestors) == 0 {
		f.Ancestors = []gwv1.ParentReference{ancestor(ref.Group, ref.Kind, name)}
	}
	return f
}

// streamWarnings names the targets of a policy that streams are forwarded to, too: a policy is about requests, of which a stream
// has none.
func (g *Graph) streamWarnings(targets []TrafficTargetFacts) []string {
	var warnings []string
	for i := range targets {
		t := &targets[i]
		if t.Unaccepted == nil && len(g.gatewaysUsing(t.Target, func(u use) bool { return u.stream })) > 0 {
			warnings = append(warnings, fmt.Sprintf("spec.targetRefs[%d] has no effect on what TLSRoutes, TCPRoutes and UDPRoutes forward to %s: "+
				"connections and packets have neither sessions nor retries", i, t.Target))
		}
	}
	return warnings
}

// trafficAncestors sums up by ancestor what is true of a policy's targets: "Ancestors refer to objects that are either the
// Target of a policy or above it in terms of object hierarchy. ... we recommend that implementations SHOULD use Gateway
// as the PolicyAncestorStatus object." An ancestor accepts a policy if one of the targets does.
func trafficAncestors(targets []TrafficTargetFacts) []PolicyAncestorFacts {
	var ancestors []PolicyAncestorFacts
	for i := range targets {
		for _, ref := range targets[i].Ancestors {
			j := slices.IndexFunc(ancestors, func(a PolicyAncestorFacts) bool { return reflect.DeepEqual(a.Ref, ref) })
			if j < 0 {
				ancestors = append(ancestors, PolicyAncestorFacts{Ref: ref, Unaccepted: targets[i].Unaccepted})
			} else if targets[i].Unaccepted == nil {
				ancestors[j].Unaccepted = nil
			}
		}
	}
	return ancestors
}
