package crd_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

const (
	forbidden     = ": FieldValueForbidden is in the experimental channel of the Gateway API, and this server runs with --channel=standard; remove the field, or run the server with --channel=experimental"
	badAttempts   = "spec.rules[0].retry.attempts: spec.rules[0].retry.attempts in body should be greater than or equal to 1"
	badDuration   = `spec.rules[0].timeouts.request: spec.rules[0].timeouts.request in body should match '^([0-9]{1,5}(h|m|s|ms)){1,4}$'`
	badController = `spec.controllerName: spec.controllerName in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$'`
)

var (
	routeV1         = apis.GatewayV1.WithKind("HTTPRoute")
	routeV1beta1    = apis.GatewayV1beta1.WithKind("HTTPRoute")
	routeV1alpha2   = apis.GatewayV1alpha2.WithKind("HTTPRoute")
	classV1alpha2   = apis.GatewayV1alpha2.WithKind("GatewayClass")
	backendV1alpha1 = apis.GatewayXV1alpha1.WithKind("XBackend")
	meshV1alpha1    = apis.GatewayXV1alpha1.WithKind("XMesh")
)

// withRetry is an experimental field.
func withRetry(attempts int) func(*gatewayv1.HTTPRoute) {
	return func(r *gatewayv1.HTTPRoute) { r.Spec.Rules[0].Retry = &gatewayv1.HTTPRouteRetry{Attempts: &attempts} }
}

// withTimeout is a field that v1alpha2 doesn't have.
func withTimeout(timeout gatewayv1.Duration) func(*gatewayv1.HTTPRoute) {
	return func(r *gatewayv1.HTTPRoute) {
		r.Spec.Rules[0].Timeouts = &gatewayv1.HTTPRouteTimeouts{Request: &timeout}
	}
}

func backend(tls gatewayxv1alpha1.BackendTLS) *gatewayxv1alpha1.XBackend {
	return &gatewayxv1alpha1.XBackend{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "backend"},
		Spec: gatewayxv1alpha1.BackendSpec{
			Type: "ExternalHostname", ExternalHostname: &gatewayxv1alpha1.ExternalHostnameBackend{Hostname: "example.com"},
			Port: gatewayxv1alpha1.BackendPort{Port: 443}, TLS: &tls,
		},
	}
}

func mesh(controller gatewayv1.GatewayController) *gatewayxv1alpha1.XMesh {
	return &gatewayxv1alpha1.XMesh{
		ObjectMeta: metav1.ObjectMeta{Name: "mesh"},
		Spec:       gatewayxv1alpha1.MeshSpec{ControllerName: controller},
	}
}

// The objects of these tests are of the hub's type, as they are in the registry.

func TestRulesValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		channel crd.Channel
		gvk     schema.GroupVersionKind
		obj     runtime.Object
		want    []string
	}{
		"experimental field":                           {crd.ExperimentalChannel, routeV1, route(withRetry(3)), []string{}},
		"invalid experimental field":                   {crd.ExperimentalChannel, routeV1, route(withRetry(0)), []string{badAttempts}},
		"experimental field in the standard channel":   {crd.StandardChannel, routeV1, route(withRetry(3)), []string{"spec.rules[0].retry" + forbidden}},
		"experimental field of an older version":       {crd.StandardChannel, routeV1beta1, route(withRetry(3)), []string{"spec.rules[0].retry" + forbidden}},
		"experimental field that no older version had": {crd.StandardChannel, routeV1alpha2, route(withRetry(3)), []string{"spec.rules[0].retry" + forbidden}},
		"every other error is told too": {
			crd.StandardChannel, routeV1,
			route(func(r *gatewayv1.HTTPRoute) {
				withRetry(0)(r)
				withTimeout("soon")(r)
			}),
			[]string{"spec.rules[0].retry" + forbidden, badDuration},
		},
		"several fields": {
			crd.StandardChannel, routeV1,
			route(func(r *gatewayv1.HTTPRoute) {
				withRetry(3)(r)
				r.Spec.Rules = append(r.Spec.Rules, r.Spec.Rules[0])
				r.Spec.UseDefaultGateways = gatewayv1.GatewayDefaultScopeAll
			}),
			[]string{"spec.rules[0].retry" + forbidden, "spec.rules[1].retry" + forbidden, "spec.useDefaultGateways" + forbidden},
		},
		"field that has become standard since": {
			crd.StandardChannel, routeV1alpha2,
			route(func(r *gatewayv1.HTTPRoute) { r.Spec.ParentRefs[0].Port = new(gatewayv1.PortNumber(80)) }),
			[]string{},
		},
		"optional object that Go always has": {crd.ExperimentalChannel, backendV1alpha1, backend(gatewayxv1alpha1.BackendTLS{Mode: "None"}), []string{}},
		"the same in part": {
			crd.ExperimentalChannel, backendV1alpha1, backend(gatewayxv1alpha1.BackendTLS{Mode: "None", Validation: gatewayv1.BackendTLSPolicyValidation{
				WellKnownCACertificates: new(gatewayv1.WellKnownCACertificatesSystem),
			}}),
			[]string{"spec.tls.validation.hostname: spec.tls.validation.hostname in body should be at least 1 chars long"},
		},
		"experimental kind": {crd.ExperimentalChannel, meshV1alpha1, mesh("a.b/c"), []string{}},
		"experimental kind in the standard channel": {
			crd.StandardChannel, meshV1alpha1, mesh("a.b/c"),
			[]string{"kind: FieldValueForbidden gateway.networking.x-k8s.io/v1alpha1 XMesh is in the experimental channel of the Gateway API, and this server runs with --channel=standard; run it with --channel=experimental"},
		},
		"retired version": {crd.ExperimentalChannel, routeV1alpha2, route(func(*gatewayv1.HTTPRoute) {}), []string{}},
		"retired version without a rule that came later": {crd.ExperimentalChannel, routeV1alpha2, route(invalidPath), []string{}},
		"retired version with a field that it never had": {crd.ExperimentalChannel, routeV1alpha2, route(withTimeout("1s")), []string{}},
		"each error of a retired version and of the hub once": {
			crd.ExperimentalChannel, routeV1alpha2,
			route(func(r *gatewayv1.HTTPRoute) {
				withTimeout("soon")(r)
				r.Spec.ParentRefs[0].Name = ""
			}),
			[]string{"spec.parentRefs[0].name: spec.parentRefs[0].name in body should be at least 1 chars long", badDuration},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := crd.NewRules(test.channel, test.gvk, hub(test.gvk).GroupVersionKind)
			if diff := cmp.Diff(test.want, messages(rules.Validate(t.Context(), test.obj))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRulesValidateUpdate(t *testing.T) {
	t.Parallel()
	plain, retried := route(func(*gatewayv1.HTTPRoute) {}), route(withRetry(3))
	prepended := route(func(r *gatewayv1.HTTPRoute) {
		r.Spec.Rules = append([]gatewayv1.HTTPRouteRule{{}}, retried.Spec.Rules...)
	})
	for name, test := range map[string]struct {
		channel  crd.Channel
		gvk      schema.GroupVersionKind
		obj, old runtime.Object
		want     []string
	}{
		"experimental field set":          {crd.StandardChannel, routeV1, retried, plain, []string{"spec.rules[0].retry" + forbidden}},
		"experimental field kept":         {crd.StandardChannel, routeV1, route(func(r *gatewayv1.HTTPRoute) { withRetry(3)(r); withTimeout("1s")(r) }), retried, []string{}},
		"experimental field changed":      {crd.StandardChannel, routeV1, route(withRetry(2)), retried, []string{}},
		"experimental field invalid":      {crd.StandardChannel, routeV1, route(withRetry(0)), retried, []string{badAttempts}},
		"experimental field removed":      {crd.StandardChannel, routeV1, plain, retried, []string{}},
		"experimental field moved":        {crd.StandardChannel, routeV1, prepended, retried, []string{}},
		"experimental field in one more":  {crd.StandardChannel, routeV1, route(func(r *gatewayv1.HTTPRoute) { withRetry(3)(r); r.Spec.Rules = append(r.Spec.Rules, r.Spec.Rules[0]) }), retried, []string{"spec.rules[1].retry" + forbidden}},
		"by an older version":             {crd.StandardChannel, routeV1alpha2, route(withRetry(0)), retried, []string{badAttempts}},
		"experimental kind":               {crd.StandardChannel, meshV1alpha1, &gatewayxv1alpha1.XMesh{ObjectMeta: mesh("").ObjectMeta, Spec: gatewayxv1alpha1.MeshSpec{ControllerName: "a.b/c", Description: new("new")}}, mesh("a.b/c"), []string{}},
		"experimental kind invalid":       {crd.StandardChannel, meshV1alpha1, mesh("a"), mesh("a.b/c"), []string{"spec.controllerName: Value is immutable", badController}},
		"immutable":                       {crd.ExperimentalChannel, meshV1alpha1, mesh("a.b/d"), mesh("a.b/c"), []string{"spec.controllerName: Value is immutable"}},
		"immutable by an older version":   {crd.ExperimentalChannel, classV1alpha2, class("a.b/d"), class("a.b/c"), []string{"spec.controllerName: Value is immutable"}},
		"immutable in the other channel":  {crd.StandardChannel, classV1alpha2, class("a.b/d"), class("a.b/c"), []string{"spec.controllerName: Value is immutable"}},
		"wrong before":                    {crd.ExperimentalChannel, routeV1, route(func(r *gatewayv1.HTTPRoute) { invalidPath(r); r.Spec.Hostnames = []gatewayv1.Hostname{"a.b"} }), route(invalidPath), []string{}},
		"wrong before, by older versions": {crd.ExperimentalChannel, routeV1alpha2, route(func(r *gatewayv1.HTTPRoute) { withTimeout("soon")(r); r.Spec.Hostnames = []gatewayv1.Hostname{"a.b"} }), route(withTimeout("soon")), []string{}},
		"what only the hub knows":         {crd.ExperimentalChannel, routeV1alpha2, route(withTimeout("soon")), plain, []string{badDuration}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := crd.NewRules(test.channel, test.gvk, hub(test.gvk).GroupVersionKind)
			if diff := cmp.Diff(test.want, messages(rules.ValidateUpdate(t.Context(), test.obj, test.old))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRulesValidateStatusUpdate holds that statuses are checked by the schema of the version, and by the hub's if that
// doesn't know all of them.
func TestRulesValidateStatusUpdate(t *testing.T) {
	t.Parallel()
	with := func(status gatewayv1.GatewayClassStatus) *gatewayv1.GatewayClass {
		c := class("a.b/c")
		c.Status = status
		return c
	}
	features := func(n int) gatewayv1.GatewayClassStatus {
		return gatewayv1.GatewayClassStatus{SupportedFeatures: make([]gatewayv1.SupportedFeature, n)}
	}
	conditions := gatewayv1.GatewayClassStatus{Conditions: make([]metav1.Condition, 9)}
	tooManyConditions := []string{"status.conditions: FieldValueTooMany must have at most 8 items"}
	tooManyFeatures := []string{"status.supportedFeatures: FieldValueTooMany must have at most 64 items"}
	for name, test := range map[string]struct {
		gvk    schema.GroupVersionKind
		status gatewayv1.GatewayClassStatus
		want   []string
	}{
		"hub":                        {apis.GatewayV1.WithKind("GatewayClass"), conditions, tooManyConditions},
		"older version":              {classV1alpha2, conditions, tooManyConditions},
		"field that it doesn't have": {classV1alpha2, features(65), tooManyFeatures},
	} {
		for _, channel := range channels {
			t.Run(name+"/"+string(channel), func(t *testing.T) {
				t.Parallel()
				rules := crd.NewRules(channel, test.gvk, hub(test.gvk).GroupVersionKind)
				got := messages(rules.ValidateStatusUpdate(t.Context(), with(test.status), class("a.b/c")))
				for _, want := range test.want {
					if !slices.Contains(got, want) {
						t.Errorf("errors %q, expected %q", got, want)
					}
				}
			})
		}
	}
}

// TestAccepting holds what a fast path answers for, and what not.
func TestAccepting(t *testing.T) {
	t.Parallel()
	yes, no := func(any) bool { return true }, func(any) bool { return false }
	invalid, plain := route(invalidPath), route(func(*gatewayv1.HTTPRoute) {})
	if errs := lookup("HTTPRoute").Accepting(yes).Validate(t.Context(), invalid); len(errs) > 0 {
		t.Errorf("accepted, and yet %v", errs)
	}
	if errs := lookup("HTTPRoute").Accepting(yes).ValidateUpdate(t.Context(), invalid, plain); len(errs) > 0 {
		t.Errorf("accepted update, and yet %v", errs)
	}
	if errs := lookup("HTTPRoute").Accepting(no).Validate(t.Context(), invalid); len(errs) != 2 {
		t.Errorf("not accepted: %v", errs)
	}
	if errs := lookup("HTTPRoute").Accepting(no).ValidateUpdate(t.Context(), invalid, plain); len(errs) != 2 {
		t.Errorf("update not accepted: %v", errs)
	}
	nameless := route(func(r *gatewayv1.HTTPRoute) { r.Name = "" })
	want := lookup("HTTPRoute").Accepting(no).Validate(t.Context(), nameless)
	if errs := lookup("HTTPRoute").Accepting(yes).Validate(t.Context(), nameless); len(errs) == 0 || errs.ToAggregate().Error() != want.ToAggregate().Error() {
		t.Errorf("metadata: %v, the libraries say %v", errs, want)
	}
	if errs := lookup("GatewayClass").Accepting(yes).ValidateUpdate(t.Context(), class("a.b/d"), class("a.b/c")); len(errs) != 1 {
		t.Errorf("transition: %v", errs)
	}
	lookup("HTTPRoute").Accepting(func(spec any) bool {
		if _, ok := spec.(*gatewayv1.HTTPRouteSpec); !ok {
			t.Errorf("spec is a %T", spec)
		}
		return true
	}).Validate(t.Context(), plain)
}
