// Package takeover tests moving a cluster's objects from CustomResourceDefinitions to gateway-apiserver and back.
package takeover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// TestTakeover moves 1,000 objects to the server and back, twice, while clients write and both commands are killed at
// random moments.
func TestTakeover(t *testing.T) {
	c := cluster.Start(t)
	apply(t, c, old)
	populate(t, c)
	before := take(t, c.Admin)
	i, err := c.Install(t.Context(), cluster.InstallOptions{Flags: []string{"--register=false"}})
	if err != nil {
		t.Fatal(err)
	}
	move := &mover{t, c, i, rand.New(rand.NewPCG(1, 1))}
	follow := follow(t, c)

	move.run("takeover", "--dry-run")
	if out, err := c.Kubectl(t.Context(), "get", "crds", "-o", "yaml"); err != nil || strings.Contains(out, "name: takeover") {
		t.Errorf("a dry run opened the side door (%v)", err)
	}
	compare(t, before, take(t, c.Admin), identity)

	writers := startWriters(t, c.Admin, "in")
	move.killed("takeover", "--on-conflict=server", before, identity)
	writers.stop()
	writers.check(t)
	after := take(t, c.Admin)
	compare(t, before, after, identity)
	checkOwners(t, c.Admin, after, namespaces)
	follow.sees("after-takeover")
	move.run("takeover")

	change(t, c)
	changed := take(t, c.Admin)
	writers = startWriters(t, c.Admin, "out")
	move.killed("handback", "--on-conflict=crds", changed, content)
	writers.stop()
	writers.check(t)
	back := take(t, c.Admin)
	compare(t, changed, back, content)
	checkOwners(t, c.Admin, back, 2*namespaces)
	move.run("handback")

	apply(t, c, current)
	before = take(t, c.Admin)
	move.run("takeover")
	after = take(t, c.Admin)
	compare(t, before, after, identity)
	checkOwners(t, c.Admin, after, 2*namespaces)
	move.run("handback")
	back = take(t, c.Admin)
	compare(t, after, back, content)
	checkOwners(t, c.Admin, back, 2*namespaces)
}

// mover runs the commands.
type mover struct {
	*testing.T
	cluster *cluster.Cluster
	*cluster.Installation
	random *rand.Rand
}

func (m *mover) try(ctx context.Context, command string, flags ...string) error {
	m.Helper()
	out, err := m.Command(ctx, append([]string{command, "--server=https://" + m.Service.Addr(), "--settle=2s"}, flags...)...)
	m.Logf("%s %s:\n%s", command, strings.Join(flags, " "), out)
	return err
}

func (m *mover) run(command string, flags ...string) {
	m.Helper()
	if err := m.try(m.Context(), command, flags...); err != nil {
		m.Fatal(err)
	}
}

// killed runs a command until it is done, and kills it at random moments before. Whenever it is killed, clients see all
// objects.
func (m *mover) killed(command, flag string, want snapshot, facts func(*unstructured.Unstructured) map[string]any) {
	m.Helper()
	for kills := 0; ; kills++ {
		ctx, cancel := m.Context(), context.CancelFunc(func() {})
		if kills < 8 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(500+m.random.IntN(12000))*time.Millisecond)
		}
		err := m.try(ctx, command, flag)
		killed := ctx.Err() != nil
		cancel()
		if err == nil {
			m.Logf("killed %d times", kills)
			return
		}
		if !killed {
			m.Fatal(err)
		}
		compare(m.T, want, take(m.T, m.cluster.Admin), facts)
		// Nobody else has to wait until the Lease of the killed one is over.
		if _, err := m.cluster.Kubectl(m.Context(), "delete", "lease", "-n", m.Namespace, "gateway-apiserver-takeover", "--ignore-not-found"); err != nil {
			m.Fatal(err)
		}
	}
}

