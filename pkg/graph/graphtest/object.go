package graphtest

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func randomObject(c *choices, k graph.Key) metav1.Object {
	meta := metav1.ObjectMeta{Namespace: k.Namespace, Name: k.Name}
	switch k.Kind {
	case graph.KindGatewayClass:
		return randomClass(c, meta)
	case graph.KindGateway:
		return randomGateway(c, meta)
	case graph.KindHTTPRoute:
		return randomHTTPRoute(c, meta)
	case graph.KindGRPCRoute:
		return randomGRPCRoute(c, meta)
	case graph.KindTLSRoute, graph.KindTCPRoute, graph.KindUDPRoute:
		return randomStreamRoute(c, k.Kind, meta)
	case graph.KindListenerSet:
		return randomListenerSet(c, meta)
	case graph.KindEnvoyFleet:
		return randomFleet(c, meta)
	case graph.KindReferenceGrant:
		return randomGrant(c, meta)
	case graph.KindNamespace:
		meta.Labels = pick(c, nil, map[string]string{"team": "a"}, map[string]string{"team": "b"})
		return &corev1.Namespace{ObjectMeta: meta}
	case graph.KindService:
		return randomService(c, meta)
	case graph.KindSecret:
		return randomSecret(c, meta)
	case graph.KindEndpointSlice:
		return randomSlice(c, meta)
	case graph.KindConfigMap:
		return randomConfigMap(c, meta)
	case graph.KindBackendTLSPolicy:
		return randomTLSPolicy(c, meta)
	case graph.KindBackendTrafficPolicy:
		return randomTrafficPolicy(c, meta)
	case graph.KindBackend:
		return randomXBackend(c, meta)
	case graph.KindMesh:
		return randomXMesh(c, meta)
	}
	panic(k.Kind)
}

func randomClass(c *choices, meta metav1.ObjectMeta) *gwv1.GatewayClass {
	class := &gwv1.GatewayClass{ObjectMeta: meta, Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}}
	switch {
	case meta.Name == "theirs":
		class.Spec.ControllerName = "example.com/other"
	case c.flip(8):
		class.Spec.ParametersRef = &gwv1.ParametersReference{Kind: "ConfigMap", Name: "p"}
	case c.flip(2):
		class.Spec.ParametersRef = &gwv1.ParametersReference{
			Group: fleetv1alpha1.GroupName, Kind: "EnvoyFleet", Namespace: new(gwv1.Namespace("infra")), Name: "fleet",
		}
	}
	return class
}

func randomGateway(c *choices, meta metav1.ObjectMeta) *gwv1.Gateway {
	meta.CreationTimestamp = randomAge(c)
	gw := &gwv1.Gateway{ObjectMeta: meta, Spec: gwv1.GatewaySpec{
		GatewayClassName: pick[gwv1.ObjectName](c, "ours", "ours", "ours", "ours", "theirs"),
	}}
	i := 0
	gw.Spec.Listeners = some(c, 1, 4, func() gwv1.Listener {
		i++
		return randomListener(c, gwv1.SectionName(fmt.Sprint("l", i)))
	})
	switch c.n(16) {
	case 1, 2, 4, 5:
		gw.Spec.Addresses = some(c, 1, 2, func() gwv1.GatewaySpecAddress {
			return gwv1.GatewaySpecAddress{Value: pick(c, "10.0.0.1", "10.0.0.2", "", "", "10.0.0.9", "224.0.0.1")}
		})
	case 6:
		gw.Spec.Addresses = []gwv1.GatewaySpecAddress{{Type: new(gwv1.HostnameAddressType), Value: "example.com"}}
	case 3:
		gw.Spec.Infrastructure = &gwv1.GatewayInfrastructure{Labels: map[gwv1.LabelKey]gwv1.LabelValue{"a": "b"}}
	}
	if c.flip(2) {
		gw.Spec.TLS = randomGatewayTLS(c)
	}
	if c.flip(4) {
		gw.Spec.DefaultScope = gwv1.GatewayDefaultScopeAll
	}
	if c.flip(8) {
		gw.Spec.Infrastructure = &gwv1.GatewayInfrastructure{ParametersRef: &gwv1.LocalParametersReference{
			Group: fleetv1alpha1.GroupName, Kind: "EnvoyFleet", Name: pick(c, "fleet", "missing"),
		}}
	}
	gw.Spec.AllowedListeners = randomAllowedListeners(c)
	gw.Status.Addresses = some(c, 0, 2, func() gwv1.GatewayStatusAddress {
		return gwv1.GatewayStatusAddress{Value: pick(c, "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9")}
	})
	if c.flip(4) {
		gw.Status.Conditions = []metav1.Condition{{
			Type: graph.ConditionProvisioningFailed, Status: metav1.ConditionTrue, Reason: graph.ReasonConflict, Message: "taken",
		}}
	}
	return gw
}

