package graph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// provisionedClass is a class whose Gateways are provisioned.
func provisionedClass() (*gwv1.GatewayClass, *fleetv1alpha1.EnvoyFleet) {
	fleet := &fleetv1alpha1.EnvoyFleet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: "envoys"},
		Spec: fleetv1alpha1.EnvoyFleetSpec{Provisioning: &fleetv1alpha1.Provisioning{
			Image: "envoy", Replicas: new(int32(2)), ServiceType: corev1.ServiceTypeLoadBalancer,
		}},
	}
	return &gwv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: "ours"},
		Spec: gwv1.GatewayClassSpec{
			ControllerName: ControllerName,
			ParametersRef: &gwv1.ParametersReference{
				Group: fleetv1alpha1.GroupName, Kind: "EnvoyFleet", Name: "envoys", Namespace: new(gwv1.Namespace("infra")),
			},
		},
	}, fleet
}

const provisionedGateway = `
kind: Gateway
metadata: {name: gw, uid: "1"}
spec:
  gatewayClassName: ours
  infrastructure: {labels: {team: blue}, annotations: {note: hello}}
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: missing}]}}
  - {name: http, port: 80, protocol: HTTP}
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
  - {name: other, port: 80, protocol: HTTP, hostname: b.example.com}
`

func provisioningGraph(t *testing.T, manifests ...string) *Graph {
	t.Helper()
	g := New()
	g.EnableProvisioning()
	class, fleet := provisionedClass()
	g.Apply(class)
	g.Apply(fleet)
	for _, m := range manifests {
		apply(t, g, m)
	}
	return g
}

func TestInfrastructureWanted(t *testing.T) {
	t.Parallel()
	g := provisioningGraph(t, provisionedGateway)
	_, fleet := provisionedClass()
	want := &Infrastructure{
		Gateway: name("default/gw"), UID: "1", Class: "ours", Name: "gw-ours",
		Labels: map[string]string{"team": "blue"}, Annotations: map[string]string{"note": "hello"},
		Ports:        []InfrastructurePort{{53, corev1.ProtocolTCP}, {53, corev1.ProtocolUDP}, {80, corev1.ProtocolTCP}, {443, corev1.ProtocolTCP}},
		Provisioning: *fleet.Spec.Provisioning,
	}
	got, known := g.Infrastructure(name("default/gw"))
	if diff := cmp.Diff(want, got); diff != "" || !known {
		t.Errorf("known: %v; (-want +got):\n%s", known, diff)
	}
	if diff := cmp.Diff([]string{"default/gw"}, namesOf(g)); diff != "" {
		t.Error(diff)
	}
	if f := g.Gateway(name("default/gw")); len(f.Warnings) > 0 || len(f.Addresses) > 0 {
		t.Errorf("warnings %q, bound addresses %v", f.Warnings, f.Addresses)
	}
}

func namesOf(g *Graph) []string {
	var names []string
	for _, name := range g.Provisioned() {
		names = append(names, name.String())
	}
	return names
}

