package status_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// FuzzMerge renders random facts into random statuses, which hold conditions and entries of ours and of others, and
// checks what must hold of every merge: what belongs to others stays, in its order; a second rendering changes nothing;
// neither argument is written to; the limits of the schema hold.
func FuzzMerge(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := generator{rand.New(rand.NewPCG(seed, 0))}
		g.checkGatewayClass(t)
		g.checkGateway(t)
		g.checkListenerSet(t)
		g.checkRoute(t)
		g.checkTLSPolicy(t)
		g.checkXBackend(t)
	})
}

func (g generator) checkGatewayClass(t *testing.T) {
	old := gwv1.GatewayClassStatus{Conditions: g.conditions(classTypes)}
	facts := &graph.GatewayClassFacts{Managed: true, Unaccepted: g.problem()}
	input := *old.DeepCopy()
	got := status.GatewayClass(facts, old, 5, now)
	same(t, "old", old, input)
	checkConditions(t, classTypes, got.Conditions, old.Conditions)
	checkTypes(t, status.GatewayClass(facts, gwv1.GatewayClassStatus{}, 5, now).Conditions)
	same(t, "second rendering", status.GatewayClass(facts, *got.DeepCopy(), 5, later), got)
}

func (g generator) checkGateway(t *testing.T) {
	old := gwv1.GatewayStatus{Conditions: g.conditions(gatewayTypes)}
	facts := &graph.GatewayFacts{
		Object: &gwv1.Gateway{}, Managed: true, Unaccepted: g.problem(), SomeListenersInvalid: g.problem(), Unprogrammed: g.problem(), Unresolved: g.problem(),
		InsecureFrontend: g.problem(), Rejected: g.rejection(), Delivery: g.delivery(),
	}
	types := gatewayTypes
	if facts.Delivery == nil { // then the condition stays as it is
		types = slices.DeleteFunc(slices.Clone(types), func(name string) bool { return name == status.ConditionDelivered })
	}
	if g.IntN(2) == 0 {
		facts.Object.Spec.DefaultScope = gwv1.GatewayDefaultScopeAll
	}
	for i := range 4 {
		name := gwv1.SectionName(fmt.Sprint("l", i))
		if g.IntN(2) == 0 {
			old.Listeners = append(old.Listeners, gwv1.ListenerStatus{Name: name, Conditions: g.conditions(listenerTypes)})
		}
		if g.IntN(2) == 0 {
			facts.Listeners = append(facts.Listeners, g.listener(name))
			facts.AttachedRoutes = append(facts.AttachedRoutes, g.Int32N(9))
		}
	}
	input := *old.DeepCopy()
	got := status.Gateway(facts, old, 5, now)
	same(t, "old", old, input)
	checkConditions(t, types, got.Conditions, old.Conditions)
	rendered := status.Gateway(facts, gwv1.GatewayStatus{}, 5, now)
	checkTypes(t, rendered.Conditions)
	for _, l := range rendered.Listeners {
		checkTypes(t, l.Conditions)
	}
	for i, l := range facts.Listeners {
		same(t, "listener", got.Listeners[i].Name, l.Spec.Name)
		for _, o := range old.Listeners {
			if o.Name == l.Spec.Name {
				checkConditions(t, listenerTypes, got.Listeners[i].Conditions, o.Conditions)
			}
		}
	}
	same(t, "number of listeners", len(got.Listeners), len(facts.Listeners))
	same(t, "second rendering", status.Gateway(facts, *got.DeepCopy(), 5, later), got)
}

func (g generator) listener(name gwv1.SectionName) *graph.ListenerFacts {
	return &graph.ListenerFacts{
		Spec: &gwv1.Listener{Name: name}, Conflict: g.problem(), Unaccepted: g.problem(), Unresolved: g.problem(),
		Unprogrammed: g.problem(), Overlapping: g.problem(), Rejected: g.rejection(),
	}
}

func (g generator) checkListenerSet(t *testing.T) {
	old := gwv1.ListenerSetStatus{Conditions: g.conditions(setTypes)}
	facts := &graph.ListenerSetFacts{Managed: true, Unaccepted: g.problem(), SomeListenersInvalid: g.problem(), Unprogrammed: g.problem(), Rejected: g.rejection()}
	for i := range 4 {
		name := gwv1.SectionName(fmt.Sprint("l", i))
		if g.IntN(2) == 0 {
			old.Listeners = append(old.Listeners, gwv1.ListenerEntryStatus{Name: name, Conditions: g.conditions(listenerTypes)})
		}
		if g.IntN(2) == 0 {
			facts.Listeners = append(facts.Listeners, g.listener(name))
			facts.AttachedRoutes = append(facts.AttachedRoutes, g.Int32N(9))
		}
	}
	input := *old.DeepCopy()
	got := status.ListenerSet(facts, old, 5, now)
	same(t, "old", old, input)
	checkConditions(t, setTypes, got.Conditions, old.Conditions)
	checkTypes(t, status.ListenerSet(facts, gwv1.ListenerSetStatus{}, 5, now).Conditions)
	for _, entry := range got.Listeners {
		for _, o := range old.Listeners {
			if o.Name == entry.Name {
				checkConditions(t, listenerTypes, entry.Conditions, o.Conditions)
			}
		}
	}
	if len(facts.Listeners) > 0 {
		same(t, "number of listeners", len(got.Listeners), len(facts.Listeners))
	}
	same(t, "second rendering", status.ListenerSet(facts, *got.DeepCopy(), 5, later), got)
}

