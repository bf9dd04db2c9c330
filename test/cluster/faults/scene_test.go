package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

const (
	pollInterval = 100 * time.Millisecond
	// patience is when something that was to become true is given up.
	patience = 90 * time.Second
)

// scene is a cluster in which clients write while something happens to it.
type scene struct {
	*testing.T
	kube      *cluster.Cluster
	installed *cluster.Installation
	ledger    *ledger // of all writes, whatever has happened since

	// What follows is made anew for each fault.
	clients  []*client
	direct   map[*cluster.Replica]*client // those of the clients that don't write by way of kube-apiserver
	watchers []*watcher
	stop     func() // the clients
	end      func() // the watchers
}

// newScene prepares what histories need.
func newScene(t *testing.T, kube *cluster.Cluster, installed *cluster.Installation) *scene {
	t.Helper()
	for _, key := range graphtest.KeysOf(graph.KindNamespace) {
		if _, err := kube.Kubectl(t.Context(), "create", "namespace", key.Name); err != nil {
			t.Fatal(err)
		}
	}
	return &scene{T: t, kube: kube, installed: installed, ledger: newLedger()}
}

// begin has two clients write by way of kube-apiserver, and one through each of replicas, and watchers follow on the same
// ways. It returns when all clients write.
func (s *scene) begin(replicas ...*cluster.Replica) {
	s.Helper()
	s.clients, s.direct, s.watchers = nil, map[*cluster.Replica]*client{}, nil
	admin := restClient(s, s.kube.Admin)
	writing, stop := context.WithCancel(s.Context())
	watching, end := context.WithCancel(s.Context())
	var clients, watchers sync.WaitGroup
	s.stop = func() { stop(); clients.Wait() }
	s.end = func() { end(); watchers.Wait() }
	s.Cleanup(func() { s.stop(); s.end() })
	write := func(way string, config *rest.Config) *client {
		c := &client{name: fmt.Sprintf("%s/%s", s.Name(), way), ours: restClient(s, config), core: admin, ledger: s.ledger}
		s.clients = append(s.clients, c)
		seed := rand.Uint64()
		s.Logf("%s writes the histories from %d on", c.name, seed)
		clients.Go(func() { c.run(writing, seed) })
		return c
	}
	follow := func(way string, config *rest.Config) {
		for kind := range resources {
			if core(kind) {
				continue
			}
			w := &watcher{way: way, kind: kind, client: restClient(s, config), events: map[uint64]event{}}
			s.watchers = append(s.watchers, w)
			watchers.Go(func() { w.run(watching) })
		}
	}
	follow("kube-apiserver", s.kube.Admin)
	for n := range 2 {
		write(fmt.Sprintf("kube-apiserver-%d", n), s.kube.Admin)
	}
	for _, r := range replicas {
		config := s.to(r)
		follow(r.Name, config)
		s.direct[r] = write(r.Name, config)
	}
	s.progress(s.clients...)
	s.Log("all clients write")
}

// to returns the administrator's client for a replica.
func (s *scene) to(r *cluster.Replica) *rest.Config {
	s.Helper()
	config, err := r.Direct(s.Context(), s.kube.Admin)
	if err != nil {
		s.Fatal(err)
	}
	return config
}

// progress returns when each of the clients has had some more writes acknowledged.
func (s *scene) progress(clients ...*client) {
	s.Helper()
	const more = 10
	for _, c := range clients {
		begin := c.answered.Load()
		s.eventually(func(context.Context) string {
			if done := c.answered.Load() - begin; done < more {
				return fmt.Sprintf("only %d writes of %s were answered: %v", done, c.name, c.lastFailure())
			}
			return ""
		})
	}
}

// progressWithout is progress of all clients but the one that only writes through a replica that is gone.
func (s *scene) progressWithout(victim *cluster.Replica) {
	s.Helper()
	for _, c := range s.clients {
		if c != s.direct[victim] {
			s.progress(c)
		}
	}
}

// changeCore changes nothing but core objects, as a history would.
func (s *scene) changeCore() {
	seed := rand.Uint64()
	s.Logf("changing the core objects of history %d", seed)
	for change := range graphtest.New(graphtest.Random(seed, 5000)).Changes() {
		if core(change.Key.Kind) {
			s.clients[0].writeCore(s.Context(), change, s.Name())
		}
	}
}

// eventually waits until check finds nothing wrong.
func (s *scene) eventually(check func(context.Context) string) {
	s.Helper()
	var wrong string
	if wait.PollUntilContextTimeout(s.Context(), pollInterval, patience, true, func(ctx context.Context) (bool, error) {
		wrong = check(ctx)
		return wrong == "", nil
	}) != nil {
		s.Fatal(wrong)
	}
}

// must fails the test if something that happens to the cluster doesn't.
func (s *scene) must(errs ...error) {
	s.Helper()
	for _, err := range errs {
		if err != nil {
			s.Fatal(err)
		}
	}
}

// leads says whether a replica is the leader.
func (s *scene) leads(ctx context.Context, r *cluster.Replica) bool {
	data, err := send(ctx, restClient(s, s.to(r)).Get().AbsPath("/metrics"))
	return err == nil && strings.Contains(string(data), "\ngateway_apiserver_leader 1\n")
}

