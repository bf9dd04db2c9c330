package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	resource "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

const gwScope = "gateway/ns/gw"

func putGateway(m *memory) { m.put(httpGateway("gw")) }

// rejects is what the store of verdicts says when a node rejects what is published by a name.
func (r *rig) rejects(typeURL, name, message string) Rejection {
	r.t.Helper()
	published := r.xds.Resource(gwScope, cache.Name{TypeURL: typeURL, Name: name})
	if published == nil {
		r.t.Fatalf("nothing is published as %s", name)
	}
	return Rejection{Scope: gwScope, TypeURL: typeURL, Name: name, Version: published.Version(), Message: message, Nodes: 1}
}

// routeCondition is a condition of a route's first parent that is stored, as "Status Reason: message"; empty if there is none.
func (r *rig) routeCondition(route, conditionType string) string {
	for _, p := range r.read(routeKey(route)).(*gwv1.HTTPRoute).Status.Parents {
		return said(p.Conditions, conditionType)
	}
	return ""
}

func (r *rig) gatewayCondition(gateway, conditionType string) string {
	return said(r.read(gatewayKey(gateway)).(*gwv1.Gateway).Status.Conditions, conditionType)
}

func (r *rig) listenerCondition(gateway, conditionType string) string {
	for _, l := range r.read(gatewayKey(gateway)).(*gwv1.Gateway).Status.Listeners {
		return said(l.Conditions, conditionType)
	}
	return ""
}

func said(conditions []metav1.Condition, conditionType string) string {
	c := meta.FindStatusCondition(conditions, conditionType)
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
}

func routeKey(name string) graph.Key {
	return graph.Key{Kind: graph.KindHTTPRoute, Namespace: "ns", Name: name}
}

// hostRoute is a route of gw for one hostname.
func hostRoute(name string) *gwv1.HTTPRoute {
	route := routeTo(name, "gw")
	route.Spec.Hostnames = []gwv1.Hostname{gwv1.Hostname(name + ".example.com")}
	route.Spec.Rules = []gwv1.HTTPRouteRule{{}}
	return route
}

const programmedSays = "True Programmed: Configuration is generated and published to xDS"

// TestRejections: nodes reject a route table. The route that was made wrong says so, until something else is published.
func TestRejections(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.write(hostRoute("good"))
		good := r.xds.Resource(gwScope, cache.Name{TypeURL: resource.RouteType, Name: "ns/gw:80"})
		r.write(hostRoute("bad"))
		rejection := r.rejects(resource.RouteType, "ns/gw:80", "no such thing")
		rejection.Good = good.Any().GetValue()
		r.engine.SetRejections([]Rejection{rejection})
		synctest.Wait()
		const want = `False Invalid: 1 node rejected this configuration: "no such thing"`
		r.check("of the route that is to blame", r.routeCondition("bad", status.ConditionProgrammed), want)
		r.check("of the other route", r.routeCondition("good", status.ConditionProgrammed), "")
		r.check("of the Gateway", r.gatewayCondition("gw", "Programmed"), programmedSays)

		rejection.Nodes = 2
		r.engine.SetRejections([]Rejection{rejection})
		r.passes(rejectionPause)
		r.check("of two nodes", r.routeCondition("bad", status.ConditionProgrammed), `False Invalid: 2 nodes rejected this configuration: "no such thing"`)

		// The response to a write that leaves the spec as it is has it too, and that of one that changes the spec hasn't.
		again := r.read(routeKey("bad")).(*gwv1.HTTPRoute)
		again.Status = gwv1.HTTPRouteStatus{}
		r.engine.Render(again)
		r.check("in the response to a write of the same", said(again.Status.Parents[0].Conditions, status.ConditionProgrammed) != "", true)
		again.Generation++
		r.engine.Render(again)
		r.check("in the response to a write that mends it", said(again.Status.Parents[0].Conditions, status.ConditionProgrammed), "")

		r.write(hostRoute("third"))
		r.check("when something else is published", r.routeCondition("bad", status.ConditionProgrammed), "")
	})
}

