package status_test

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

const (
	gatewayAccepted  = "Accepted=True Accepted: All listeners are valid"
	listenerAccepted = "Accepted=True Accepted: The listener is valid"
	programmed       = "Programmed=True Programmed: Configuration is generated and published to xDS"
	resolved         = "ResolvedRefs=True ResolvedRefs: All references are resolved"
)

func listener(name gwv1.SectionName) *graph.ListenerFacts {
	return &graph.ListenerFacts{
		Spec:           &gwv1.Listener{Name: name, Port: 80, Protocol: gwv1.HTTPProtocolType},
		SupportedKinds: []gwv1.RouteGroupKind{{Group: new(gwv1.Group(gwv1.GroupName)), Kind: "HTTPRoute"}},
	}
}

func gateway(listeners ...*graph.ListenerFacts) *graph.GatewayFacts {
	return &graph.GatewayFacts{Object: &gwv1.Gateway{}, Managed: true, Listeners: listeners, AttachedRoutes: make([]int32, len(listeners))}
}

func TestGatewayConditions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		facts func(*graph.GatewayFacts)
		want  []string
	}{
		{"everything is well", func(*graph.GatewayFacts) {}, []string{gatewayAccepted, programmed, resolved}},
		{
			"a default Gateway", func(f *graph.GatewayFacts) { f.Object.Spec.DefaultScope = gwv1.GatewayDefaultScopeAll },
			[]string{gatewayAccepted, programmed, resolved, "DefaultGateway=True DefaultScope: Gateway has default scope All"},
		},
		{
			"no default Gateway", func(f *graph.GatewayFacts) { f.Object.Spec.DefaultScope = gwv1.GatewayDefaultScopeNone },
			[]string{gatewayAccepted, programmed, resolved},
		},
		{
			"a listener is invalid", func(f *graph.GatewayFacts) { f.SomeListenersInvalid = problem("ListenersNotValid", "https") },
			[]string{"Accepted=True ListenersNotValid: https", programmed, resolved},
		},
		{
			"no listener is valid", func(f *graph.GatewayFacts) { f.Unaccepted = problem("ListenersNotValid", "none") },
			[]string{"Accepted=False ListenersNotValid: none", "Programmed=False Invalid: none", resolved},
		},
		{
			"False before True", func(f *graph.GatewayFacts) {
				f.Unaccepted, f.SomeListenersInvalid = problem("UnsupportedAddress", "Hostname"), problem("ListenersNotValid", "https")
			},
			[]string{"Accepted=False UnsupportedAddress: Hostname", "Programmed=False Invalid: Hostname", resolved},
		},
		{
			"InvalidParameters, and what Programmed says itself", func(f *graph.GatewayFacts) {
				f.Unaccepted, f.Unprogrammed = problem("InvalidParameters", "ref"), problem("Invalid", "nothing to program")
			},
			[]string{"Accepted=False InvalidParameters: ref", "Programmed=False Invalid: nothing to program", resolved},
		},
		{
			"Invalid", func(f *graph.GatewayFacts) { f.Unaccepted = problem("Invalid", "x") },
			[]string{"Accepted=False Invalid: x", "Programmed=False Invalid: x", resolved},
		},
		{
			"AddressNotUsable", func(f *graph.GatewayFacts) { f.Unprogrammed = problem("AddressNotUsable", "0.0.0.1") },
			[]string{gatewayAccepted, "Programmed=False AddressNotUsable: 0.0.0.1", resolved},
		},
		{
			"AddressNotAssigned", func(f *graph.GatewayFacts) { f.Unprogrammed = problem("AddressNotAssigned", "no value") },
			[]string{gatewayAccepted, "Programmed=False AddressNotAssigned: no value", resolved},
		},
		{
			"ListenersNotResolved", func(f *graph.GatewayFacts) { f.Unresolved = problem("ListenersNotResolved", "https") },
			[]string{gatewayAccepted, programmed, "ResolvedRefs=False ListenersNotResolved: https"},
		},
		{
			"RefNotPermitted", func(f *graph.GatewayFacts) { f.Unresolved = problem("RefNotPermitted", "secret") },
			[]string{gatewayAccepted, programmed, "ResolvedRefs=False RefNotPermitted: secret"},
		},
		{
			"InvalidClientCertificateRef", func(f *graph.GatewayFacts) { f.Unresolved = problem("InvalidClientCertificateRef", "secret") },
			[]string{gatewayAccepted, programmed, "ResolvedRefs=False InvalidClientCertificateRef: secret"},
		},
		{
			"insecure frontends", func(f *graph.GatewayFacts) { f.InsecureFrontend = problem("ConfigurationChanged", "fallback") },
			[]string{gatewayAccepted, programmed, resolved, "InsecureFrontendValidationMode=True ConfigurationChanged: fallback"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := gateway(listener("http"))
			tt.facts(f)
			got := status.Gateway(f, gwv1.GatewayStatus{Conditions: pending("Accepted", "Programmed")}, 3, now)
			equal(t, "conditions", text(got.Conditions), tt.want)
			for _, stamp := range stamps(got.Conditions) {
				if !strings.HasSuffix(stamp, " 3 04:04") {
					t.Errorf("%s, want generation 3 and 04:04", stamp)
				}
			}
		})
	}
}