// What is there is deleted only if it is certain that it isn't wanted.
func TestInfrastructureUnwanted(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		change func(*Graph, *gwv1.GatewayClass, *fleetv1alpha1.EnvoyFleet, *gwv1.Gateway)
		known  bool
	}{
		"fleet without provisioning": {func(g *Graph, _ *gwv1.GatewayClass, f *fleetv1alpha1.EnvoyFleet, _ *gwv1.Gateway) {
			f.Spec.Provisioning = nil
			g.Apply(f)
		}, true},
		"no fleet any more": {func(g *Graph, c *gwv1.GatewayClass, _ *fleetv1alpha1.EnvoyFleet, _ *gwv1.Gateway) {
			c.Spec.ParametersRef = nil
			g.Apply(c)
		}, true},
		"class of another controller": {func(g *Graph, c *gwv1.GatewayClass, _ *fleetv1alpha1.EnvoyFleet, _ *gwv1.Gateway) {
			c.Spec.ControllerName = "example.com/other"
			g.Apply(c)
		}, true},
		"fleet is gone": {func(g *Graph, _ *gwv1.GatewayClass, f *fleetv1alpha1.EnvoyFleet, _ *gwv1.Gateway) {
			g.Delete(Key{Kind: KindEnvoyFleet, Namespace: f.Namespace, Name: f.Name})
		}, false},
		"class is gone": {func(g *Graph, c *gwv1.GatewayClass, _ *fleetv1alpha1.EnvoyFleet, _ *gwv1.Gateway) {
			g.Delete(Key{Kind: KindGatewayClass, Name: c.Name})
		}, false},
		"wrong parameters": {func(g *Graph, _ *gwv1.GatewayClass, _ *fleetv1alpha1.EnvoyFleet, gw *gwv1.Gateway) {
			gw.Spec.Infrastructure.ParametersRef = &gwv1.LocalParametersReference{Kind: "ConfigMap", Name: "x"}
			g.Apply(gw)
		}, false},
		"no valid listener": {func(g *Graph, _ *gwv1.GatewayClass, _ *fleetv1alpha1.EnvoyFleet, gw *gwv1.Gateway) {
			gw.Spec.Listeners = []gwv1.Listener{{Name: "x", Port: 80, Protocol: "example.com/x"}}
			g.Apply(gw)
		}, false},
		"Gateway is gone": {func(g *Graph, _ *gwv1.GatewayClass, _ *fleetv1alpha1.EnvoyFleet, gw *gwv1.Gateway) {
			g.Delete(key(KindGateway, "default/gw"))
		}, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			g := provisioningGraph(t, provisionedGateway)
			class, fleet := provisionedClass()
			tt.change(g, class, fleet, parseOne[*gwv1.Gateway](t, provisionedGateway))
			if wanted, known := g.Infrastructure(name("default/gw")); wanted != nil || known != tt.known {
				t.Errorf("wanted %+v, known: %v, want nothing, known: %v", wanted, known, tt.known)
			}
		})
	}
}

func gatewayService(of corev1.ServiceType) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gw-ours", OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "gw", UID: "1", Controller: new(true),
		}}},
		Spec: corev1.ServiceSpec{Type: of, ClusterIPs: []string{"10.96.0.7", "fd00::7"}},
	}
}

// withIngress gives a Service addresses of a load balancer.
func withIngress(s *corev1.Service, ingress ...corev1.LoadBalancerIngress) *corev1.Service {
	s.Status.LoadBalancer.Ingress = ingress
	return s
}

