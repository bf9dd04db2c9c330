package status_test

import (
	"fmt"
	"slices"
	"testing"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

func backendEntry(controller gwv1.GatewayController, name gwv1.ObjectName) gwxv1alpha1.BackendAncestorStatus {
	return gwxv1alpha1.BackendAncestorStatus{ControllerName: controller, AncestorRef: gatewayRef(name)}
}

func TestXBackend(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		facts          graph.XBackendFacts
		want, warnings []string
	}{
		{"accepted", graph.XBackendFacts{}, []string{"Accepted=True Accepted: The Gateway connects to it", resolved}, nil},
		{
			"insecure", graph.XBackendFacts{Warnings: []string{"spec.tls is not set"}},
			[]string{"Accepted=True Accepted: The Gateway connects to it. spec.tls is not set", resolved}, []string{"spec.tls is not set"},
		},
		{
			"refused", graph.XBackendFacts{Unaccepted: problem("Invalid", "m")},
			[]string{"Accepted=False Invalid: m", resolved}, []string{"nothing connects to the XBackend (Invalid): m"},
		},
		{
			"some CA certificates", graph.XBackendFacts{Unresolved: problem("InvalidKind", "m")},
			[]string{"Accepted=True Accepted: The Gateway connects to it", "ResolvedRefs=False InvalidKind: m"}, []string{"a reference is not resolved (InvalidKind): m"},
		},
		{
			"no client certificate", graph.XBackendFacts{Unaccepted: problem("RefNotPermitted", "m"), Unresolved: problem("RefNotPermitted", "m")},
			[]string{"Accepted=False RefNotPermitted: m", "ResolvedRefs=False RefNotPermitted: m"}, []string{"nothing connects to the XBackend (RefNotPermitted): m"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.facts.Ancestors = []gwv1.ParentReference{gatewayRef("g")}
			got := status.XBackend(&tt.facts, gwxv1alpha1.BackendStatus{}, 3, now)
			if len(got.Ancestors) != 1 || got.Ancestors[0].ControllerName != graph.ControllerName || got.Ancestors[0].Conditions[0].ObservedGeneration != 3 {
				t.Fatalf("%+v", got)
			}
			equal(t, "ancestor", got.Ancestors[0].AncestorRef, gatewayRef("g"))
			equal(t, "conditions", text(got.Ancestors[0].Conditions), tt.want)
			equal(t, "warnings", status.XBackendWarnings(&tt.facts), tt.warnings)
		})
	}
}

// TestXBackendEntries: entries of others keep their places, and there are 32 at most.
func TestXBackendEntries(t *testing.T) {
	t.Parallel()
	old := gwxv1alpha1.BackendStatus{Ancestors: []gwxv1alpha1.BackendAncestorStatus{
		backendEntry(graph.ControllerName, "gone"), backendEntry("example.com/a", "g"), backendEntry(graph.ControllerName, "g"),
	}}
	names := func(s gwxv1alpha1.BackendStatus) (list []string) {
		for _, e := range s.Ancestors {
			list = append(list, fmt.Sprintf("%s %s", e.ControllerName, e.AncestorRef.Name))
		}
		return list
	}
	facts := &graph.XBackendFacts{Ancestors: []gwv1.ParentReference{gatewayRef("g")}}
	got := status.XBackend(facts, old, 1, now)
	equal(t, "entries", names(got), []string{"gateway-apiserver.dev/controller g", "example.com/a g"})
	equal(t, "without any", names(status.XBackend(&graph.XBackendFacts{}, got, 1, now)), []string{"example.com/a g"})
	if status := status.XBackend(&graph.XBackendFacts{}, gwxv1alpha1.BackendStatus{}, 1, now); status.Ancestors != nil {
		t.Errorf("%+v", status)
	}

	for i := range 40 {
		facts.Ancestors = append(facts.Ancestors, gatewayRef(gwv1.ObjectName(fmt.Sprint("g", i))))
	}
	got = status.XBackend(facts, old, 1, now)
	if n := len(got.Ancestors); n != 32 || !slices.Contains(names(got), "example.com/a g") {
		t.Errorf("%d entries: %q", n, names(got))
	}
	equal(t, "warnings", status.XBackendWarnings(facts), []string{"status.parents has no room for 9 more Gateways that use the XBackend"})

	// What a client makes of our entries counts for nothing.
	written := gwxv1alpha1.BackendStatus{Ancestors: []gwxv1alpha1.BackendAncestorStatus{
		backendEntry("example.com/b", "g"), backendEntry(graph.ControllerName, "theirs"), backendEntry(graph.ControllerName, "too"),
	}}
	stored := gwxv1alpha1.BackendStatus{Ancestors: []gwxv1alpha1.BackendAncestorStatus{backendEntry(graph.ControllerName, "g")}}
	equal(t, "restored", names(status.RestoreXBackend(facts, written, stored)), []string{"example.com/b g", "gateway-apiserver.dev/controller g"})
}