func randomAllowedListeners(c *choices) *gwv1.AllowedListeners {
	switch c.n(4) {
	case 0:
		return nil
	case 1:
		return &gwv1.AllowedListeners{Namespaces: &gwv1.ListenerNamespaces{
			From: new(gwv1.NamespacesFromSelector), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}},
		}}
	}
	return &gwv1.AllowedListeners{Namespaces: &gwv1.ListenerNamespaces{From: new(gwv1.NamespacesFromAll)}}
}

func randomAge(c *choices) metav1.Time { return metav1.NewTime(time.Unix(int64(c.n(2)), 0)) }

func randomListenerSet(c *choices, meta metav1.ObjectMeta) *gwv1.ListenerSet {
	meta.CreationTimestamp = randomAge(c)
	set := &gwv1.ListenerSet{ObjectMeta: meta, Spec: gwv1.ListenerSetSpec{ParentRef: gwv1.ParentGatewayReference{
		Name: pick[gwv1.ObjectName](c, "gw", "gw", "gw", "missing"), Namespace: maybe[gwv1.Namespace](c, "app", "infra"),
	}}}
	i := 0
	set.Spec.Listeners = some(c, 1, 2, func() gwv1.ListenerEntry {
		i++
		return gwv1.ListenerEntry(randomListener(c, gwv1.SectionName(fmt.Sprint("l", i))))
	})
	return set
}

func randomFleet(c *choices, meta metav1.ObjectMeta) *fleetv1alpha1.EnvoyFleet {
	fleet := &fleetv1alpha1.EnvoyFleet{ObjectMeta: meta, Spec: fleetv1alpha1.EnvoyFleetSpec{MergeGateways: c.flip(2)}}
	if !fleet.Spec.MergeGateways && c.flip(2) {
		fleet.Spec.Provisioning = &fleetv1alpha1.Provisioning{Replicas: new(int32(c.n(3)))}
		return fleet
	}
	switch c.n(4) {
	case 0:
		fleet.Spec.Addresses = &fleetv1alpha1.Addresses{Shared: some(c, 1, 2, func() string { return pick(c, "10.0.0.1", "10.0.0.2", "224.0.0.1") })}
	case 1, 2:
		fleet.Spec.Addresses = &fleetv1alpha1.Addresses{Pool: some(c, 1, 2, func() fleetv1alpha1.AddressRange {
			return pick[fleetv1alpha1.AddressRange](c, "10.0.0.1", "10.0.0.2", "10.0.0.0/30", "10.0.0.2-10.0.0.3", "10.0.0.3-10.0.0.2")
		})}
	}
	fleet.Spec.Nodes = some(c, 0, 1, func() fleetv1alpha1.NodeSelector { return fleetv1alpha1.NodeSelector{ID: maybe(c, "edge-*", "edge-1")} })
	if c.flip(2) {
		fleet.Spec.Tracing = &fleetv1alpha1.Tracing{OpenTelemetry: fleetv1alpha1.OpenTelemetry{Service: pick(c, "s", "s", "missing"), Port: pick(c, servicePorts...)}}
	}
	if c.flip(4) {
		fleet.Spec.AccessLog = &fleetv1alpha1.AccessLog{Path: "/dev/stdout", Text: maybe(c, "%PROTOCOL%", "%UNKNOWN%")}
	}
	if c.flip(4) {
		fleet.Spec.BindAddress = new(pick(c, "0.0.0.0", "10.0.0.9", "224.0.0.1"))
	}
	return fleet
}