// TestRejectedListener: a listener that is rejected is the business of its Gateway.
func TestRejectedListener(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.write(hostRoute("r"))
		r.engine.SetRejections([]Rejection{r.rejects(resource.ListenerType, "ns/gw:80", "cannot bind")})
		synctest.Wait()
		const want = `False Invalid: 1 node rejected this configuration: "cannot bind"`
		r.check("of the listener", r.listenerCondition("gw", "Programmed"), want)
		r.check("of the Gateway", r.gatewayCondition("gw", "Programmed"), want)
		r.check("of the route", r.routeCondition("r", status.ConditionProgrammed), "")
		r.engine.SetRejections(nil)
		synctest.Wait()
		r.check("of the listener, when nothing is rejected", r.listenerCondition("gw", "Programmed"), programmedSays)
		r.check("of the Gateway then", r.gatewayCondition("gw", "Programmed"), programmedSays)
	})
}

// TestRejectedStreams: nodes reject what a listener forwards connections by. The route that says where to is to blame, and no other route
// of the listener. One that takes its place is then, though what is published stays the same.
func TestRejectedStreams(t *testing.T) {
	inRig(t, func(m *memory) {
		gw := gateway("gw")
		gw.Spec.Listeners = []gwv1.Listener{
			{Name: "tls", Port: 443, Protocol: gwv1.TLSProtocolType, TLS: &gwv1.ListenerTLSConfig{Mode: new(gwv1.TLSModePassthrough)}},
			{Name: "udp", Port: 53, Protocol: gwv1.UDPProtocolType},
		}
		m.put(gw)
	}, func(r *rig) {
		r.engine.SetLeader(true)
		to := gwv1.CommonRouteSpec{ParentRefs: []gwv1.ParentReference{{Name: "gw"}}}
		writeRoute := func(name string, hostname gwv1.Hostname) {
			route := &gwv1.TLSRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: gwv1.TLSRouteSpec{CommonRouteSpec: to}}
			route.Spec.Hostnames, route.Spec.Rules = []gwv1.Hostname{hostname}, []gwv1.TLSRouteRule{{}}
			r.write(route)
		}
		key := func(name string) graph.Key { return graph.Key{Kind: graph.KindTLSRoute, Namespace: "ns", Name: name} }
		condition := func(name string) string {
			return said(r.read(key(name)).(*gwv1.TLSRoute).Status.Parents[0].Conditions, status.ConditionProgrammed)
		}
		writeRoute("good", "good.example.com")
		good := r.xds.Resource(gwScope, cache.Name{TypeURL: resource.ListenerType, Name: "ns/gw:443"})
		writeRoute("bad", "bad.example.com")
		writeRoute("next", "bad.example.com")
		rejection := r.rejects(resource.ListenerType, "ns/gw:443", "no")
		rejection.Good = good.Any().GetValue()
		r.engine.SetRejections([]Rejection{rejection})
		synctest.Wait()
		const want = `False Invalid: 1 node rejected this configuration: "no"`
		r.check("of the route that is to blame", condition("bad"), want)
		r.check("of one for other connections", condition("good"), "")
		r.check("of one that gets none of them", condition("next"), "")
		r.engine.SetRejections([]Rejection{rejection})
		r.passes(rejectionPause)
		again := r.read(key("bad")).(*gwv1.TLSRoute)
		again.Status = gwv1.TLSRouteStatus{}
		r.engine.Render(again)
		r.check("when the same is heard again", said(again.Status.Parents[0].Conditions, status.ConditionProgrammed), want)
		r.check("of the listener", r.listenerCondition("gw", "Programmed"), want)
		r.check("of the Gateway", r.gatewayCondition("gw", "Programmed"), want)

		r.engine.Deleted(r.remove(key("bad")))
		synctest.Wait()
		r.check("of the one that gets them now", condition("next"), want)
		writeRoute("next", "next.example.com")
		r.check("when something else is published", condition("next"), "")
		r.check("of the listener then", r.listenerCondition("gw", "Programmed"), programmedSays)

		packets := &gwv1.UDPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "packets"}, Spec: gwv1.UDPRouteSpec{CommonRouteSpec: to}}
		packets.Spec.Rules = []gwv1.UDPRouteRule{{}}
		r.write(packets)
		r.engine.SetRejections([]Rejection{r.rejects(resource.ListenerType, "ns/gw:53/udp", "no")})
		r.passes(rejectionPause)
		stored := r.read(graph.Key{Kind: graph.KindUDPRoute, Namespace: "ns", Name: "packets"}).(*gwv1.UDPRoute)
		r.check("of a route of packets", said(stored.Status.Parents[0].Conditions, status.ConditionProgrammed), want)
	})
}