// leader waits until one of the replicas leads, and returns it.
func (s *scene) leader(replicas ...*cluster.Replica) (leader *cluster.Replica) {
	s.Helper()
	s.eventually(func(ctx context.Context) string {
		for _, r := range replicas {
			if s.leads(ctx, r) {
				leader = r
				return ""
			}
		}
		return "no replica leads"
	})
	return leader
}

// check stops the clients, and checks what there is after all that has happened. The reference is a replica that has seen
// nothing but what is stored now; it and the other replicas agree on everything.
func (s *scene) check(reference *cluster.Replica, replicas ...*cluster.Replica) {
	s.Helper()
	s.stop()
	s.Log("no client writes any more")
	admin := restClient(s, s.kube.Admin)
	var stored map[graph.Key]*unstructured.Unstructured
	s.eventually(func(ctx context.Context) string {
		var err error
		if stored, err = listAll(ctx, admin); err != nil {
			return err.Error()
		}
		want, wrong := s.configuration(ctx, reference, stored)
		wrong += s.stale(ctx, reference, stored)
		for _, r := range replicas {
			got, err := s.configuration(ctx, r, stored)
			wrong += err + s.stale(ctx, r, stored)
			if diff := cmp.Diff(want, got); diff != "" {
				wrong += fmt.Sprintf("the Envoy configuration of a fresh replica (-) and of %s (+):\n%s", r.Name, diff)
			}
		}
		for _, w := range s.watchers {
			wrong += w.behind(stored)
		}
		return wrong
	})
	s.end()
	s.ledger.check(s.T, stored)
	s.Logf("all replicas agree on %d objects", len(stored))
	for _, c := range s.clients {
		s.Logf("%s: %d writes were acknowledged, and %d requests failed (%v)", c.name, c.answered.Load(), c.failed.Load(), c.lastFailure())
	}
	for _, w := range s.watchers {
		w.check(s.T, s.ledger)
	}
}

// listAll reads the objects of all kinds of our server.
func listAll(ctx context.Context, client rest.Interface) (map[graph.Key]*unstructured.Unstructured, error) {
	all := map[graph.Key]*unstructured.Unstructured{}
	for kind := range resources {
		if core(kind) {
			continue
		}
		objects, _, err := list(ctx, client, kind)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", kind, err)
		}
		maps.Copy(all, objects)
	}
	return all, nil
}

// stale compares each stored status with what a replica makes of the object now: it is asked to write it, in a dry run.
func (s *scene) stale(ctx context.Context, r *cluster.Replica, stored map[graph.Key]*unstructured.Unstructured) (diffs string) {
	client := restClient(s, s.to(r))
	for key, obj := range stored {
		answer, err := send(ctx, client.Patch(types.MergePatchType).AbsPath(objectPath(key)).Param("dryRun", metav1.DryRunAll).Body([]byte("{}")))
		if err != nil {
			diffs += fmt.Sprintf("%s: %s: %v\n", r.Name, key, err)
			continue
		}
		due, err := decode(answer)
		if err != nil {
			return err.Error()
		}
		if diff := cmp.Diff(due.Object["status"], obj.Object["status"]); diff != "" {
			diffs += fmt.Sprintf("%s: the status of %s as it should be (-) and as it is (+):\n%s", r.Name, key, diff)
		}
	}
	return diffs
}

// configuration is what a replica has for the Envoys of every Gateway that is programmed.
func (s *scene) configuration(ctx context.Context, r *cluster.Replica, stored map[graph.Key]*unstructured.Unstructured) (all map[graph.Key]any, wrong string) {
	all = map[graph.Key]any{}
	for key, obj := range stored {
		if key.Kind != graph.KindGateway || !s.programmed(obj, stored) {
			continue
		}
		var configuration any
		data, err := s.xds(ctx, r, key)
		if err == nil {
			err = json.Unmarshal(data, &configuration)
		}
		if err != nil {
			wrong += fmt.Sprintf("%s: the Envoy configuration of %s: %v\n", r.Name, key, err)
		}
		all[key] = configuration
	}
	return all, wrong
}

// xds is what a replica has for the Envoys of a Gateway, as JSON.
func (s *scene) xds(ctx context.Context, r *cluster.Replica, gateway graph.Key) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.kube.Bin, "gateway-apiserver"), "xds", "--server="+r.XDS,
		"--gateway="+gateway.Namespace+"/"+gateway.Name, "--output=json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return out, nil
}

// programmed says whether Envoys of the Gateway get any configuration. The status of one that is not ours any more is what it
// was when it still was.
func (s *scene) programmed(gateway *unstructured.Unstructured, stored map[graph.Key]*unstructured.Unstructured) bool {
	class, _, err := unstructured.NestedString(gateway.Object, "spec", "gatewayClassName")
	s.must(err)
	var status gwv1.GatewayStatus
	s.status(gateway, &status)
	return stored[graph.Key{Kind: graph.KindGatewayClass, Name: class}] != nil && slices.ContainsFunc(status.Listeners, func(l gwv1.ListenerStatus) bool {
		c := meta.FindStatusCondition(l.Conditions, string(gwv1.ListenerConditionProgrammed))
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == gateway.GetGeneration()
	})
}