func randomListener(c *choices, name gwv1.SectionName) gwv1.Listener {
	l := gwv1.Listener{
		Name: name, Port: pick[int32](c, 80, 80, 443, 443, 8080, streamPort),
		Hostname: maybe[gwv1.Hostname](c, "*.example.com", "a.example.com", "b.example.com", "*.com"),
	}
	l.Protocol = gwv1.HTTPProtocolType
	switch l.Port {
	case 443:
		l.Protocol = gwv1.HTTPSProtocolType
	case streamPort:
		l.Protocol = pick(c, gwv1.TCPProtocolType, gwv1.UDPProtocolType)
	}
	if c.flip(3) {
		l.Protocol = pick(c, gwv1.HTTPProtocolType, gwv1.HTTPSProtocolType, gwv1.TLSProtocolType, gwv1.TLSProtocolType, gwv1.TCPProtocolType, gwv1.UDPProtocolType)
	}
	if l.Protocol == gwv1.TLSProtocolType && c.flip(2) {
		l.TLS = &gwv1.ListenerTLSConfig{Mode: new(gwv1.TLSModePassthrough)}
	} else if l.Protocol == gwv1.HTTPSProtocolType || l.Protocol == gwv1.TLSProtocolType {
		l.TLS = &gwv1.ListenerTLSConfig{CertificateRefs: some(c, 1, 2, func() gwv1.SecretObjectReference {
			return gwv1.SecretObjectReference{Name: "c", Namespace: maybe[gwv1.Namespace](c, "app", "infra")}
		})}
	}
	switch c.n(8) {
	case 0:
	case 1:
		l.AllowedRoutes = &gwv1.AllowedRoutes{Namespaces: &gwv1.RouteNamespaces{
			From:     new(gwv1.NamespacesFromSelector),
			Selector: &metav1.LabelSelector{MatchLabels: pick(c, nil, map[string]string{"team": "a"})},
		}}
	case 2:
		l.AllowedRoutes = &gwv1.AllowedRoutes{Kinds: some(c, 1, 2, func() gwv1.RouteGroupKind {
			return gwv1.RouteGroupKind{Kind: pick[gwv1.Kind](c, "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute")}
		})}
	default:
		l.AllowedRoutes = &gwv1.AllowedRoutes{Namespaces: &gwv1.RouteNamespaces{From: new(gwv1.NamespacesFromAll)}}
	}
	return l
}

const xgroup = "gateway.networking.x-k8s.io"

