package graph

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// choices turns bytes into decisions. Once they run out, every decision is the first.
type choices struct{ data []byte }

func (c *choices) n(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

func (c *choices) flip(oneIn int) bool { return c.n(oneIn) == oneIn-1 }

func pick[T any](c *choices, from ...T) T { return from[c.n(len(from))] }

func maybe[T any](c *choices, from ...T) *T {
	if c.n(2) == 0 {
		return nil
	}
	return new(pick(c, from...))
}

// some returns between min and max values.
func some[T any](c *choices, min, max int, value func() T) []T {
	var list []T
	for range min + c.n(max-min+1) {
		list = append(list, value())
	}
	return list
}

// allKeys are the objects that there can be. They are few, so that they meet each other.
var allKeys = []Key{
	{KindGatewayClass, "", "ours"}, {KindGatewayClass, "", "theirs"},
	{KindGateway, "infra", "gw"}, {KindGateway, "app", "gw"},
	{KindHTTPRoute, "app", "a"}, {KindHTTPRoute, "app", "b"}, {KindHTTPRoute, "infra", "a"},
	{KindGRPCRoute, "app", "a"}, {KindGRPCRoute, "infra", "b"},
	{KindReferenceGrant, "app", "g"}, {KindReferenceGrant, "infra", "g"}, {KindReferenceGrant, "infra", "h"},
	{KindNamespace, "", "app"}, {KindNamespace, "", "infra"},
	{KindService, "app", "s"}, {KindService, "infra", "s"},
	{KindSecret, "app", "c"}, {KindSecret, "infra", "c"},
	{KindEndpointSlice, "app", "s-1"}, {KindEndpointSlice, "app", "s-2"}, {KindEndpointSlice, "infra", "s-1"},
}

var allBackends = func() (backends []BackendKey) {
	for _, k := range allKeys {
		if k.Kind == KindService {
			backends = append(backends, BackendKey{k.NamespacedName(), 80}, BackendKey{k.NamespacedName(), 81})
		}
	}
	return backends
}()

// randomKey prefers Gateways and routes, on which most depends.
func randomKey(c *choices) Key {
	if c.flip(2) {
		return pick(c, allKeys[2:9]...)
	}
	return pick(c, allKeys...)
}

// touch returns the object as another write of its metadata and status leaves it.
func touch(obj metav1.Object) metav1.Object {
	next := obj.(runtime.Object).DeepCopyObject().(metav1.Object)
	next.SetResourceVersion(next.GetResourceVersion() + "1")
	next.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "test"}})
	switch o := next.(type) {
	case *gwv1.Gateway:
		o.Status.Conditions = []metav1.Condition{{Type: "Accepted"}}
	case *gwv1.HTTPRoute:
		o.Status.Parents = []gwv1.RouteParentStatus{{ControllerName: ControllerName}}
	case *gwv1.GRPCRoute:
		o.Status.Parents = []gwv1.RouteParentStatus{{ControllerName: ControllerName}}
	}
	return next
}

// modify returns old with one field of next.
func modify(c *choices, old, next metav1.Object) metav1.Object {
	result := old.(runtime.Object).DeepCopyObject().(metav1.Object)
	switch r := result.(type) {
	case *gwv1.Gateway:
		l, from := &r.Spec.Listeners[0], next.(*gwv1.Gateway).Spec.Listeners[0]
		switch c.n(4) {
		case 0:
			l.AllowedRoutes = from.AllowedRoutes
		case 1:
			l.Hostname = from.Hostname
		case 2:
			l.Port = from.Port
		case 3:
			l.TLS = from.TLS
		}
	case *gwv1.HTTPRoute:
		modifyRoute(c, &r.Spec, next.(*gwv1.HTTPRoute).Spec)
	case *gwv1.GRPCRoute:
		r.Spec.ParentRefs = next.(*gwv1.GRPCRoute).Spec.ParentRefs
	default:
		return next
	}
	return result
}

func modifyRoute(c *choices, spec *gwv1.HTTPRouteSpec, from gwv1.HTTPRouteSpec) {
	switch c.n(3) {
	case 0:
		spec.ParentRefs = from.ParentRefs
	case 1:
		spec.Hostnames = from.Hostnames
	case 2:
		spec.Rules = from.Rules
	}
}