func (g generator) checkRoute(t *testing.T) {
	refs := []gwv1.ParentReference{ref("a"), section("a", "s"), ref("b"), section("b", "s"), section("b", "t")}
	controllers := []gwv1.GatewayController{graph.ControllerName, "example.com/a", "example.com/b"}
	facts := &graph.RouteFacts{PartiallyInvalid: g.problem()}
	for _, r := range refs {
		if g.IntN(2) == 0 {
			facts.Parents = append(facts.Parents, graph.ParentFacts{
				Ref: r, Managed: g.IntN(4) > 0, Unaccepted: g.problem(), Unresolved: g.problem(), Rejected: g.rejection(),
			})
		}
	}
	g.Shuffle(len(facts.Parents), func(i, j int) { facts.Parents[i], facts.Parents[j] = facts.Parents[j], facts.Parents[i] })

	var old gwv1.RouteStatus
	for i := range g.IntN(33) {
		c, r := controllers[g.IntN(len(controllers))], refs[g.IntN(len(refs))]
		if c != graph.ControllerName {
			r.Name = gwv1.ObjectName(fmt.Sprint("theirs", i))
		}
		old.Parents = append(old.Parents, gwv1.RouteParentStatus{ControllerName: c, ParentRef: r, Conditions: g.conditions(routeTypes)})
	}
	input := *old.DeepCopy()
	got := status.Route(facts, old, 5, now)
	same(t, "old", old, input)
	same(t, "entries of others", entriesOfOthers(got), entriesOfOthers(old))

	ours := 0
	for _, p := range facts.Parents {
		if !p.Managed {
			continue
		}
		ours++
		if e := find(got, p.Ref); e == nil {
			same(t, "number of entries, without one for a parent of ours", len(got.Parents), 32)
		} else if o := find(old, p.Ref); o != nil {
			checkConditions(t, routeTypes, e.Conditions, o.Conditions)
		}
	}
	same(t, "number of entries", len(got.Parents), min(32, ours+len(entriesOfOthers(old))))
	same(t, "second rendering", status.Route(facts, *got.DeepCopy(), 5, later), got)
}

func (g generator) checkTLSPolicy(t *testing.T) {
	refs := []gwv1.ParentReference{gatewayRef("a"), gatewayRef("b"), gatewayRef("c"), gatewayRef("d")}
	facts := &graph.BackendTLSPolicyFacts{Unresolved: g.problem()}
	for _, r := range refs {
		if g.IntN(2) == 0 {
			facts.Ancestors = append(facts.Ancestors, graph.PolicyAncestorFacts{Ref: r, Unaccepted: g.problem(), Rejected: g.rejection()})
		}
	}
	var old gwv1.PolicyStatus
	for i := range g.IntN(17) {
		entry := gwv1.PolicyAncestorStatus{ControllerName: graph.ControllerName, AncestorRef: refs[g.IntN(len(refs))], Conditions: g.conditions(policyTypes)}
		if g.IntN(3) > 0 {
			entry.ControllerName, entry.AncestorRef = "example.com/a", gatewayRef(gwv1.ObjectName(fmt.Sprint("theirs", i)))
		}
		old.Ancestors = append(old.Ancestors, entry)
	}
	input := *old.DeepCopy()
	got := status.BackendTLSPolicy(facts, old, 5, now)
	same(t, "old", old, input)
	theirs := ancestorsOfOthers(old)
	same(t, "entries of others", ancestorsOfOthers(got), theirs)
	same(t, "number of entries", len(got.Ancestors), min(16, len(facts.Ancestors)+len(theirs)))
	for _, a := range got.Ancestors {
		if a.ControllerName != graph.ControllerName {
			continue
		}
		i := slices.IndexFunc(old.Ancestors, func(o gwv1.PolicyAncestorStatus) bool {
			return o.ControllerName == a.ControllerName && reflect.DeepEqual(o.AncestorRef, a.AncestorRef)
		})
		if i >= 0 {
			checkConditions(t, policyTypes, a.Conditions, old.Ancestors[i].Conditions)
		}
	}
	same(t, "second rendering", status.BackendTLSPolicy(facts, *got.DeepCopy(), 5, later), got)
}