func TestInfrastructureAddresses(t *testing.T) {
	t.Parallel()
	failed := []metav1.Condition{{Type: ConditionProvisioningFailed, Status: metav1.ConditionTrue, Reason: ReasonConflict, Message: "taken"}}
	for what, tt := range map[string]struct {
		service      *corev1.Service
		addresses    []string // of the spec
		conditions   []metav1.Condition
		want         []string
		unprogrammed string
	}{
		"no Service":                        {unprogrammed: "AddressNotAssigned"},
		"load balancer without an address":  {service: gatewayService(corev1.ServiceTypeLoadBalancer), unprogrammed: "AddressNotAssigned"},
		"load balancer with an address":     {service: withIngress(gatewayService(corev1.ServiceTypeLoadBalancer), corev1.LoadBalancerIngress{IP: "192.0.2.1"}), want: []string{"IPAddress 192.0.2.1"}},
		"load balancer with a name":         {service: withIngress(gatewayService(corev1.ServiceTypeLoadBalancer), corev1.LoadBalancerIngress{Hostname: "lb.example.com"}), want: []string{"Hostname lb.example.com"}},
		"in the cluster":                    {service: gatewayService(corev1.ServiceTypeClusterIP), want: []string{"IPAddress 10.96.0.7", "IPAddress fd00::7"}},
		"on nodes":                          {service: gatewayService(corev1.ServiceTypeNodePort), want: []string{"IPAddress 10.96.0.7", "IPAddress fd00::7"}},
		"made an ExternalName by somebody":  {service: gatewayService(corev1.ServiceTypeExternalName), unprogrammed: "AddressNotAssigned"},
		"somebody else's":                   {service: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gw-ours"}, Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.7"}}}, unprogrammed: "AddressNotAssigned"},
		"the address that was asked for":    {service: gatewayService(corev1.ServiceTypeClusterIP), addresses: []string{"10.96.0.7"}, want: []string{"IPAddress 10.96.0.7", "IPAddress fd00::7"}},
		"another one than was asked for":    {service: gatewayService(corev1.ServiceTypeClusterIP), addresses: []string{"10.96.0.8"}, want: []string{"IPAddress 10.96.0.7", "IPAddress fd00::7"}, unprogrammed: "AddressNotUsable"},
		"any address asked for":             {service: gatewayService(corev1.ServiceTypeClusterIP), addresses: []string{""}, want: []string{"IPAddress 10.96.0.7", "IPAddress fd00::7"}},
		"something in the way":              {service: gatewayService(corev1.ServiceTypeClusterIP), conditions: failed, want: []string{"IPAddress 10.96.0.7", "IPAddress fd00::7"}, unprogrammed: "NoResources"},
		"what was in the way is gone again": {service: gatewayService(corev1.ServiceTypeClusterIP), conditions: []metav1.Condition{{Type: ConditionProvisioningFailed, Status: metav1.ConditionFalse}}, want: []string{"IPAddress 10.96.0.7", "IPAddress fd00::7"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			gw := parseOne[*gwv1.Gateway](t, provisionedGateway)
			gw.Status.Conditions = tt.conditions
			for _, address := range tt.addresses {
				gw.Spec.Addresses = append(gw.Spec.Addresses, gwv1.GatewaySpecAddress{Value: address})
			}
			g := provisioningGraph(t)
			g.Apply(gw)
			if tt.service != nil {
				g.Apply(tt.service)
			}
			f := g.Gateway(name("default/gw"))
			if f.Unprogrammed != nil || f.Unaccepted != nil {
				t.Errorf("Envoys get no configuration: %+v, %+v", f.Unprogrammed, f.Unaccepted)
			}
			var got []string
			for _, a := range f.Infrastructure.Addresses {
				got = append(got, string(*a.Type)+" "+a.Value)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || reason(f.Infrastructure.Unprogrammed) != tt.unprogrammed {
				t.Errorf("unprogrammed %+v, want %q; addresses (-want +got):\n%s", f.Infrastructure.Unprogrammed, tt.unprogrammed, diff)
			}
		})
	}
}

// Whatever the order in which they come, facts follow the Service, the failure and the Gateway's identity.
func TestInfrastructureDirty(t *testing.T) {
	t.Parallel()
	g := provisioningGraph(t, provisionedGateway)
	gateway := key(KindGateway, "default/gw")
	step := func(what string, obj metav1.Object, status, infrastructure bool) {
		t.Helper()
		d := g.Apply(obj)
		_, s := d.Statuses[gateway]
		_, i := d.Infrastructure[gateway.NamespacedName()]
		if s != status || i != infrastructure {
			t.Errorf("%s: status %v, infrastructure %v; want %v, %v", what, s, i, status, infrastructure)
		}
		f := g.Gateway(gateway.NamespacedName())
		if diff := cmp.Diff(g.PreviewGateway(f.Object), f); diff != "" {
			t.Errorf("%s: built at once (-) and by its history (+), facts differ:\n%s", what, diff)
		}
	}
	step("Service without an address", gatewayService(corev1.ServiceTypeLoadBalancer), true, false)
	step("address", withIngress(gatewayService(corev1.ServiceTypeLoadBalancer), corev1.LoadBalancerIngress{IP: "192.0.2.1"}), true, false)
	unchanged := withIngress(gatewayService(corev1.ServiceTypeLoadBalancer), corev1.LoadBalancerIngress{IP: "192.0.2.1"})
	unchanged.Annotations = map[string]string{"a": "b"}
	step("annotation of the Service", unchanged, false, false)
	step("another type", gatewayService(corev1.ServiceTypeClusterIP), true, false)
	given := gatewayService(corev1.ServiceTypeClusterIP)
	given.OwnerReferences = nil
	step("Service given away", given, true, false)

	gw := parseOne[*gwv1.Gateway](t, provisionedGateway)
	gw.Status.Conditions = []metav1.Condition{{Type: ConditionProvisioningFailed, Status: metav1.ConditionTrue, Reason: ReasonConflict, Message: "taken"}}
	step("failure", gw, true, false)
	gw = gw.DeepCopy()
	gw.UID = "2"
	step("Gateway made anew", gw, true, true)
	gw = gw.DeepCopy()
	gw.Spec.Infrastructure.Labels["team"] = "red"
	step("labels", gw, true, true)
	_, fleet := provisionedClass()
	fleet.Spec.Provisioning.Image = "envoy:v2"
	step("image", fleet, true, true)
}

