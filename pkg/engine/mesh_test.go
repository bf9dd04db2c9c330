package engine

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// TestConsumersShare holds that a consumer route costs its namespace what it makes different, and no more, however many hosts
// there are: all else is what the other namespaces have, down to the bytes in memory.
func TestConsumersShare(t *testing.T) {
	t.Parallel()
	p := newPublication(t)
	apply := func(obj metav1.Object) { p.dirty.Merge(p.graph.Apply(obj)) }
	route := func(namespace, service string) *gwv1.HTTPRoute {
		backend := gwv1.HTTPBackendRef{BackendRef: gwv1.BackendRef{BackendObjectReference: gwv1.BackendObjectReference{
			Name: gwv1.ObjectName(service), Namespace: new(gwv1.Namespace("faces")), Port: new(gwv1.PortNumber(80)),
		}}}
		return &gwv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service}, Spec: gwv1.HTTPRouteSpec{
			CommonRouteSpec: gwv1.CommonRouteSpec{ParentRefs: []gwv1.ParentReference{{
				Group: new(gwv1.Group("")), Kind: new(gwv1.Kind("Service")), Namespace: new(gwv1.Namespace("faces")), Name: gwv1.ObjectName(service),
			}}},
			Rules: []gwv1.HTTPRouteRule{{BackendRefs: []gwv1.HTTPBackendRef{backend}}},
		}}
	}
	const hosts = 20
	for i := range hosts {
		name := fmt.Sprint("s", i)
		apply(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "faces", Name: name}, Spec: corev1.ServiceSpec{
			ClusterIP: fmt.Sprint("10.0.0.", i+1), Ports: []corev1.ServicePort{{Port: 80}},
		}})
		apply(route("faces", name))
	}
	apply(route("shop", "s7"))
	p.publish()

	for _, base := range nodes.Bases() {
		scope := nodes.ConsumerScope(base, "shop")
		own := p.publisher.scopes[scope]
		if own == nil || len(own.mesh) != 1 || len(own.needs) != 1 {
			t.Fatalf("%s: %+v, want one host and one cluster", scope, own)
		}
		under := map[cache.Name]*cache.Resource{}
		for _, r := range p.xds.Resources(base) {
			under[cache.Name{TypeURL: r.TypeURL(), Name: r.Name()}] = r
		}
		seen, others := p.xds.Resources(scope), 0
		for _, r := range seen {
			if under[cache.Name{TypeURL: r.TypeURL(), Name: r.Name()}] != r {
				others++
			}
		}
		published := 0
		for _, host := range own.mesh {
			published = len(host.named)
		}
		if len(seen) != len(under) || others == 0 || others > published+2 { // its listeners and routes, a cluster and endpoints
			t.Errorf("%s: %d resources, of which %d aren't those of %d in %s", scope, len(seen), others, len(under), base)
		}
	}

	p.dirty.Merge(p.graph.Delete(p.graph.PreviewRoute(route("shop", "s7")).Key))
	p.publish()
	for _, base := range nodes.Bases() {
		if scope := nodes.ConsumerScope(base, "shop"); p.publisher.scopes[scope] != nil {
			t.Errorf("without consumer routes, %s is kept", scope)
		}
	}
}