func ancestorsOfOthers(s gwv1.PolicyStatus) (list []gwv1.PolicyAncestorStatus) {
	for _, a := range s.Ancestors {
		if a.ControllerName != graph.ControllerName {
			list = append(list, a)
		}
	}
	return list
}

// checkConditions checks a merge of conditions of ours, which are of the given types, into old.
func checkConditions(t *testing.T, ours []string, got, old []metav1.Condition) {
	t.Helper()
	of := func(list []metav1.Condition) (theirs []metav1.Condition) {
		for _, c := range list {
			if !slices.Contains(ours, c.Type) {
				theirs = append(theirs, c)
			}
		}
		return theirs
	}
	same(t, "conditions of others", of(got), of(old))
	seen := map[string]bool{}
	for _, c := range got {
		if seen[c.Type] {
			t.Errorf("two conditions of type %s", c.Type)
		}
		seen[c.Type] = true
		if slices.Contains(ours, c.Type) && c.ObservedGeneration != 5 {
			t.Errorf("%s has observed generation %d", c.Type, c.ObservedGeneration)
		}
	}
	if len(got) > 8 {
		t.Errorf("%d conditions, the schema allows 8", len(got))
	}
}

// checkTypes checks that conditions, all of which are rendered, are of the types that ConditionTypes tells.
func checkTypes(t *testing.T, conditions []metav1.Condition) {
	t.Helper()
	for _, c := range conditions {
		if !slices.Contains(status.ConditionTypes(), c.Type) {
			t.Errorf("%s is rendered, and not in ConditionTypes", c.Type)
		}
	}
}

func entriesOfOthers(s gwv1.RouteStatus) (list []gwv1.RouteParentStatus) {
	for _, p := range s.Parents {
		if p.ControllerName != graph.ControllerName {
			list = append(list, p)
		}
	}
	return list
}

func find(s gwv1.RouteStatus, r gwv1.ParentReference) *gwv1.RouteParentStatus {
	for i, p := range s.Parents {
		if p.ControllerName == graph.ControllerName && reflect.DeepEqual(p.ParentRef, r) {
			return &s.Parents[i]
		}
	}
	return nil
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		equal(t, what, got, want)
		t.Errorf("%s: not deeply equal", what)
	}
}

// The types of conditions that are ours.
var (
	classTypes    = []string{"Accepted", "SupportedVersion"}
	gatewayTypes  = []string{"Accepted", "Programmed", "ResolvedRefs", "InsecureFrontendValidationMode", "DefaultGateway", "gateway-apiserver.dev/Delivered", "gateway-apiserver.dev/ProvisioningFailed"}
	setTypes      = []string{"Accepted", "Programmed"}
	listenerTypes = []string{"Accepted", "Programmed", "ResolvedRefs", "Conflicted", "OverlappingTLSConfig"}
	routeTypes    = []string{"Accepted", "ResolvedRefs", "PartiallyInvalid", "gateway-apiserver.dev/Programmed"}
	policyTypes   = []string{"Accepted", "ResolvedRefs", "gateway-apiserver.dev/Programmed"}
)

type generator struct{ *rand.Rand }

// problem returns a problem or, as often, none.
func (g generator) problem() *graph.Problem {
	if g.IntN(2) == 0 {
		return nil
	}
	return problem(fmt.Sprint("Reason", g.IntN(2)), fmt.Sprint("message ", g.IntN(2)))
}

// rejection returns what nodes have rejected or, as often, nothing.
func (g generator) rejection() *graph.RejectionFacts {
	if g.IntN(2) == 0 {
		return nil
	}
	return &graph.RejectionFacts{Nodes: g.IntN(3), Message: fmt.Sprint("message ", g.IntN(2))}
}

// delivery returns facts that leave no condition as it is, or nil, which does.
func (g generator) delivery() *graph.DeliveryFacts {
	if g.IntN(2) == 0 {
		return nil
	}
	nodes := 1 + g.IntN(3)
	return &graph.DeliveryFacts{Nodes: nodes, Current: g.IntN(nodes + 1), Rejecting: g.IntN(2), Late: true, Proven: true}
}

// conditions returns up to 8 conditions of the given types and others, each type once, in any order.
func (g generator) conditions(ours []string) []metav1.Condition {
	types := append([]string{"Ready", "gateway-apiserver.dev/Other"}, ours...)
	for i := range 8 {
		types = append(types, fmt.Sprint("example.com/C", i))
	}
	var list []metav1.Condition
	for _, i := range g.Perm(len(types))[:g.IntN(9)] {
		list = append(list, metav1.Condition{
			Type: types[i], Status: []metav1.ConditionStatus{"True", "False", "Unknown"}[g.IntN(3)], ObservedGeneration: g.Int64N(9),
			LastTransitionTime: before, Reason: fmt.Sprint("Reason", g.IntN(2)), Message: fmt.Sprint("message ", g.IntN(2)),
		})
	}
	return list
}