func randomObject(c *choices, k Key) metav1.Object {
	meta := metav1.ObjectMeta{Namespace: k.Namespace, Name: k.Name}
	switch k.Kind {
	case KindGatewayClass:
		return randomClass(c, meta)
	case KindGateway:
		return randomGateway(c, meta)
	case KindHTTPRoute:
		return randomHTTPRoute(c, meta)
	case KindGRPCRoute:
		return randomGRPCRoute(c, meta)
	case KindReferenceGrant:
		return randomGrant(c, meta)
	case KindNamespace:
		meta.Labels = pick(c, nil, map[string]string{"team": "a"}, map[string]string{"team": "b"})
		return &corev1.Namespace{ObjectMeta: meta}
	case KindService:
		return randomService(c, meta)
	case KindSecret:
		pairs := keyPairs()
		secret := tlsSecret(k.NamespacedName().String(), pick(c, pairs.a, pairs.b, pairs.mixed, keyPair{}))
		if c.flip(8) {
			secret.Type = corev1.SecretTypeOpaque
		}
		return secret
	case KindEndpointSlice:
		meta.Labels = map[string]string{discoveryv1.LabelServiceName: pick(c, "s", "s", "s", "other", "")}
		return &discoveryv1.EndpointSlice{
			ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{pick(c, "10.0.0.1", "10.0.0.2")}}},
		}
	}
	panic(k.Kind)
}

func randomClass(c *choices, meta metav1.ObjectMeta) *gwv1.GatewayClass {
	class := &gwv1.GatewayClass{ObjectMeta: meta, Spec: gwv1.GatewayClassSpec{ControllerName: ControllerName}}
	switch {
	case meta.Name == "theirs":
		class.Spec.ControllerName = "example.com/other"
	case c.flip(8):
		class.Spec.ParametersRef = &gwv1.ParametersReference{Kind: "ConfigMap", Name: "p"}
	}
	return class
}

func randomGateway(c *choices, meta metav1.ObjectMeta) *gwv1.Gateway {
	gw := &gwv1.Gateway{ObjectMeta: meta, Spec: gwv1.GatewaySpec{GatewayClassName: pick[gwv1.ObjectName](c, "ours", "ours", "ours", "ours", "theirs")}}
	i := 0
	gw.Spec.Listeners = some(c, 1, 4, func() gwv1.Listener {
		i++
		return randomListener(c, gwv1.SectionName(fmt.Sprint("l", i)))
	})
	switch c.n(16) {
	case 1:
		gw.Spec.Addresses = []gwv1.GatewaySpecAddress{{Value: pick(c, "10.0.0.1", "224.0.0.1", "")}}
	case 2:
		gw.Spec.Addresses = []gwv1.GatewaySpecAddress{{Type: new(gwv1.HostnameAddressType), Value: "example.com"}}
	case 3:
		gw.Spec.Infrastructure = &gwv1.GatewayInfrastructure{Labels: map[gwv1.LabelKey]gwv1.LabelValue{"a": "b"}}
	case 4:
		gw.Spec.TLS = &gwv1.GatewayTLSConfig{Frontend: &gwv1.FrontendTLSConfig{Default: gwv1.TLSConfig{Validation: &gwv1.FrontendTLSValidation{}}}}
	}
	return gw
}

func randomListener(c *choices, name gwv1.SectionName) gwv1.Listener {
	l := gwv1.Listener{
		Name: name, Port: pick[int32](c, 80, 80, 443, 443, 8080),
		Hostname: maybe[gwv1.Hostname](c, "*.example.com", "a.example.com", "b.example.com", "*.com"),
	}
	l.Protocol = gwv1.HTTPProtocolType
	if l.Port == 443 {
		l.Protocol = gwv1.HTTPSProtocolType
	}
	if c.flip(16) {
		l.Protocol = pick(c, gwv1.HTTPProtocolType, gwv1.HTTPSProtocolType, gwv1.TLSProtocolType, gwv1.TCPProtocolType)
	}
	if l.Protocol == gwv1.HTTPSProtocolType {
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
			return gwv1.RouteGroupKind{Kind: pick[gwv1.Kind](c, "HTTPRoute", "GRPCRoute", "TCPRoute")}
		})}
	default:
		l.AllowedRoutes = &gwv1.AllowedRoutes{Namespaces: &gwv1.RouteNamespaces{From: new(gwv1.NamespacesFromAll)}}
	}
	return l
}

func randomParents(c *choices) gwv1.CommonRouteSpec {
	return gwv1.CommonRouteSpec{ParentRefs: some(c, 1, 2, func() gwv1.ParentReference {
		ref := gwv1.ParentReference{
			Name: "gw", Namespace: maybe[gwv1.Namespace](c, "app", "infra"),
			Port: pick[*int32](c, nil, nil, nil, new(int32(80)), new(int32(443))),
		}
		switch c.n(8) {
		case 1:
			ref.SectionName = new(gwv1.SectionName("l1"))
		case 2, 3:
			ref.Group, ref.Kind, ref.Name = new(gwv1.Group("")), new(gwv1.Kind("Service")), "s"
		case 4:
			ref.Kind = new(gwv1.Kind("ListenerSet"))
		}
		return ref
	})}
}

func randomHostnames(c *choices) []gwv1.Hostname {
	return some(c, 0, 2, func() gwv1.Hostname {
		return pick[gwv1.Hostname](c, "a.example.com", "b.example.com", "*.example.com", "other.org")
	})
}