// change does what happens in a cluster: objects are made, changed and deleted.
func change(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	client := dynamic.NewForConfigOrDie(unlimited(c.Admin))
	routes := client.Resource(httpRoutes)
	for n := range 40 {
		resource := routes.Namespace(namespaceOf(n))
		name := fmt.Sprintf("httproutes-%d", n)
		o, err := resource.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		switch n % 4 {
		case 0:
			o.SetFinalizers(nil)
			if o, err = resource.Update(t.Context(), o, metav1.UpdateOptions{}); err == nil && o.GetDeletionTimestamp() == nil {
				err = resource.Delete(t.Context(), name, metav1.DeleteOptions{})
			}
		case 1:
			// Two generations that are one to the CustomResourceDefinition, which has a field more than what comes of it.
			o.Object["spec"].(map[string]any)["hostnames"] = []any{"changed.example.com"}
			if o, err = resource.Update(t.Context(), o, metav1.UpdateOptions{FieldManager: "somebody"}); err != nil {
				t.Fatal(err)
			}
			unstructured.RemoveNestedField(o.Object, "spec", "hostnames")
			o.SetLabels(map[string]string{"changed": "yes"})
			_, err = resource.Update(t.Context(), o, metav1.UpdateOptions{FieldManager: "somebody"})
		case 2:
			o.Object["status"] = parentStatus(o, n)
			_, err = resource.UpdateStatus(t.Context(), o, metav1.UpdateOptions{FieldManager: "controller"})
		case 3:
			o.SetName("new-" + name)
			o.SetUID("")
			o.SetResourceVersion("")
			o.SetManagedFields(nil)
			_, err = resource.Create(t.Context(), o, metav1.CreateOptions{FieldManager: "somebody"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// Gateways that are new have objects that belong to them, some of which do not move.
	var made []*unstructured.Unstructured
	for n := range namespaces {
		gateways := client.Resource(kinds()[1].GroupVersionResource).Namespace(namespaceOf(n))
		o, err := gateways.Get(t.Context(), fmt.Sprintf("gateway-%d", n), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fresh := &unstructured.Unstructured{Object: map[string]any{"spec": o.Object["spec"]}}
		fresh.SetAPIVersion(o.GetAPIVersion())
		fresh.SetKind(o.GetKind())
		fresh.SetName("new-" + o.GetName())
		if fresh, err = gateways.Create(t.Context(), fresh, metav1.CreateOptions{FieldManager: "somebody"}); err != nil {
			t.Fatal(err)
		}
		made = append(made, fresh)
		route, err := routes.Namespace(namespaceOf(n)).Get(t.Context(), fmt.Sprintf("httproutes-%d", 80+n), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		route.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: fresh.GetAPIVersion(), Kind: fresh.GetKind(), Name: fresh.GetName(), UID: fresh.GetUID()}})
		if _, err := routes.Namespace(namespaceOf(n)).Update(t.Context(), route, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	own(t, client, made)
}

// follower is a client that keeps a copy of HTTPRoutes by watching them, as controllers do.
type follower struct {
	*testing.T
	client dynamic.ResourceInterface
	names  chan string
}

func follow(t *testing.T, c *cluster.Cluster) *follower {
	t.Helper()
	client := dynamic.NewForConfigOrDie(unlimited(c.Admin))
	f := &follower{t, client.Resource(httpRoutes).Namespace(namespaceOf(0)), make(chan string, 1)}
	informer := dynamicinformer.NewDynamicSharedInformerFactory(client, 0).ForResource(httpRoutes).Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(o any) {
		if name := o.(*unstructured.Unstructured).GetName(); strings.HasPrefix(name, "after-") {
			f.names <- name
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	go informer.RunWithContext(t.Context())
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the informer has not synced")
	}
	return f
}

// sees makes an object and waits until the follower has it.
func (f *follower) sees(name string) {
	f.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	o.SetAPIVersion(httpRoutes.GroupVersion().String())
	o.SetKind("HTTPRoute")
	o.SetName(name)
	if _, err := f.client.Create(f.Context(), o, metav1.CreateOptions{}); err != nil {
		f.Fatal(err)
	}
	select {
	case seen := <-f.names:
		if seen != name {
			f.Errorf("saw %s", seen)
		}
	case <-time.After(time.Minute):
		f.Errorf("a client that watches does not see %s", name)
	}
	if err := f.client.Delete(f.Context(), name, metav1.DeleteOptions{}); err != nil {
		f.Error(err)
	}
}