// checkXBackend is the part of FuzzMerge for XBackends.
func (g generator) checkXBackend(t *testing.T) {
	facts := &graph.XBackendFacts{Unaccepted: g.problem(), Unresolved: g.problem()}
	refs := []gwv1.ObjectName{"a", "b", "c", "d"}
	for _, name := range refs {
		if g.IntN(2) == 0 {
			facts.Ancestors = append(facts.Ancestors, gatewayRef(name))
		}
	}
	var old gwxv1alpha1.BackendStatus
	for i := range g.IntN(33) {
		entry := backendEntry(graph.ControllerName, refs[g.IntN(len(refs))])
		if g.IntN(3) > 0 {
			entry = backendEntry("example.com/a", gwv1.ObjectName(fmt.Sprint("theirs", i)))
		}
		entry.Conditions = g.conditions(policyTypes)
		old.Ancestors = append(old.Ancestors, entry)
	}
	theirs := func(s gwxv1alpha1.BackendStatus) (list []gwxv1alpha1.BackendAncestorStatus) {
		for _, e := range s.Ancestors {
			if e.ControllerName != graph.ControllerName {
				list = append(list, e)
			}
		}
		return list
	}
	input := *old.DeepCopy()
	got := status.XBackend(facts, old, 5, now)
	same(t, "old", old, input)
	same(t, "entries of others", theirs(got), theirs(old))
	same(t, "number of entries", len(got.Ancestors), min(32, len(facts.Ancestors)+len(theirs(old))))
	same(t, "second rendering", status.XBackend(facts, *got.DeepCopy(), 5, later), got)
}

func TestXMesh(t *testing.T) {
	t.Parallel()
	old := gwxv1alpha1.MeshStatus{Conditions: append(pending("Accepted"), foreign("example.com/C"))}
	equal(t, "of another controller", status.XMesh(&graph.XMeshFacts{}, old, 1, now), old)
	for _, tt := range []struct {
		name     string
		facts    graph.XMeshFacts
		want     string
		warnings []string
	}{
		{"naming", graph.XMeshFacts{}, "Accepted=True Accepted: Sidecars and proxyless gRPC clients get it as the name of the mesh", nil},
		{
			"overruled", graph.XMeshFacts{Overruled: true, Warnings: []string{"another names it"}},
			"Accepted=True Accepted: Routes whose parents are Services are served to sidecars and proxyless gRPC clients. another names it", []string{"another names it"},
		},
		{
			"parameters", graph.XMeshFacts{Unaccepted: problem("InvalidParameters", "m")}, "Accepted=False InvalidParameters: m",
			[]string{"the XMesh is not accepted (InvalidParameters): m"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.facts.Managed = true
			got := status.XMesh(&tt.facts, old, 2, now)
			if len(got.Conditions) != 2 {
				t.Fatalf("conditions: %q", text(got.Conditions))
			}
			equal(t, "condition", text(got.Conditions)[0], tt.want)
			equal(t, "condition of others", got.Conditions[1], old.Conditions[1])
			checkTypes(t, status.XMesh(&tt.facts, gwxv1alpha1.MeshStatus{}, 2, now).Conditions)
			if !slices.IsSortedFunc(got.SupportedFeatures, func(a, b gwv1.SupportedFeature) int { return compareNames(a.Name, b.Name) }) || len(got.SupportedFeatures) == 0 {
				t.Errorf("features: %v", got.SupportedFeatures)
			}
			equal(t, "warnings", status.XMeshWarnings(&tt.facts), tt.warnings)
			equal(t, "restored", status.RestoreXMesh(&tt.facts, old, got), gwxv1alpha1.MeshStatus{
				Conditions: got.Conditions, SupportedFeatures: got.SupportedFeatures,
			})
		})
	}
}

func compareNames(a, b gwv1.FeatureName) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