func randomGrant(c *choices, meta metav1.ObjectMeta) *gwv1.ReferenceGrant {
	return &gwv1.ReferenceGrant{ObjectMeta: meta, Spec: gwv1.ReferenceGrantSpec{
		From: some(c, 1, 2, func() gwv1.ReferenceGrantFrom {
			from := gwv1.ReferenceGrantFrom{
				Group: gwv1.GroupName, Kind: pick[gwv1.Kind](c, "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "Gateway", "ListenerSet", "XBackend"),
				Namespace: pick[gwv1.Namespace](c, "app", "infra"),
			}
			if from.Kind == "XBackend" {
				from.Group = xgroup
			}
			return from
		}),
		To: some(c, 1, 2, func() gwv1.ReferenceGrantTo {
			to := gwv1.ReferenceGrantTo{
				Group: pick[gwv1.Group](c, "", "", "", "example.com"), Kind: pick[gwv1.Kind](c, "Service", "Secret", "ConfigMap", "XBackend"),
				Name: maybe[gwv1.ObjectName](c, "s", "c", "ca", "missing"),
			}
			if to.Kind == "XBackend" {
				to.Group = xgroup
			}
			return to
		}),
	}}
}

// streamPort is what TCP and UDP listeners have for themselves, and the port of Services that is for UDP.
const streamPort = 53

var servicePorts = []int32{80, 81, streamPort}

func randomService(c *choices, meta metav1.ObjectMeta) *corev1.Service {
	s := &corev1.Service{ObjectMeta: meta}
	for _, port := range servicePorts {
		if c.flip(4) {
			continue
		}
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: pick(c, "p", "q") + fmt.Sprint(port), Port: port,
			Protocol:    pick(c, "", corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP),
			AppProtocol: pick(c, nil, nil, nil, new("kubernetes.io/h2c"), new("kubernetes.io/ws"), new("kubernetes.io/wss"), new("https")),
		})
		if port == streamPort {
			s.Spec.Ports[len(s.Spec.Ports)-1].Protocol = corev1.ProtocolUDP
		}
	}
	if c.flip(8) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "other", Port: 80, Protocol: corev1.ProtocolUDP})
	}
	if c.flip(8) {
		s.Spec.Type = corev1.ServiceTypeExternalName
	}
	s.Spec.ClusterIPs = some(c, 0, 2, func() string { return pick(c, "10.0.0.1", "10.0.0.2", "fd00::1", "127.0.0.1", corev1.ClusterIPNone) })
	if len(s.Spec.ClusterIPs) > 0 {
		s.Spec.ClusterIP = s.Spec.ClusterIPs[0]
	}
	if meta.Name == gatewayService {
		randomGatewayService(c, s)
	}
	return s
}

// gatewayService is the name of the Services that Gateways of the class ours have if they are provisioned.
const gatewayService = "gw-ours"

// randomGatewayService is a Gateway's or somebody else's, with addresses or without.
func randomGatewayService(c *choices, s *corev1.Service) {
	s.Spec.Type = pick(c, corev1.ServiceTypeClusterIP, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	s.Spec.ClusterIPs = pick(c, nil, []string{"10.0.0.1"}, []string{"10.0.0.2"})
	s.Status.LoadBalancer.Ingress = pick(c, nil, []corev1.LoadBalancerIngress{{IP: "10.0.0.1"}}, []corev1.LoadBalancerIngress{{Hostname: "example.com"}})
	if !c.flip(4) {
		s.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: gwv1.GroupVersion.String(), Kind: "Gateway", Name: "gw", Controller: new(true),
			UID: pick[types.UID](c, "", "", "", "another"),
		}}
	}
}

func randomSecret(c *choices, meta metav1.ObjectMeta) *corev1.Secret {
	pair := pick(c, keyPairs()...)
	s := &corev1.Secret{
		ObjectMeta: meta, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: pair.chain, corev1.TLSPrivateKeyKey: pair.key},
	}
	if c.flip(8) {
		s.Type = corev1.SecretTypeOpaque
	}
	return s
}

func randomSlice(c *choices, meta metav1.ObjectMeta) *discoveryv1.EndpointSlice {
	meta.Labels = map[string]string{discoveryv1.LabelServiceName: pick(c, "s", "s", "s", "other", "")}
	return &discoveryv1.EndpointSlice{
		ObjectMeta: meta, AddressType: pick(c, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeFQDN),
		Endpoints: some(c, 0, 2, func() discoveryv1.Endpoint {
			return discoveryv1.Endpoint{
				Addresses:  []string{pick(c, "10.0.0.1", "10.0.0.2")},
				Conditions: discoveryv1.EndpointConditions{Ready: pick(c, nil, nil, new(false))},
				Zone:       maybe(c, "a", "b"),
			}
		}),
		Ports: some(c, 1, 2, func() discoveryv1.EndpointPort {
			if c.flip(3) {
				return discoveryv1.EndpointPort{Name: new("p53"), Port: new(int32(5353)), Protocol: new(corev1.ProtocolUDP)}
			}
			return discoveryv1.EndpointPort{Name: pick(c, new("p80"), new("p81"), new("q80")), Port: new(pick[int32](c, 8080, 8081))}
		}),
	}
}