func TestListenerConditions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		facts graph.ListenerFacts
		want  []string
	}{
		{"everything is well", graph.ListenerFacts{}, []string{listenerAccepted, programmed, resolved}},
		{
			"HostnameConflict",
			graph.ListenerFacts{
				Conflict: problem("HostnameConflict", "c"), Unaccepted: problem("HostnameConflict", "a"), Unprogrammed: problem("Invalid", "p"),
			},
			[]string{
				"Accepted=False HostnameConflict: a", "Programmed=False Invalid: p", resolved,
				"Conflicted=True HostnameConflict: c",
			},
		},
		{
			"ProtocolConflict",
			graph.ListenerFacts{
				Conflict: problem("ProtocolConflict", "c"), Unaccepted: problem("ProtocolConflict", "a"), Unprogrammed: problem("Invalid", "p"),
			},
			[]string{
				"Accepted=False ProtocolConflict: a", "Programmed=False Invalid: p", resolved,
				"Conflicted=True ProtocolConflict: c",
			},
		},
		{
			"UnsupportedProtocol", graph.ListenerFacts{Unaccepted: problem("UnsupportedProtocol", "a"), Unprogrammed: problem("Invalid", "p")},
			[]string{"Accepted=False UnsupportedProtocol: a", "Programmed=False Invalid: p", resolved},
		},
		{
			"UnsupportedValue", graph.ListenerFacts{Unaccepted: problem("UnsupportedValue", "a"), Unprogrammed: problem("Invalid", "p")},
			[]string{"Accepted=False UnsupportedValue: a", "Programmed=False Invalid: p", resolved},
		},
		{
			"PortUnavailable", graph.ListenerFacts{Unaccepted: problem("PortUnavailable", "a"), Unprogrammed: problem("Pending", "p")},
			[]string{"Accepted=False PortUnavailable: a", "Programmed=False Pending: p", resolved},
		},
		{
			"InvalidCertificateRef", graph.ListenerFacts{Unresolved: problem("InvalidCertificateRef", "r"), Unprogrammed: problem("Invalid", "p")},
			[]string{listenerAccepted, "Programmed=False Invalid: p", "ResolvedRefs=False InvalidCertificateRef: r"},
		},
		{
			"InvalidRouteKinds", graph.ListenerFacts{Unresolved: problem("InvalidRouteKinds", "r")},
			[]string{listenerAccepted, programmed, "ResolvedRefs=False InvalidRouteKinds: r"},
		},
		{
			"RefNotPermitted", graph.ListenerFacts{Unresolved: problem("RefNotPermitted", "r")},
			[]string{listenerAccepted, programmed, "ResolvedRefs=False RefNotPermitted: r"},
		},
		{
			"OverlappingHostnames", graph.ListenerFacts{Overlapping: problem("OverlappingHostnames", "o")},
			[]string{listenerAccepted, programmed, resolved, "OverlappingTLSConfig=True OverlappingHostnames: o"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.facts.Spec = &gwv1.Listener{Name: "l"}
			got := status.Gateway(gateway(&tt.facts), gwv1.GatewayStatus{}, 3, now)
			equal(t, "conditions", text(got.Listeners[0].Conditions), tt.want)

			// Once all is well, what told of problems only is gone.
			well := &graph.ListenerFacts{Spec: tt.facts.Spec}
			got = status.Gateway(gateway(well), got, 4, later)
			equal(t, "conditions afterwards", text(got.Listeners[0].Conditions), []string{listenerAccepted, programmed, resolved})
		})
	}
}

