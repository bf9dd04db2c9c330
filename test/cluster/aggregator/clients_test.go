package aggregator

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	applyv1 "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"
	"sigs.k8s.io/gateway-api/pkg/client/informers/externalversions"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/test/script"
)

// Controllers are written with the clients and informers that the Gateway API publishes: what these tell them is what
// there is, old versions included.
func TestTypedClients(t *testing.T) {
	t.Parallel()
	const namespace = "typed-clients"
	ctx := t.Context()
	if _, err := kube.Kubectl(ctx, "create", "namespace", namespace); err != nil {
		t.Fatal(err)
	}
	client, err := versioned.NewForConfig(kube.Admin)
	if err != nil {
		t.Fatal(err)
	}
	factory := externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithNamespace(namespace))
	gateways := factory.Gateway().V1().Gateways()
	routes := factory.Gateway().V1beta1().HTTPRoutes()
	var deleted []string
	if _, err := gateways.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		DeleteFunc: func(obj any) { deleted = append(deleted, obj.(*gatewayv1.Gateway).Name) },
	}); err != nil {
		t.Fatal(err)
	}
	routes.Informer()
	ctx, stop := context.WithCancel(ctx)
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	defer stop()
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			t.Fatalf("%s: not synced", kind)
		}
	}

	created, err := client.GatewayV1().Gateways(namespace).Create(ctx, &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: "gateway-apiserver",
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !meta.IsStatusConditionTrue(created.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed)) {
		t.Errorf("the answer to the creation has the conditions %v", created.Status.Conditions)
	}

	// Server-side apply, twice: the second manager conflicts with the first.
	route := applyv1.HTTPRoute("web", namespace).WithSpec(applyv1.HTTPRouteSpec().
		WithParentRefs(applyv1.ParentReference().WithName("web")).WithHostnames("a.example.com"))
	applied, err := client.GatewayV1().HTTPRoutes(namespace).Apply(ctx, route, metav1.ApplyOptions{FieldManager: "first"})
	if err != nil {
		t.Fatal(err)
	}
	if parents := applied.Status.Parents; len(parents) != 1 || !meta.IsStatusConditionTrue(parents[0].Conditions, string(gatewayv1.RouteConditionAccepted)) {
		t.Errorf("the answer to the apply has the parents %v", parents)
	}
	route.Spec.Hostnames = []gatewayv1.Hostname{"b.example.com"}
	if _, err := client.GatewayV1().HTTPRoutes(namespace).Apply(ctx, route, metav1.ApplyOptions{FieldManager: "second"}); err == nil || !strings.Contains(err.Error(), `conflict with "first"`) {
		t.Errorf("want a conflict, have %v", err)
	}

	// The informers follow: the Gateway's status counts the route, which they see in v1beta1.
	follows(t, "the route is counted and seen", func() bool {
		gateway, err := gateways.Lister().Gateways(namespace).Get("web")
		if err != nil || len(gateway.Status.Listeners) != 1 || gateway.Status.Listeners[0].AttachedRoutes != 1 {
			return false
		}
		route, err := routes.Lister().HTTPRoutes(namespace).Get("web")
		return err == nil && len(route.Spec.Hostnames) == 1 && route.UID == applied.UID
	})
	patch := []byte(`{"spec":{"hostnames":["c.example.com"]}}`)
	if _, err := client.GatewayV1beta1().HTTPRoutes(namespace).Patch(ctx, "web", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	follows(t, "the patch is seen", func() bool {
		route, err := routes.Lister().HTTPRoutes(namespace).Get("web")
		return err == nil && route.Spec.Hostnames[0] == "c.example.com"
	})
	if err := client.GatewayV1().Gateways(namespace).Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	follows(t, "the deletion is seen", func() bool {
		all, err := gateways.Lister().List(labels.Everything())
		return err == nil && len(all) == 0
	})
	stop()
	factory.Shutdown()
	if len(deleted) != 1 || deleted[0] != "web" {
		t.Errorf("deletions: %v", deleted)
	}
}

func follows(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !script.Poll(holds) {
		t.Fatalf("informers: not true that %s", what)
	}
}

// TestOtherClients runs scripts with clients of other versions, as kubectl127 and gwctl.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	if _, err := cluster.Build(t.Context(), cluster.Clients); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "clients"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupNamespace,
		Cmds:                script.Commands(true),
	})
}
