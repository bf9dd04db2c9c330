package status_test

import (
	"encoding/json"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

const routeAccepted = `Accepted=True Accepted: Attached to listener "http"`

func ref(name gwv1.ObjectName) gwv1.ParentReference {
	return gwv1.ParentReference{Group: new(gwv1.Group(gwv1.GroupName)), Kind: new(gwv1.Kind("Gateway")), Name: name}
}

func section(name gwv1.ObjectName, section gwv1.SectionName) gwv1.ParentReference {
	r := ref(name)
	r.SectionName = &section
	return r
}

// parent is a Gateway of ours that accepts the route.
func parent(r gwv1.ParentReference) graph.ParentFacts {
	return graph.ParentFacts{
		Ref: r, Managed: true, Gateway: &types.NamespacedName{Namespace: "default", Name: string(r.Name)},
		Attachments: []graph.Attachment{{Listener: graph.ListenerKey{Name: "http"}, Hostnames: []string{"*"}}},
	}
}

func route(parents ...graph.ParentFacts) *graph.RouteFacts {
	return &graph.RouteFacts{Key: graph.Key{Kind: graph.KindHTTPRoute, Namespace: "default", Name: "r"}, Parents: parents}
}

func refused(r gwv1.ParentReference, reason string) graph.ParentFacts {
	p := parent(r)
	p.Attachments, p.Unaccepted = nil, problem(reason, "says the parent")
	return p
}

func TestRouteConditions(t *testing.T) {
	t.Parallel()
	partial := problem("UnsupportedValue", "Dropped Rule 0")
	tests := []struct {
		name  string
		facts *graph.RouteFacts
		want  []string
	}{
		{"everything is well", route(parent(ref("g"))), []string{routeAccepted, resolved}},
		{"PartiallyInvalid", func() *graph.RouteFacts {
			f := route(parent(ref("g")))
			f.PartiallyInvalid = partial
			return f
		}(), []string{routeAccepted, resolved, "PartiallyInvalid=True UnsupportedValue: Dropped Rule 0"}},
		{"PartiallyInvalid, but not accepted", func() *graph.RouteFacts {
			f := route(refused(ref("g"), "NoMatchingParent"))
			f.PartiallyInvalid = partial
			return f
		}(), []string{"Accepted=False NoMatchingParent: says the parent", resolved}},
	}
	for _, reason := range []string{"NotAllowedByListeners", "NoMatchingListenerHostname", "NoMatchingParent", "UnsupportedValue", "IncompatibleFilters"} {
		tests = append(tests, struct {
			name  string
			facts *graph.RouteFacts
			want  []string
		}{reason, route(refused(ref("g"), reason)), []string{"Accepted=False " + reason + ": says the parent", resolved}})
	}
	for _, reason := range []string{"InvalidKind", "BackendNotFound", "RefNotPermitted", "UnsupportedProtocol"} {
		f := route(parent(ref("g")))
		f.Parents[0].Unresolved = problem(reason, "a backend")
		tests = append(tests, struct {
			name  string
			facts *graph.RouteFacts
			want  []string
		}{reason, f, []string{routeAccepted, "ResolvedRefs=False " + reason + ": a backend"}})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := status.Route(tt.facts, gwv1.RouteStatus{}, 3, now)
			equal(t, "conditions", text(got.Parents[0].Conditions), tt.want)
			equal(t, "stamp", stamps(got.Parents[0].Conditions)[0], "Accepted 3 04:04")

			got = status.Route(route(parent(ref("g"))), got, 4, later)
			equal(t, "conditions afterwards", text(got.Parents[0].Conditions), []string{routeAccepted, resolved})
		})
	}
}