func TestGatewayListeners(t *testing.T) {
	t.Parallel()
	old := gwv1.GatewayStatus{
		Listeners: []gwv1.ListenerStatus{
			{Name: "gone", AttachedRoutes: 5, Conditions: []metav1.Condition{foreign("example.com/Seen")}},
			{Name: "b", AttachedRoutes: 6, Conditions: []metav1.Condition{foreign("example.com/Seen")}},
		},
	}
	f := gateway(listener("a"), listener("b"), listener("c"))
	f.AttachedRoutes = []int32{1, 2, 3}
	f.Listeners[2].SupportedKinds = nil
	got := status.Gateway(f, old, 1, now)

	type entry struct {
		Name   gwv1.SectionName
		Routes int32
		Kinds  string
		Stamps []string
	}
	var entries []entry
	for _, l := range got.Listeners {
		kinds, err := json.Marshal(l.SupportedKinds)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{l.Name, l.AttachedRoutes, string(kinds), stamps(l.Conditions)})
	}
	httpRoute := `[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute"}]`
	fresh := []string{"Accepted 1 04:04", "Programmed 1 04:04", "ResolvedRefs 1 04:04"}
	equal(t, "listeners", entries, []entry{
		{"a", 1, httpRoute, fresh},
		{"b", 2, httpRoute, append([]string{"example.com/Seen 99 03:04"}, fresh...)},
		{"c", 3, "[]", fresh},
	})
	equal(t, "the foreign condition", got.Listeners[1].Conditions[0], foreign("example.com/Seen"))

	*got.Listeners[0].SupportedKinds[0].Group = "changed"
	equal(t, "facts", *f.Listeners[0].SupportedKinds[0].Group, gwv1.Group(gwv1.GroupName))
}

// TestGatewayListenersOfListenerSets: the listeners of ListenerSets have no entries in the status of the Gateway.
func TestGatewayListenersOfListenerSets(t *testing.T) {
	t.Parallel()
	others := listener("a")
	others.Key = graph.ListenerKey{Parent: graph.Key{Kind: graph.KindListenerSet, Namespace: "default", Name: "more"}, Name: "a"}
	others.Unaccepted = problem("HostnameConflict", "a")
	f := gateway(listener("a"), others)
	f.AttachedRoutes, f.AttachedListenerSets = []int32{1}, 2

	got := status.Gateway(f, gwv1.GatewayStatus{}, 1, now)
	if got.AttachedListenerSets != nil {
		t.Errorf("attachedListenerSets is %d without a word about them in spec", *got.AttachedListenerSets)
	}
	if len(got.Listeners) != 1 || got.Listeners[0].AttachedRoutes != 1 {
		t.Errorf("listeners: %+v, want that of the Gateway with 1 route", got.Listeners)
	}
	f.Object.Spec.AllowedListeners = &gwv1.AllowedListeners{}
	equal(t, "attachedListenerSets", status.Gateway(f, gwv1.GatewayStatus{}, 1, now).AttachedListenerSets, new(int32(2)))
	f.AttachedListenerSets = 0
	equal(t, "attachedListenerSets of none", status.Gateway(f, got, 1, now).AttachedListenerSets, new(int32(0)))
}

func TestGatewayAddresses(t *testing.T) {
	t.Parallel()
	ip := func(values ...string) (list []gwv1.GatewayStatusAddress) {
		for _, v := range values {
			list = append(list, gwv1.GatewayStatusAddress{Type: new(gwv1.IPAddressType), Value: v})
		}
		return list
	}
	tests := []struct {
		name  string
		old   []gwv1.GatewayStatusAddress
		bound []string
		want  []gwv1.GatewayStatusAddress
	}{
		{"none", nil, nil, nil},
		{"as in the spec", nil, []string{"192.0.2.2", "2001:db8::1"}, ip("192.0.2.2", "2001:db8::1")},
		{"no more", ip("192.0.2.2"), nil, nil},
		{"another", ip("192.0.2.2"), []string{"192.0.2.3"}, ip("192.0.2.3")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := gateway(listener("http"))
			f.Addresses = tt.bound
			equal(t, "addresses", status.Gateway(f, gwv1.GatewayStatus{Addresses: tt.old}, 1, now).Addresses, tt.want)
		})
	}
}

func TestGatewayUnmanaged(t *testing.T) {
	t.Parallel()
	f := gateway(listener("http"))
	ours := status.Gateway(f, gwv1.GatewayStatus{Conditions: pending("Accepted", "Programmed", "example.com/Theirs")}, 1, now)
	f.Managed = false
	equal(t, "status", status.Gateway(f, ours, 2, later), ours)
	with := *ours.DeepCopy()
	with.Conditions = append(pending(status.ConditionDelivered), with.Conditions...)
	before := *with.DeepCopy()
	equal(t, "status without what only we write", status.Gateway(f, with, 2, later), ours)
	equal(t, "what it was made of", with, before)
}
