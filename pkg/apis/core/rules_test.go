package core_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/core"
)

// meta names an object of a test; its name is valid for every kind.
var meta = metav1.ObjectMeta{Name: "a", Namespace: "default"}

// edit returns a valid, defaulted object with one change.
func edit[T runtime.Object](valid func() T, change func(T)) T {
	obj := valid()
	change(obj)
	apis.Scheme.Default(obj)
	return obj
}

func event() *corev1.Event {
	return &corev1.Event{ObjectMeta: meta, InvolvedObject: corev1.ObjectReference{Namespace: "default"}}
}

func namespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
}

// summary is the types and paths of errors, in order.
func summary(errs field.ErrorList) string {
	var lines []string
	for _, err := range errs {
		lines = append(lines, string(err.Type)+" "+err.Field)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

const (
	invalid      = "FieldValueInvalid "
	required     = "FieldValueRequired "
	duplicate    = "FieldValueDuplicate "
	notSupported = "FieldValueNotSupported "
	forbidden    = "FieldValueForbidden "
	tooLong      = "FieldValueTooLong "
	tooMany      = "FieldValueTooMany "
)

// validateCase is a change to a valid object, and the summary of the errors that it causes.
type validateCase[T runtime.Object] struct {
	change func(T)
	want   string
}

func validate[T runtime.Object](t *testing.T, kind string, valid func() T, cases map[string]validateCase[T]) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := edit(valid, test.change)
			before := obj.DeepCopyObject()
			errs := core.Rules(kind).Validate(t.Context(), obj)
			if diff := cmp.Diff(test.want, summary(errs)); diff != "" {
				t.Errorf("errors (-want +got):\n%s\n%v", diff, errs.ToAggregate())
			}
			if !equality.Semantic.DeepEqual(before, obj) {
				t.Error("validation changed the object")
			}
		})
	}
}

func TestValidateNamespace(t *testing.T) {
	t.Parallel()
	validate(t, "Namespace", namespace, map[string]validateCase[*corev1.Namespace]{
		"valid":                            {func(*corev1.Namespace) {}, ""},
		"Namespace names have no dots":     {func(n *corev1.Namespace) { n.Name = "a.b" }, invalid + "metadata.name"},
		"Namespaces are not in namespaces": {func(n *corev1.Namespace) { n.Namespace = "a" }, forbidden + "metadata.namespace"},
		"labels have a syntax":             {func(n *corev1.Namespace) { n.Labels = map[string]string{"a": "b c"} }, invalid + "metadata.labels"},
	})
}

func TestValidateEvent(t *testing.T) {
	t.Parallel()
	validate(t, "Event", event, map[string]validateCase[*corev1.Event]{
		"valid":                                       {func(*corev1.Event) {}, ""},
		"an Event is where its object is":             {func(e *corev1.Event) { e.InvolvedObject.Namespace = "other" }, invalid + "involvedObject.namespace"},
		"an Event of a cluster is in default":         {func(e *corev1.Event) { e.InvolvedObject.Namespace = "" }, ""},
		"an Event of a cluster is not anywhere":       {func(e *corev1.Event) { e.InvolvedObject.Namespace, e.Namespace = "", "other" }, invalid + "involvedObject.namespace"},
		"an Event of a namespace is in its namespace": {func(e *corev1.Event) { e.InvolvedObject.Namespace, e.Namespace = "other", "other" }, ""},
	})
}

func TestValidateUpdate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind     string
		obj, old runtime.Object
		want     string
	}{
		"an update is validated": {"Service", edit(service, func(s *corev1.Service) { s.Spec.Ports = nil }), service(), required + "spec.ports"},
		"a clusterIP stays": {
			"Service",
			edit(service, func(s *corev1.Service) { s.Spec.ClusterIP = "None" }),
			edit(service, func(s *corev1.Service) { s.Spec.ClusterIP = "10.0.0.1" }),
			invalid + "spec.clusterIP",
		},
		"a clusterIP can be given": {
			"Service",
			edit(service, func(s *corev1.Service) { s.Spec.ClusterIP = "10.0.0.1" }),
			edit(service, func(*corev1.Service) {}),
			"",
		},
		"a Secret's type stays": {
			"Secret",
			edit(secret, func(s *corev1.Secret) { s.Type = "example.com/other" }),
			edit(secret, func(*corev1.Secret) {}),
			invalid + "type",
		},
		"immutable data stays": {
			"Secret",
			edit(secret, func(s *corev1.Secret) { s.Immutable, s.Data["a"] = new(true), nil }),
			edit(secret, func(s *corev1.Secret) { s.Immutable = new(true) }),
			forbidden + "data",
		},
		"and immutable": {
			"ConfigMap",
			edit(configMap, func(c *corev1.ConfigMap) { c.Data["a"], c.BinaryData["b"] = "", nil }),
			edit(configMap, func(c *corev1.ConfigMap) { c.Immutable = new(true) }),
			forbidden + "binaryData\n" + forbidden + "data\n" + forbidden + "immutable",
		},
		"mutable data does not": {
			"ConfigMap",
			edit(configMap, func(c *corev1.ConfigMap) { c.Immutable, c.Data["a"] = new(true), "" }),
			edit(configMap, func(*corev1.ConfigMap) {}),
			"",
		},
		"an address type stays": {
			"EndpointSlice",
			edit(endpointSlice, func(s *discoveryv1.EndpointSlice) { s.AddressType, s.Endpoints = "IPv6", nil }),
			endpointSlice(),
			invalid + "addressType",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs := core.Rules(test.kind).ValidateUpdate(t.Context(), test.obj, test.old)
			if diff := cmp.Diff(test.want, summary(errs)); diff != "" {
				t.Errorf("errors (-want +got):\n%s\n%v", diff, errs.ToAggregate())
			}
		})
	}
}