func TestRouteAcceptedMessage(t *testing.T) {
	t.Parallel()
	listeners := func(n int) graph.ParentFacts {
		p := parent(ref("g"))
		p.Attachments = nil
		for i := range n {
			p.Attachments = append(p.Attachments, graph.Attachment{Listener: graph.ListenerKey{Name: gwv1.SectionName('a' + rune(i))}})
		}
		return p
	}
	ports := func(ports ...int32) graph.ParentFacts {
		return graph.ParentFacts{Ref: ref("s"), Managed: true, Service: &types.NamespacedName{Namespace: "default", Name: "s"}, ServicePorts: ports}
	}
	consumer, needsProxy := ports(80), ports(80)
	consumer.Service.Namespace = "other"
	needsProxy.NeedsProxy = problem("UnsupportedValue", "filters[0]: no")
	tests := []struct {
		parent graph.ParentFacts
		want   string
	}{
		{listeners(1), `Attached to listener "a"`},
		{listeners(2), `Attached to listeners "a" and "b"`},
		{listeners(3), `Attached to listeners "a", "b" and "c"`},
		{listeners(8), `Attached to listeners "a", "b", "c", "d", "e", "f", "g" and "h"`},
		{listeners(20), `Attached to listeners "a", "b", "c", "d", "e", "f", "g", "h" and 12 more`},
		{ports(), `Attached`},
		{ports(80), `Attached to port 80`},
		{ports(80, 443), `Attached to ports 80 and 443`},
		{consumer, `Attached to port 80, for clients in namespace default`},
		{needsProxy, `Attached to port 80. Clients have to have a sidecar: filters[0]: no`},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			got := status.Route(route(tt.parent), gwv1.RouteStatus{}, 1, now)
			equal(t, "message", got.Parents[0].Conditions[0].Message, tt.want)
		})
	}
}

// names returns "PARENT[/SECTION]" for our entries and "(CONTROLLER PARENT)" for those of others.
func names(parents []gwv1.RouteParentStatus) []string {
	list := []string{}
	for _, p := range parents {
		name := string(p.ParentRef.Name)
		if p.ParentRef.SectionName != nil {
			name += "/" + string(*p.ParentRef.SectionName)
		}
		if p.ControllerName != graph.ControllerName {
			name = fmt.Sprintf("(%s %s)", p.ControllerName, name)
		}
		list = append(list, name)
	}
	return list
}

func entry(controller gwv1.GatewayController, r gwv1.ParentReference) gwv1.RouteParentStatus {
	return gwv1.RouteParentStatus{ControllerName: controller, ParentRef: r, Conditions: []metav1.Condition{foreign("Accepted")}}
}

func TestRouteParents(t *testing.T) {
	t.Parallel()
	const theirs = gwv1.GatewayController("example.com/c")
	unmanaged := graph.ParentFacts{Ref: ref("other")}
	missing := graph.ParentFacts{Ref: ref("missing"), Missing: true}
	var full []gwv1.RouteParentStatus
	var fullNames []string
	for i := range 31 {
		name := gwv1.ObjectName(fmt.Sprint("p", i))
		full = append(full, entry(theirs, ref(name)))
		fullNames = append(fullNames, fmt.Sprintf("(%s %s)", theirs, name))
	}
	tests := []struct {
		name    string
		old     []gwv1.RouteParentStatus
		parents []graph.ParentFacts
		want    []string
	}{
		{"no parents", nil, nil, []string{}},
		{"none of ours", nil, []graph.ParentFacts{unmanaged, missing}, []string{}},
		{
			"in the order of the spec", nil, []graph.ParentFacts{parent(ref("b")), unmanaged, parent(ref("a")), parent(section("a", "s"))},
			[]string{"b", "a", "a/s"},
		},
		{
			"ours take the places that ours had",
			[]gwv1.RouteParentStatus{entry(theirs, ref("x")), entry(graph.ControllerName, ref("a")), entry(theirs, ref("y")), entry(graph.ControllerName, ref("b"))},
			[]graph.ParentFacts{parent(ref("b")), parent(ref("c")), parent(ref("d"))},
			[]string{"(example.com/c x)", "b", "(example.com/c y)", "c", "d"},
		},
		{
			"a parent is gone from the spec", []gwv1.RouteParentStatus{entry(graph.ControllerName, ref("a")), entry(theirs, ref("a")), entry(graph.ControllerName, ref("b"))},
			[]graph.ParentFacts{parent(ref("b"))},
			[]string{"b", "(example.com/c a)"},
		},
		{
			"a parent doesn't exist any more, another isn't ours any more",
			[]gwv1.RouteParentStatus{entry(graph.ControllerName, ref("missing")), entry(graph.ControllerName, ref("other"))},
			[]graph.ParentFacts{missing, unmanaged},
			[]string{},
		},
		{
			"the parent of another controller's entry is gone from the spec", []gwv1.RouteParentStatus{entry(theirs, ref("a"))},
			nil,
			[]string{"(example.com/c a)"},
		},
		{
			"another controller has an entry for the same parent", []gwv1.RouteParentStatus{entry(theirs, ref("a"))},
			[]graph.ParentFacts{parent(ref("a"))},
			[]string{"(example.com/c a)", "a"},
		},
		{"no more than 32", full, []graph.ParentFacts{parent(ref("a")), parent(ref("b"))}, append(fullNames, "a")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := status.Route(route(tt.parents...), gwv1.RouteStatus{Parents: tt.old}, 1, now)
			equal(t, "parents", names(got.Parents), tt.want)
			if got.Parents == nil {
				t.Error("parents is nil, the schema requires an array")
			}
			var kept, theirsBefore []gwv1.RouteParentStatus
			for _, p := range tt.old {
				if p.ControllerName == theirs {
					theirsBefore = append(theirsBefore, p)
				}
			}
			for _, p := range got.Parents {
				if p.ControllerName == theirs {
					kept = append(kept, p)
				}
			}
			equal(t, "entries of others", kept, theirsBefore)
		})
	}
}