func TestInfrastructureIsNotForThisServer(t *testing.T) {
	t.Parallel()
	g := New()
	class, fleet := provisionedClass()
	g.Apply(class)
	g.Apply(fleet)
	apply(t, g, provisionedGateway)
	f := g.Gateway(name("default/gw"))
	if reason(f.Infrastructure.Unprogrammed) != "NoResources" || f.Infrastructure.Wanted != nil || f.Unprogrammed != nil {
		t.Errorf("infrastructure %+v, unprogrammed %+v", f.Infrastructure, f.Unprogrammed)
	}
	if !strings.Contains(f.Infrastructure.Unprogrammed.Message, "gateway-apiserver install --provisioning") {
		t.Errorf("the message doesn't say how to mend it: %s", f.Infrastructure.Unprogrammed.Message)
	}
	if len(f.Warnings) != 2 {
		t.Errorf("warnings %q, want one each for labels and annotations", f.Warnings)
	}
}

func TestInfrastructureWarnings(t *testing.T) {
	t.Parallel()
	plain := graphOf(t, ourClass, provisionedGateway).Gateway(name("default/gw"))
	if len(plain.Warnings) != 2 || plain.Infrastructure != nil {
		t.Errorf("without provisioning: warnings %q, infrastructure %+v", plain.Warnings, plain.Infrastructure)
	}
	gw := parseOne[*gwv1.Gateway](t, provisionedGateway)
	gw.Spec.Infrastructure.Labels["app.kubernetes.io/managed-by"] = "me"
	g := provisioningGraph(t)
	g.Apply(gw)
	if w := g.Gateway(name("default/gw")).Warnings; len(w) != 1 || !strings.Contains(w[0], "spec.infrastructure.labels[app.kubernetes.io/managed-by]") {
		t.Errorf("warnings %q", w)
	}
}

func TestInfrastructureName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	seen := map[string]string{}
	for _, tt := range []struct{ gateway, class, want string }{
		{"web", "example", "web-example"},
		{"web", strings.Repeat("a", 59), "web-" + strings.Repeat("a", 59)},
		{"web", strings.Repeat("a", 60), ""},
		{"web.example", "c", ""},
		{"web-example", "c", "web-example-c"},
		{"1web", "c", ""},
		{"gateway-1web", "c", "gateway-1web-c"},
		{long, "x", ""},
		{long + "-x", "y", ""},
		{long + ".x", "y", ""},
		{strings.Repeat("b.", 126) + "b", strings.Repeat("c.", 126) + "c", ""},
	} {
		got := infrastructureName(tt.gateway, tt.class)
		if tt.want != "" && got != tt.want {
			t.Errorf("%s of %s is named %s, want %s", tt.gateway, tt.class, got, tt.want)
		}
		if wrong := validation.IsDNS1035Label(got); len(wrong) > 0 {
			t.Errorf("%s of %s: %q is no name of a Service: %v", tt.gateway, tt.class, got, wrong)
		}
		if other, taken := seen[got]; taken {
			t.Errorf("%s of %s is named %q, as %s is", tt.gateway, tt.class, got, other)
		}
		seen[got] = tt.gateway
	}
}