func TestValidateStatusUpdate(t *testing.T) {
	t.Parallel()
	deleted := func(phase corev1.NamespacePhase) *corev1.Namespace {
		return edit(namespace, func(n *corev1.Namespace) {
			n.DeletionTimestamp, n.Status.Phase = &metav1.Time{Time: metav1.Unix(1, 0).Time}, phase
		})
	}
	balanced := func(ip, hostname string) *corev1.Service {
		return edit(service, func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip, Hostname: hostname}}
		})
	}
	for name, test := range map[string]struct {
		kind string
		obj  runtime.Object
		want string
	}{
		"active":                      {"Namespace", edit(namespace, func(n *corev1.Namespace) { n.Status.Phase = corev1.NamespaceActive }), ""},
		"terminating and not deleted": {"Namespace", edit(namespace, func(n *corev1.Namespace) { n.Status.Phase = corev1.NamespaceTerminating }), invalid + "status.phase"},
		"terminating":                 {"Namespace", deleted(corev1.NamespaceTerminating), ""},
		"active and deleted":          {"Namespace", deleted(corev1.NamespaceActive), invalid + "status.phase"},
		"balancer":                    {"Service", balanced("10.0.0.1", "a.b"), ""},
		"no balancer":                 {"Service", balanced("one", "a_b"), invalid + "status.loadBalancer.ingress[0].hostname\n" + invalid + "status.loadBalancer.ingress[0].ip"},
		"no status":                   {"Secret", secret(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs := core.Rules(test.kind).ValidateStatusUpdate(t.Context(), test.obj, test.obj)
			if diff := cmp.Diff(test.want, summary(errs)); diff != "" {
				t.Errorf("errors (-want +got):\n%s\n%v", diff, errs.ToAggregate())
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ obj, want runtime.Object }{
		"Namespace": {namespace(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"kubernetes.io/metadata.name": "a"}}}},
		"unnamed Namespace": {
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}},
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}},
		},
		"Service": {
			&corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}, {Port: 81, Protocol: "UDP", TargetPort: intstr.FromInt32(82)}}}},
			&corev1.Service{Spec: corev1.ServiceSpec{
				Type: "ClusterIP", SessionAffinity: "None", InternalTrafficPolicy: new(corev1.ServiceInternalTrafficPolicyCluster),
				Ports: []corev1.ServicePort{{Port: 80, Protocol: "TCP", TargetPort: intstr.FromInt32(80)}, {Port: 81, Protocol: "UDP", TargetPort: intstr.FromInt32(82)}},
			}},
		},
		"LoadBalancer": {
			&corev1.Service{Spec: corev1.ServiceSpec{Type: "LoadBalancer"}},
			&corev1.Service{Spec: corev1.ServiceSpec{
				Type: "LoadBalancer", SessionAffinity: "None", InternalTrafficPolicy: new(corev1.ServiceInternalTrafficPolicyCluster), ExternalTrafficPolicy: "Cluster",
			}},
		},
		"ExternalName": {
			&corev1.Service{Spec: corev1.ServiceSpec{Type: "ExternalName"}},
			&corev1.Service{Spec: corev1.ServiceSpec{Type: "ExternalName", SessionAffinity: "None"}},
		},
		"Secret": {
			&corev1.Secret{StringData: map[string]string{"a": "b"}, Data: map[string][]byte{"a": nil, "c": {1}}},
			&corev1.Secret{Type: "Opaque", Data: map[string][]byte{"a": []byte("b"), "c": {1}}},
		},
		"EndpointSlice": {
			&discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{{}}},
			&discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{{Name: new(""), Protocol: new(corev1.ProtocolTCP)}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apis.Scheme.Default(test.obj)
			if diff := cmp.Diff(test.want, test.obj); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
