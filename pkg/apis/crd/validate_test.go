package crd_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

var gatewayVersion = schema.GroupVersion(gatewayv1.GroupVersion)

func lookup(kind string) *crd.Schema { return crd.Lookup(gatewayVersion.WithKind(kind)) }

func route(change func(*gatewayv1.HTTPRoute)) *gatewayv1.HTTPRoute {
	route := &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Name: "route", Namespace: "default"},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gateway"}}},
			Rules:           []gatewayv1.HTTPRouteRule{{}},
		},
	}
	change(route)
	apis.Scheme.Default(route)
	return route
}

func gateway(change func(*gatewayv1.Gateway)) *gatewayv1.Gateway {
	gateway := &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: "gateway", Namespace: "default"},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: "class",
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}
	change(gateway)
	apis.Scheme.Default(gateway)
	return gateway
}

func class(controller gatewayv1.GatewayController) *gatewayv1.GatewayClass {
	return &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: "class"},
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: controller},
	}
}

// messages returns the errors as a client sees them, without the values that were refused.
func messages(errs field.ErrorList) []string {
	lines := []string{}
	for _, err := range errs {
		line := err.Field + ": " + err.Detail
		if err.Type != field.ErrorTypeInvalid {
			line = err.Field + ": " + string(err.Type) + strings.TrimSuffix(" "+err.Detail, " ")
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

const skipped = "<nil>: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind string
		obj  runtime.Object
		want []string
	}{
		"valid": {"HTTPRoute", route(func(*gatewayv1.HTTPRoute) {}), []string{}},
		"metadata": {
			"HTTPRoute",
			route(func(r *gatewayv1.HTTPRoute) { r.Name = "A" }),
			[]string{"metadata.name: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
		},
		"scope": {
			"GatewayClass",
			&gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "class", Namespace: "default"}, Spec: class("a.b/c").Spec},
			[]string{"metadata.namespace: FieldValueForbidden not allowed on this type"},
		},
		"rules run beside errors of form": {
			"Gateway",
			gateway(func(g *gatewayv1.Gateway) {
				g.Spec.GatewayClassName, g.Spec.Listeners[0].Hostname, g.Spec.Listeners[0].Protocol = "", new(gatewayv1.Hostname("a.b")), "TCP"
			}),
			[]string{
				"spec.gatewayClassName: spec.gatewayClassName in body should be at least 1 chars long",
				"spec.listeners: hostname must not be specified for protocols ['TCP', 'UDP']",
			},
		},
		"rules do not run beside errors of structure": {
			"Gateway",
			gateway(func(g *gatewayv1.Gateway) { g.Spec.Listeners = nil }),
			[]string{skipped, "spec.listeners: FieldValueRequired"},
		},
		"list types": {
			"Gateway",
			gateway(func(g *gatewayv1.Gateway) {
				g.Spec.Listeners = append(g.Spec.Listeners, gatewayv1.Listener{Name: "http", Port: 81, Protocol: "HTTP"})
			}),
			[]string{
				"spec.listeners: Listener name must be unique within the Gateway",
				`spec.listeners[1]: FieldValueDuplicate`,
			},
		},
		"a status is not looked at": {
			"HTTPRoute",
			route(func(r *gatewayv1.HTTPRoute) {
				r.Status.Parents = []gatewayv1.RouteParentStatus{{ControllerName: "invalid"}}
			}),
			[]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := test.obj.DeepCopyObject()
			if diff := cmp.Diff(test.want, messages(lookup(test.kind).Validate(t.Context(), test.obj))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, test.obj); diff != "" {
				t.Errorf("validation changed the object:\n%s", diff)
			}
		})
	}
}

// invalidPath is a rule that CEL refuses, as an older version of the schema may have let it in.
func invalidPath(r *gatewayv1.HTTPRoute) {
	r.Spec.Rules[0].Matches = []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Value: new("no slash")}}}
}