// TestRouteEntryKey changes one field of a parentRef: it is another parent then, with a status of its own.
func TestRouteEntryKey(t *testing.T) {
	t.Parallel()
	base := section("g", "http")
	base.Namespace, base.Port = new(gwv1.Namespace("default")), new(gwv1.PortNumber(80))
	changes := map[string]func(*gwv1.ParentReference){
		"nothing":     func(*gwv1.ParentReference) {},
		"group":       func(r *gwv1.ParentReference) { r.Group = new(gwv1.Group("")) },
		"kind":        func(r *gwv1.ParentReference) { r.Kind = new(gwv1.Kind("Service")) },
		"namespace":   func(r *gwv1.ParentReference) { r.Namespace = new(gwv1.Namespace("other")) },
		"name":        func(r *gwv1.ParentReference) { r.Name = "other" },
		"sectionName": func(r *gwv1.ParentReference) { r.SectionName = new(gwv1.SectionName("https")) },
		"port":        func(r *gwv1.ParentReference) { r.Port = new(gwv1.PortNumber(443)) },
		"no port":     func(r *gwv1.ParentReference) { r.Port = nil },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, changed := *base.DeepCopy(), *base.DeepCopy()
			change(&changed)
			first := status.Route(route(parent(base)), gwv1.RouteStatus{}, 1, now)
			second := status.Route(route(parent(changed)), first, 1, later)
			want := later
			if name == "nothing" {
				want = now
			}
			equal(t, "parentRef", second.Parents[0].ParentRef, changed)
			equal(t, "lastTransitionTime", second.Parents[0].Conditions[0].LastTransitionTime, want)

			*first.Parents[0].ParentRef.Namespace = "changed"
			equal(t, "facts", *base.Namespace, gwv1.Namespace("default"))
		})
	}
}

// TestRouteForeignCondition has a condition of somebody else in an entry of ours.
func TestRouteForeignCondition(t *testing.T) {
	t.Parallel()
	old := status.Route(route(parent(ref("g"))), gwv1.RouteStatus{}, 1, now)
	old.Parents[0].Conditions = append([]metav1.Condition{foreign("example.com/Seen")}, old.Parents[0].Conditions...)
	got := status.Route(route(refused(ref("g"), "NoMatchingParent")), old, 2, later)
	equal(t, "stamps", stamps(got.Parents[0].Conditions), []string{"example.com/Seen 99 03:04", "Accepted 2 05:04", "ResolvedRefs 2 04:04"})
	equal(t, "the foreign condition", got.Parents[0].Conditions[0], foreign("example.com/Seen"))
}

// TestRouteJSON is what the schema sees of a route without parents of ours.
func TestRouteJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(status.Route(route(), gwv1.RouteStatus{}, 1, now))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "status", string(got), `{"parents":[]}`)
}