// TestRejectedSecret: nodes reject a certificate. It is said of the listener that shows it, of its Gateway, and of no other.
func TestRejectedSecret(t *testing.T) {
	a, b := secretKey("a"), secretKey("b")
	inRig(t, func(m *memory) {
		m.put(secret(a))
		m.put(secret(b))
		m.put(gateway("gw", a, b))
	}, func(r *rig) {
		r.engine.SetLeader(true)
		synctest.Wait()
		r.engine.SetRejections([]Rejection{r.rejects(resource.SecretType, "ns/b", "no key")})
		synctest.Wait()
		const want = `False Invalid: 1 node rejected this configuration: "no key"`
		r.check("of the Gateway", r.gatewayCondition("gw", "Programmed"), want)
		listeners := r.read(gatewayKey("gw")).(*gwv1.Gateway).Status.Listeners
		r.check("of the listener that shows another one", said(listeners[0].Conditions, "Programmed"), programmedSays)
		r.check("of the listener", said(listeners[1].Conditions, "Programmed"), want)
	})
}

// putFleet stores Gateways one and two, on port 80, and three, on port 81, which an EnvoyFleet merges.
func putFleet(m *memory, each func(*gwv1.Gateway)) {
	m.put(&fleetv1alpha1.EnvoyFleet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "fleet"}, Spec: fleetv1alpha1.EnvoyFleetSpec{MergeGateways: true},
	})
	for i, name := range []string{"one", "two", "three"} {
		gw := httpGateway(name)
		gw.Spec.Infrastructure = &gwv1.GatewayInfrastructure{ParametersRef: &gwv1.LocalParametersReference{
			Group: "gateway-apiserver.dev", Kind: "EnvoyFleet", Name: "fleet",
		}}
		gw.Spec.Listeners[0].Hostname = new(gwv1.Hostname(name + ".example.com"))
		gw.Spec.Listeners[0].Port += gwv1.PortNumber(i / 2)
		each(gw)
		m.put(gw)
	}
}

// fleetRejects has nodes of the fleet reject what is published by a name.
func (r *rig) fleetRejects(typeURL, name string) {
	r.t.Helper()
	const scope = "fleet/ns/fleet"
	published := r.xds.Resource(scope, cache.Name{TypeURL: typeURL, Name: name})
	if published == nil {
		r.t.Fatalf("nothing is published as %s", name)
	}
	r.engine.SetRejections([]Rejection{{
		Scope: scope, TypeURL: typeURL, Name: name, Version: published.Version(), Message: "no", Nodes: 1,
	}})
	synctest.Wait()
}