func TestValidateUpdate(t *testing.T) {
	t.Parallel()
	// A TLSRoute without hostnames, which v1 requires, and with a rule for each backend.
	tlsRoute := func(backends ...gatewayv1.ObjectName) *gatewayv1.TLSRoute {
		r := &gatewayv1.TLSRoute{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "n"}}
		for _, name := range backends {
			ref := gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{
				Group: new(gatewayv1.Group("")), Kind: new(gatewayv1.Kind("Service")), Name: name, Port: new(gatewayv1.PortNumber(443)),
			}}
			r.Spec.Rules = append(r.Spec.Rules, gatewayv1.TLSRouteRule{BackendRefs: []gatewayv1.BackendRef{ref}})
		}
		return r
	}
	pathErrors := []string{
		"spec.rules[0].matches[0].path: must only contain valid characters (matching ^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$) for types ['Exact', 'PathPrefix']",
		"spec.rules[0].matches[0].path: value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']",
	}
	for name, test := range map[string]struct {
		kind     string
		obj, old runtime.Object
		want     []string
	}{
		"valid":   {"HTTPRoute", route(func(r *gatewayv1.HTTPRoute) { r.Spec.Hostnames = []gatewayv1.Hostname{"a.b"} }), route(func(*gatewayv1.HTTPRoute) {}), []string{}},
		"invalid": {"HTTPRoute", route(invalidPath), route(func(*gatewayv1.HTTPRoute) {}), pathErrors},
		"invalid before, metadata changes": {
			"HTTPRoute",
			route(func(r *gatewayv1.HTTPRoute) { invalidPath(r); r.Labels = map[string]string{"a": "b"} }),
			route(invalidPath),
			[]string{},
		},
		"invalid before, another field changes": {
			"HTTPRoute",
			route(func(r *gatewayv1.HTTPRoute) { invalidPath(r); r.Spec.Hostnames = []gatewayv1.Hostname{"a.b"} }),
			route(invalidPath),
			[]string{},
		},
		"invalid before, its list changes": {
			"HTTPRoute",
			route(func(r *gatewayv1.HTTPRoute) { invalidPath(r); r.Spec.Rules[0].Name = new(gatewayv1.SectionName("a")) }),
			route(invalidPath),
			pathErrors,
		},
		"missing before, another field changes": {"TLSRoute", tlsRoute("new"), tlsRoute("old"), []string{}},
		"missing before, and worse":             {"TLSRoute", tlsRoute("one", "two"), tlsRoute("one"), []string{skipped, "spec.rules: FieldValueTooMany must have at most 1 item"}},
		"missing now": {
			"TLSRoute", tlsRoute("a"),
			func() *gatewayv1.TLSRoute {
				r := tlsRoute("a")
				r.Spec.Hostnames = []gatewayv1.Hostname{"a.b"}
				return r
			}(),
			[]string{skipped, "spec.hostnames: FieldValueRequired"},
		},
		"transition rules": {"GatewayClass", class("a.b/new"), class("a.b/old"), []string{"spec.controllerName: Value is immutable"}},
		"list types": {
			"Gateway",
			gateway(func(g *gatewayv1.Gateway) { g.Spec.Listeners = append(g.Spec.Listeners, g.Spec.Listeners[0]) }),
			gateway(func(*gatewayv1.Gateway) {}),
			[]string{
				"spec.listeners: Combination of port, protocol and hostname must be unique for each listener",
				"spec.listeners: Listener name must be unique within the Gateway",
				"spec.listeners[1]: FieldValueDuplicate",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, messages(lookup(test.kind).ValidateUpdate(t.Context(), test.obj, test.old))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateStatusUpdate(t *testing.T) {
	t.Parallel()
	address := func(addressType gatewayv1.AddressType, value string) func(g *gatewayv1.Gateway) {
		return func(g *gatewayv1.Gateway) {
			g.Status.Addresses = []gatewayv1.GatewayStatusAddress{{Type: &addressType, Value: value}}
		}
	}
	old := gateway(func(*gatewayv1.Gateway) {})
	for name, test := range map[string]struct {
		obj  *gatewayv1.Gateway
		want []string
	}{
		"unchanged": {old, []string{}},
		"valid":     {gateway(address(gatewayv1.HostnameAddressType, "a.example")), []string{}},
		"schema": {
			gateway(func(g *gatewayv1.Gateway) {
				g.Status.Conditions = []metav1.Condition{{Type: "Accepted", Status: "Maybe", Reason: "Because"}}
			}),
			[]string{
				skipped,
				"status.conditions[0].lastTransitionTime: FieldValueRequired",
				`status.conditions[0].status: FieldValueNotSupported supported values: "True", "False", "Unknown"`,
			},
		},
		"rules": {
			gateway(address(gatewayv1.HostnameAddressType, "a_b")),
			[]string{"status.addresses[0]: Hostname value must only contain valid characters (matching ^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$)"},
		},
		"list types": {
			gateway(func(g *gatewayv1.Gateway) {
				condition := metav1.Condition{Type: "Accepted", Status: "True", Reason: "Accepted", LastTransitionTime: metav1.Unix(1, 0)}
				g.Status.Conditions = []metav1.Condition{condition, condition}
			}),
			[]string{"status.conditions[1]: FieldValueDuplicate"},
		},
		"a spec is not looked at": {
			gateway(func(g *gatewayv1.Gateway) {
				address(gatewayv1.HostnameAddressType, "a.example")(g)
				g.Spec.Listeners = nil
			}),
			[]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, messages(lookup("Gateway").ValidateStatusUpdate(t.Context(), test.obj, old))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateStatusUpdateOfEmptyLists(t *testing.T) {
	t.Parallel()
	set, route := &gatewayv1.ListenerSet{}, &gatewayv1.HTTPRoute{}
	set.Status.Listeners = []gatewayv1.ListenerEntryStatus{{Name: "a", Conditions: []metav1.Condition{}}}
	if errs := lookup("ListenerSet").ValidateStatusUpdate(t.Context(), set, &gatewayv1.ListenerSet{}); len(errs) > 0 {
		t.Errorf("conditions that may be empty: %v", errs)
	}
	route.Status.Parents = []gatewayv1.RouteParentStatus{{ParentRef: gatewayv1.ParentReference{Name: "a"}, ControllerName: "a.b/c", Conditions: []metav1.Condition{}}}
	want := []string{skipped, "status.parents[0].conditions: FieldValueRequired"}
	if diff := cmp.Diff(want, messages(lookup("HTTPRoute").ValidateStatusUpdate(t.Context(), route, &gatewayv1.HTTPRoute{}))); diff != "" {
		t.Errorf("conditions that may not be empty (-want +got):\n%s", diff)
	}
}
