package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// memoryInfrastructure gives Gateways Services in memory.
type memoryInfrastructure struct {
	*memory
	// calls are what it was asked for: "web" or "no web".
	calls []string
	// problem and err are in the way of everything.
	problem *graph.Problem
	err     error
}

func (i *memoryInfrastructure) Ensure(_ context.Context, gateway types.NamespacedName, wanted *graph.Infrastructure) (*graph.Problem, error) {
	i.mu.Lock()
	problem, err := i.problem, i.err
	call := gateway.Name
	if wanted == nil {
		call = "no " + call
	}
	i.calls = append(i.calls, call)
	i.mu.Unlock()
	if problem != nil || err != nil || wanted == nil {
		return problem, err
	}
	i.put(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: wanted.Name, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: gwv1.GroupVersion.String(), Kind: "Gateway", Name: gateway.Name, UID: wanted.UID, Controller: new(true),
		}}},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"10.96.0.7"}},
	})
	return nil, nil
}

// Watch knows of a Gateway that has something since long ago.
func (i *memoryInfrastructure) Watch(ctx context.Context, changed func(types.NamespacedName)) {
	changed(types.NamespacedName{Namespace: "ns", Name: "old"})
	<-ctx.Done()
}

func (i *memoryInfrastructure) hinder(problem *graph.Problem, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.problem, i.err = problem, err
}

// called returns what it was asked for since the last time, each thing once, sorted.
func (i *memoryInfrastructure) called() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	slices.Sort(i.calls)
	calls := slices.Compact(i.calls)
	i.calls = nil
	return calls
}

// provisionedBy refers a Gateway to the fleet.
func provisionedBy(gw *gwv1.Gateway) *gwv1.Gateway {
	gw.UID = types.UID(gw.Name)
	gw.Spec.Infrastructure = &gwv1.GatewayInfrastructure{
		ParametersRef: &gwv1.LocalParametersReference{Group: fleetv1alpha1.GroupName, Kind: "EnvoyFleet", Name: "envoys"},
	}
	return gw
}

// inCluster runs a test with a Gateway "web" that is to be provisioned, and a Gateway "old" that isn't any more.
func inCluster(t *testing.T, test func(*rig, *memoryInfrastructure)) {
	t.Helper()
	var infrastructure *memoryInfrastructure
	inRig(t, func(m *memory) {
		infrastructure = &memoryInfrastructure{memory: m}
		m.infrastructure = infrastructure
		m.put(&fleetv1alpha1.EnvoyFleet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "envoys"},
			Spec:       fleetv1alpha1.EnvoyFleetSpec{Provisioning: &fleetv1alpha1.Provisioning{ServiceType: corev1.ServiceTypeClusterIP}},
		})
		m.put(provisionedBy(httpGateway("web")))
		m.put(httpGateway("old"))
	}, func(r *rig) { test(r, infrastructure) })
}

// programmed is the status and the reason of Programmed, and what has failed.
func programmed(r *rig, name string) string {
	gw := r.read(gatewayKey(name)).(*gwv1.Gateway)
	p := meta.FindStatusCondition(gw.Status.Conditions, string(gwv1.GatewayConditionProgrammed))
	if p == nil {
		return "no status"
	}
	said := fmt.Sprintf("%s %s", p.Status, p.Reason)
	if failed := meta.FindStatusCondition(gw.Status.Conditions, graph.ConditionProvisioningFailed); failed != nil {
		said += fmt.Sprintf(", failed %s %s", failed.Status, failed.Reason)
	}
	return said
}

func expect(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestOnlyTheLeaderProvisions(t *testing.T) {
	inCluster(t, func(r *rig, infrastructure *memoryInfrastructure) {
		expect(t, "before there is a leader", []string(nil), infrastructure.called())
		r.engine.SetLeader(true)
		synctest.Wait()
		expect(t, "the leader", []string{"no old", "web"}, infrastructure.called())
		expect(t, "web", "True Programmed", programmed(r, "web"))

		r.put(provisionedBy(httpGateway("more")))
		synctest.Wait()
		expect(t, "a change", []string{"more"}, infrastructure.called())

		r.engine.SetLeader(false)
		r.put(provisionedBy(httpGateway("late")))
		synctest.Wait()
		expect(t, "no leader any more", []string(nil), infrastructure.called())
		r.engine.SetLeader(true)
		synctest.Wait()
		expect(t, "a leader again", []string{"late", "more", "no old", "web"}, infrastructure.called())
	})
}

// A problem is in the status for all replicas, and Envoys that run keep their configuration. It is logged once.
func TestProvisioningFails(t *testing.T) {
	inCluster(t, func(r *rig, infrastructure *memoryInfrastructure) {
		infrastructure.hinder(&graph.Problem{Reason: graph.ReasonConflict, Message: "taken"}, nil)
		r.engine.SetLeader(true)
		synctest.Wait()
		expect(t, "web", "False NoResources, failed True Conflict", programmed(r, "web"))

		other := startRig(t, r.memory, nil)
		defer other.stop()
		synctest.Wait()
		for _, replica := range []*rig{r, other} {
			if due := replica.engine.inspected(gatewayKey("web")); due != nil {
				t.Errorf("a replica has another status for it:\n%s", cmp.Diff(r.read(gatewayKey("web")), due))
			}
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := strings.Count(r.logs.GetBuffer().String(), `can't be provisioned; will try again namespace="ns" name="web"`); n != 1 {
			t.Errorf("logged %d times:\n%s", n, r.logs.GetBuffer().String())
		}
		infrastructure.called()

		infrastructure.hinder(nil, nil)
		time.Sleep(retryMax)
		synctest.Wait()
		expect(t, "when the problem is gone", []string{"no old", "web"}, infrastructure.called())
		expect(t, "web", "True Programmed", programmed(r, "web"))
	})
}

// That kube-apiserver can't be reached isn't the Gateway's matter.
func TestProvisioningIsTriedAgain(t *testing.T) {
	inCluster(t, func(r *rig, infrastructure *memoryInfrastructure) {
		infrastructure.hinder(nil, errors.New("connection refused"))
		r.engine.SetLeader(true)
		synctest.Wait()
		expect(t, "web", "False AddressNotAssigned", programmed(r, "web"))
		infrastructure.hinder(nil, nil)
		time.Sleep(retryMax)
		synctest.Wait()
		expect(t, "web", "True Programmed", programmed(r, "web"))
	})
}

func TestInfrastructureStaysWhenInDoubt(t *testing.T) {
	inCluster(t, func(r *rig, infrastructure *memoryInfrastructure) {
		r.engine.SetLeader(true)
		synctest.Wait()
		infrastructure.called()
		fleet := graph.Key{Kind: graph.KindEnvoyFleet, Namespace: "ns", Name: "envoys"}
		stored := r.read(fleet)
		r.remove(fleet)
		synctest.Wait()
		expect(t, "without its fleet", []string(nil), infrastructure.called())
		stored.(*fleetv1alpha1.EnvoyFleet).Spec.Provisioning = nil
		r.put(stored)
		synctest.Wait()
		expect(t, "in a fleet without provisioning", []string{"no web"}, infrastructure.called())
		expect(t, "web", "True Programmed", programmed(r, "web"))
	})
}

// inspected returns the status that an object should have, if it hasn't.
func (e *Engine) inspected(key graph.Key) (due any) {
	_ = e.inspect(context.Background(), func() {
		if obj := e.staleStatus(key); obj != nil {
			due = obj
		}
	})
	return due
}