// TestRejectedOfFleet: Gateways that are merged share an Envoy listener for each port. It is the business of those that have one there.
func TestRejectedOfFleet(t *testing.T) {
	inRig(t, func(m *memory) { putFleet(m, func(*gwv1.Gateway) {}) }, func(r *rig) {
		r.engine.SetLeader(true)
		synctest.Wait()
		r.fleetRejects(resource.ListenerType, "fleet/ns/fleet:80")
		const want = `False Invalid: 1 node rejected this configuration: "no"`
		r.check("of one that has the port", r.gatewayCondition("one", "Programmed"), want)
		r.check("of the other one", r.gatewayCondition("two", "Programmed"), want)
		r.check("of one that hasn't", r.gatewayCondition("three", "Programmed"), programmedSays)
	})
}

// TestRejectedCAOfFleet: each of them has its own CAs for the clients of a port.
func TestRejectedCAOfFleet(t *testing.T) {
	inRig(t, func(m *memory) {
		m.put(secret(secretKey("a")))
		m.put(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "ca"}, Data: map[string]string{"ca.crt": string(certificate()[corev1.TLSCertKey])},
		})
		putFleet(m, func(gw *gwv1.Gateway) {
			gw.Spec.Listeners[0].Protocol = gwv1.HTTPSProtocolType
			gw.Spec.Listeners[0].TLS = &gwv1.ListenerTLSConfig{CertificateRefs: []gwv1.SecretObjectReference{{Name: "a"}}}
			other := *gw.Spec.Listeners[0].DeepCopy()
			other.Name, other.Port = "other", 8443
			gw.Spec.Listeners = append(gw.Spec.Listeners, other)
			gw.Spec.TLS = &gwv1.GatewayTLSConfig{Frontend: &gwv1.FrontendTLSConfig{Default: gwv1.TLSConfig{
				Validation: &gwv1.FrontendTLSValidation{CACertificateRefs: []gwv1.ObjectReference{{Kind: "ConfigMap", Name: "ca"}}},
			}}}
		})
	}, func(r *rig) {
		r.engine.SetLeader(true)
		synctest.Wait()
		r.fleetRejects(resource.SecretType, "ns/one:80/client-ca")
		const want = `False Invalid: 1 node rejected this configuration: "no"`
		r.check("of the Gateway", r.gatewayCondition("one", "Programmed"), want)
		listeners := r.read(gatewayKey("one")).(*gwv1.Gateway).Status.Listeners
		r.check("of its listener on the port", said(listeners[0].Conditions, "Programmed"), want)
		r.check("of its listener on another one", said(listeners[1].Conditions, "Programmed"), programmedSays)
		r.check("of another Gateway with the port", r.gatewayCondition("two", "Programmed"), programmedSays)
	})
}

// TestRejectionsLearnt: who is to blame becomes clear when there is something to compare with. A replica that has heard both and one that
// has heard only that say the same.
func TestRejectionsLearnt(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.write(hostRoute("good"))
		good := r.xds.Resource(gwScope, cache.Name{TypeURL: resource.RouteType, Name: "ns/gw:80"})
		r.write(hostRoute("bad"))
		rejection := r.rejects(resource.RouteType, "ns/gw:80", "no such thing")
		r.engine.SetRejections([]Rejection{rejection})
		synctest.Wait()
		const want = `False Invalid: 1 node rejected this configuration: "no such thing"`
		r.check("of a route of a table of which nothing else is known", r.routeCondition("good", status.ConditionProgrammed), want)
		r.check("of the other one", r.routeCondition("bad", status.ConditionProgrammed), want)
		rejection.Good = good.Any().GetValue()
		r.engine.SetRejections([]Rejection{rejection})
		r.passes(rejectionPause)
		r.check("of the route that was fine before", r.routeCondition("good", status.ConditionProgrammed), "")
		r.check("of the one that is to blame", r.routeCondition("bad", status.ConditionProgrammed), want)
	})
}

