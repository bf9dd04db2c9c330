package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	resource "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
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
		const want = `False Invalid: 1 of 1 nodes rejected this configuration: "no such thing"`
		r.check("of the route that is to blame", r.routeCondition("bad", status.ConditionProgrammed), want)
		r.check("of the other route", r.routeCondition("good", status.ConditionProgrammed), "")
		r.check("of the Gateway", r.gatewayCondition("gw", "Programmed"), programmedSays)

		rejection.Nodes = 2
		r.engine.SetRejections([]Rejection{rejection})
		synctest.Wait()
		r.check("of two nodes", r.routeCondition("bad", status.ConditionProgrammed), `False Invalid: 2 of 2 nodes rejected this configuration: "no such thing"`)

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
		const want = `False Invalid: 1 of 1 nodes rejected this configuration: "cannot bind"`
		r.check("of the listener", r.listenerCondition("gw", "Programmed"), want)
		r.check("of the Gateway", r.gatewayCondition("gw", "Programmed"), want)
		r.check("of the route", r.routeCondition("r", status.ConditionProgrammed), "")
		r.engine.SetRejections(nil)
		synctest.Wait()
		r.check("of the listener, when nothing is rejected", r.listenerCondition("gw", "Programmed"), programmedSays)
		r.check("of the Gateway then", r.gatewayCondition("gw", "Programmed"), programmedSays)
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
		const want = `False Invalid: 1 of 1 nodes rejected this configuration: "no key"`
		r.check("of the Gateway", r.gatewayCondition("gw", "Programmed"), want)
		listeners := r.read(gatewayKey("gw")).(*gwv1.Gateway).Status.Listeners
		r.check("of the listener that shows another one", said(listeners[0].Conditions, "Programmed"), programmedSays)
		r.check("of the listener", said(listeners[1].Conditions, "Programmed"), want)
	})
}

// TestRejectedOfFleet: Gateways that are merged share an Envoy listener for each port. It is the business of those that have one there.
func TestRejectedOfFleet(t *testing.T) {
	inRig(t, func(m *memory) {
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
			m.put(gw)
		}
	}, func(r *rig) {
		r.engine.SetLeader(true)
		synctest.Wait()
		const scope = "fleet/ns/fleet"
		for _, published := range r.xds.Resources(scope) {
			if published.TypeURL() == resource.ListenerType && published.Name() == "fleet/ns/fleet:80" {
				r.engine.SetRejections([]Rejection{{
					Scope: scope, TypeURL: published.TypeURL(), Name: published.Name(), Version: published.Version(), Message: "no", Nodes: 1,
				}})
			}
		}
		synctest.Wait()
		const want = `False Invalid: 1 of 1 nodes rejected this configuration: "no"`
		r.check("of one that has the port", r.gatewayCondition("one", "Programmed"), want)
		r.check("of the other one", r.gatewayCondition("two", "Programmed"), want)
		r.check("of one that hasn't", r.gatewayCondition("three", "Programmed"), programmedSays)
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