func randomBackend(c *choices) gwv1.BackendRef {
	ref := gwv1.BackendRef{BackendObjectReference: gwv1.BackendObjectReference{
		Name: pick[gwv1.ObjectName](c, "s", "s", "s", "missing"), Namespace: maybe[gwv1.Namespace](c, "app", "infra"),
		Port: pick(c, new(int32(80)), new(int32(81)), nil),
	}}
	if c.flip(16) {
		ref.Kind = new(gwv1.Kind("Bucket"))
	}
	return ref
}

func randomHTTPRoute(c *choices, meta metav1.ObjectMeta) *gwv1.HTTPRoute {
	meta.CreationTimestamp = metav1.NewTime(time.Unix(int64(c.n(2)), 0))
	r := &gwv1.HTTPRoute{ObjectMeta: meta, Spec: gwv1.HTTPRouteSpec{CommonRouteSpec: randomParents(c), Hostnames: randomHostnames(c)}}
	r.Spec.Rules = some(c, 1, 2, func() gwv1.HTTPRouteRule {
		rule := gwv1.HTTPRouteRule{Name: maybe[gwv1.SectionName](c, "one", "two")}
		rule.BackendRefs = some(c, 0, 2, func() gwv1.HTTPBackendRef { return gwv1.HTTPBackendRef{BackendRef: randomBackend(c)} })
		switch c.n(12) {
		case 1:
			rule.Matches = []gwv1.HTTPRouteMatch{{Path: &gwv1.HTTPPathMatch{
				Type: new(gwv1.PathMatchRegularExpression), Value: new(pick(c, "/a+", "/("))}}}
		case 2:
			rule.Filters = []gwv1.HTTPRouteFilter{{Type: gwv1.HTTPRouteFilterCORS}}
		case 3:
			rule.Filters = []gwv1.HTTPRouteFilter{{
				Type:          gwv1.HTTPRouteFilterRequestMirror,
				RequestMirror: &gwv1.HTTPRequestMirrorFilter{BackendRef: randomBackend(c).BackendObjectReference},
			}}
		case 4:
			rule.Retry = &gwv1.HTTPRouteRetry{}
		}
		return rule
	})
	return r
}

func randomGRPCRoute(c *choices, meta metav1.ObjectMeta) *gwv1.GRPCRoute {
	meta.CreationTimestamp = metav1.NewTime(time.Unix(int64(c.n(2)), 0))
	r := &gwv1.GRPCRoute{ObjectMeta: meta, Spec: gwv1.GRPCRouteSpec{CommonRouteSpec: randomParents(c), Hostnames: randomHostnames(c)}}
	r.Spec.Rules = some(c, 0, 2, func() gwv1.GRPCRouteRule {
		rule := gwv1.GRPCRouteRule{
			BackendRefs: some(c, 0, 2, func() gwv1.GRPCBackendRef { return gwv1.GRPCBackendRef{BackendRef: randomBackend(c)} }),
		}
		if c.flip(8) {
			rule.Matches = []gwv1.GRPCRouteMatch{{Method: &gwv1.GRPCMethodMatch{Type: new(gwv1.GRPCMethodMatchType("Fuzzy"))}}}
		}
		return rule
	})
	return r
}

func randomGrant(c *choices, meta metav1.ObjectMeta) *gwv1.ReferenceGrant {
	return &gwv1.ReferenceGrant{ObjectMeta: meta, Spec: gwv1.ReferenceGrantSpec{
		From: some(c, 1, 2, func() gwv1.ReferenceGrantFrom {
			return gwv1.ReferenceGrantFrom{
				Group: gwv1.GroupName, Kind: pick[gwv1.Kind](c, "HTTPRoute", "GRPCRoute", "Gateway"),
				Namespace: pick[gwv1.Namespace](c, "app", "infra"),
			}
		}),
		To: some(c, 1, 2, func() gwv1.ReferenceGrantTo {
			return gwv1.ReferenceGrantTo{
				Group: pick[gwv1.Group](c, "", "", "", "example.com"), Kind: pick[gwv1.Kind](c, "Service", "Secret"),
				Name: maybe[gwv1.ObjectName](c, "s", "c", "missing"),
			}
		}),
	}}
}

func randomService(c *choices, meta metav1.ObjectMeta) *corev1.Service {
	s := &corev1.Service{ObjectMeta: meta}
	for _, port := range []int32{80, 81} {
		if c.flip(4) {
			continue
		}
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: fmt.Sprint("p", port), Port: port,
			Protocol:    pick(c, "", corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP),
			AppProtocol: pick(c, nil, nil, new("kubernetes.io/h2c"), new("https")),
		})
	}
	if c.flip(8) {
		s.Spec.Type = corev1.ServiceTypeExternalName
	}
	return s
}