// TestRejectionRate: however fast more nodes reject more, nothing that is to blame has more than one write a second. That something is
// rejected is said at once, and that nothing is any more, too.
func TestRejectionRate(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.write(hostRoute("r"))
		rejections := []Rejection{r.rejects(resource.RouteType, "ns/gw:80", "no"), r.rejects(resource.ListenerType, "ns/gw:80", "no")}
		before := r.writes()
		const seconds = 60
		for i := range seconds * 20 {
			rejections[i%2].Nodes++
			r.engine.SetRejections(slices.Clone(rejections))
			r.hears(r.says("x", 10000+i, 10000, 5000))
			r.passes(50 * time.Millisecond)
			if i == 0 {
				r.check("of the route, at once", r.routeCondition("r", status.ConditionProgrammed) != "", true)
			}
		}
		after := r.writes()
		for _, key := range []graph.Key{gatewayKey("gw"), routeKey("r")} {
			if n := after[key] - before[key]; n < 2 || n > seconds+1 {
				t.Errorf("%d writes of %s in %d seconds", n, key, seconds)
			}
		}
		r.passes(rejectionPause)
		r.check("in the end", r.routeCondition("r", status.ConditionProgrammed), `False Invalid: 601 nodes rejected this configuration: "no"`)
		r.engine.SetRejections(nil)
		synctest.Wait()
		r.check("when nothing is rejected", r.routeCondition("r", status.ConditionProgrammed), "")
	})
}

// TestRejectionsBeforeRun: what was rejected before a restart counts as soon as it is published, and statuses say the same all the while.
func TestRejectionsBeforeRun(t *testing.T) {
	var rejections []Rejection
	inRig(t, putGateway, func(r *rig) {
		r.engine.SetLeader(true)
		r.write(hostRoute("r"))
		rejections = []Rejection{r.rejects(resource.RouteType, "ns/gw:80", "no")}
		r.engine.SetRejections(rejections)
		synctest.Wait()
		want := r.routeCondition("r", status.ConditionProgrammed)
		r.check("before", want != "", true)
		r.stop()
		writes := len(r.history)

		next := newRig(r.t, r.memory, nil)
		next.engine.SetRejections(rejections)
		next.start()
		defer next.stop()
		next.engine.SetLeader(true)
		synctest.Wait()
		next.check("after a restart", next.routeCondition("r", status.ConditionProgrammed), want)
		next.check("writes", len(next.history), writes)
	})
}

// TestRejectionOnReplicas: all replicas say the same, and only the leader writes it.
func TestRejectionOnReplicas(t *testing.T) {
	inReplicas(t, func(a, b *rig) {
		a.write(hostRoute("r"))
		synctest.Wait()
		rejections := []Rejection{a.rejects(resource.RouteType, "ns/gw:80", "no")}
		b.engine.SetRejections(slices.Clone(rejections))
		a.engine.SetRejections(rejections)
		synctest.Wait()
		a.check("without a leader", a.routeCondition("r", status.ConditionProgrammed), "")
		a.engine.SetLeader(true)
		synctest.Wait()
		want := a.routeCondition("r", status.ConditionProgrammed)
		a.check("with a leader", want != "", true)
		// A write of the other replica leaves it there, and one that publishes something else takes it away.
		same := a.read(routeKey("r")).(*gwv1.HTTPRoute)
		same.Labels = map[string]string{"a": "b"}
		b.write(same)
		a.check("after a write of the same by the other replica", a.routeCondition("r", status.ConditionProgrammed), want)
		b.write(hostRoute("other"))
		a.check("after a write of something else there", a.routeCondition("r", status.ConditionProgrammed), "")
		synctest.Wait()
		for _, key := range []graph.Key{routeKey("r"), routeKey("other"), gatewayKey("gw")} {
			for _, r := range []*rig{a, b} {
				var due runtime.Object
				if err := r.engine.inspect(context.Background(), func() { due = r.engine.staleStatus(key) }); err != nil {
					a.t.Fatal(err)
				}
				r.check(fmt.Sprintf("what is still to be written of %s", key), due, nil)
			}
		}
	})
}
