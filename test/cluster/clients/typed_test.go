package clients

import (
	"context"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	apply "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"
	"sigs.k8s.io/gateway-api/pkg/client/informers/externalversions"
)

const otherController = "example.com/other"

// testTyped uses the generated clients of the Gateway API: clientset, informers, listers and apply configurations, in all
// its versions.
func testTyped(t *testing.T, namespace string) {
	t.Parallel()
	client, err := versioned.NewForConfig(kube.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if err := makeNamespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	c := &typed{T: t, Clientset: client, namespace: namespace}
	c.watch()
	c.create()
	c.serverSideApply()
	c.olderVersions()
	c.statusOfOthers()
	c.deletes()
}

// typed are the clients of one namespace.
type typed struct {
	*testing.T
	*versioned.Clientset
	namespace string
	informers externalversions.SharedInformerFactory
	// events are what the informer of HTTPRoutes has handled: added, updated or deleted, and a name.
	events chan string
}

// watch starts informers in all versions, before there is anything.
func (c *typed) watch() {
	c.informers = externalversions.NewSharedInformerFactoryWithOptions(c, 0, externalversions.WithNamespace(c.namespace))
	c.events = make(chan string, 100)
	event := func(what string, object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		c.events <- what + " " + object.(*gatewayv1.HTTPRoute).Name
	}
	if _, err := c.informers.Gateway().V1().HTTPRoutes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { event("added", object) },
		UpdateFunc: func(_, object any) { event("updated", object) },
		DeleteFunc: func(object any) { event("deleted", object) },
	}); err != nil {
		c.Fatal(err)
	}
	gateway, experimental := c.informers.Gateway(), c.informers.Experimental()
	for _, informer := range []cache.SharedIndexInformer{
		gateway.V1().Gateways().Informer(), gateway.V1().GRPCRoutes().Informer(),
		gateway.V1beta1().Gateways().Informer(), gateway.V1beta1().HTTPRoutes().Informer(), gateway.V1beta1().ReferenceGrants().Informer(),
		gateway.V1alpha2().GRPCRoutes().Informer(), gateway.V1alpha2().TLSRoutes().Informer(), gateway.V1alpha2().ReferenceGrants().Informer(),
		gateway.V1alpha3().BackendTLSPolicies().Informer(), experimental.V1alpha1().XBackendTrafficPolicies().Informer(),
	} {
		// Informers do not return what a list or a watch fails with, but go on.
		if err := informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) { c.Errorf("informer: %v", err) }); err != nil {
			c.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context()))
	c.informers.Start(ctx.Done())
	c.Cleanup(func() {
		cancel()
		c.informers.Shutdown()
	})
	for kind, synced := range c.informers.WaitForCacheSync(c.Context().Done()) {
		if !synced {
			c.Fatalf("the informer of %v is not synced", kind)
		}
	}
}

// happens waits for events of the informer, in this order, between which there may be others.
func (c *typed) happens(events ...string) {
	c.Helper()
	for _, want := range events {
		for event := ""; event != want; {
			select {
			case event = <-c.events:
			case <-c.Context().Done():
				c.Fatalf("the informer has not %s", want)
			}
		}
	}
}

func (c *typed) create() {
	c.Helper()
	gateway, err := c.GatewayV1().Gateways(c.namespace).Create(c.Context(), &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: "gateway-apiserver",
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	if !meta.IsStatusConditionTrue(gateway.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed)) {
		c.Errorf("the answer does not say that the Gateway is programmed: %+v", gateway.Status)
	}
	stale := gateway.DeepCopy()
	gateway.Labels = map[string]string{"team": "a"}
	if _, err := c.GatewayV1().Gateways(c.namespace).Update(c.Context(), gateway, metav1.UpdateOptions{}); err != nil {
		c.Fatal(err)
	}
	if _, err := c.GatewayV1().Gateways(c.namespace).Update(c.Context(), stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		c.Errorf("an update of what is no longer there: want a conflict, have %v", err)
	}
	lister := c.informers.Gateway().V1().Gateways().Lister().Gateways(c.namespace)
	eventually(c.T, func(context.Context) string {
		found, err := lister.List(labels.SelectorFromSet(labels.Set{"team": "a"}))
		if err != nil || len(found) != 1 {
			return fmt.Sprintf("the lister has %v: %v", found, err)
		}
		return ""
	})
}

// serverSideApply is by two managers, each of whom owns some fields.
func (c *typed) serverSideApply() {
	c.Helper()
	routes := c.GatewayV1().HTTPRoutes(c.namespace)
	wanted := apply.HTTPRoute("applied", c.namespace).WithSpec(apply.HTTPRouteSpec().
		WithParentRefs(apply.ParentReference().WithName("web")).
		WithHostnames("a.example.com"))
	route, err := routes.Apply(c.Context(), wanted, metav1.ApplyOptions{FieldManager: "one"})
	if err != nil {
		c.Fatal(err)
	}
	c.accepted(route)
	theirs := apply.HTTPRoute("applied", c.namespace).WithSpec(apply.HTTPRouteSpec().WithHostnames("b.example.com"))
	if _, err := routes.Apply(c.Context(), theirs, metav1.ApplyOptions{FieldManager: "two"}); !apierrors.IsConflict(err) {
		c.Errorf("applying another manager's field: want a conflict, have %v", err)
	}
	if route, err = routes.Apply(c.Context(), theirs, metav1.ApplyOptions{FieldManager: "two", Force: true}); err != nil {
		c.Fatal(err)
	}
	if len(route.Spec.ParentRefs) != 1 || !slices.Equal(route.Spec.Hostnames, []gatewayv1.Hostname{"b.example.com"}) {
		c.Errorf("want one's parent and two's hostname, have %+v", route.Spec)
	}
	c.accepted(route)
	mine, err := apply.ExtractHTTPRouteFrom(route, "two", "")
	if err != nil {
		c.Fatal(err)
	}
	if len(mine.Spec.ParentRefs) != 0 || len(mine.Spec.Hostnames) != 1 {
		c.Errorf("two owns %+v", mine.Spec)
	}
	c.happens("added applied", "updated applied")
}

// accepted checks the status in an answer.
func (c *typed) accepted(route *gatewayv1.HTTPRoute) {
	c.Helper()
	if len(route.Status.Parents) != 1 {
		c.Fatalf("want one parent in status, have %+v", route.Status)
	}
	for _, condition := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		found := meta.FindStatusCondition(route.Status.Parents[0].Conditions, string(condition))
		if found == nil || found.Status != metav1.ConditionTrue || found.ObservedGeneration != route.Generation {
			c.Errorf("%s of generation %d: %+v", condition, route.Generation, found)
		}
	}
}

// olderVersions writes in one version, and reads in another one, by informers.
func (c *typed) olderVersions() {
	c.Helper()
	ctx, gateway := c.Context(), c.informers.Gateway()
	parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "web"}}}
	beta, err := c.GatewayV1beta1().HTTPRoutes(c.namespace).Create(ctx, &gatewayv1beta1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Name: "beta"},
		Spec:       gatewayv1beta1.HTTPRouteSpec{CommonRouteSpec: parents},
	}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	alpha, err := c.GatewayV1alpha2().GRPCRoutes(c.namespace).Create(ctx, &gatewayv1alpha2.GRPCRoute{
		ObjectMeta: metav1.ObjectMeta{Name: "alpha"},
		Spec:       gatewayv1.GRPCRouteSpec{CommonRouteSpec: parents},
	}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	policy, err := c.ExperimentalV1alpha1().XBackendTrafficPolicies(c.namespace).Create(ctx, &gatewayxv1alpha1.XBackendTrafficPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "experimental"},
		Spec: gatewayxv1alpha1.BackendTrafficPolicySpec{
			TargetRefs: []gatewayv1.LocalPolicyTargetReference{{Kind: "Service", Name: "app"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	for _, test := range []struct {
		name string
		made metav1.Object
		read func() (metav1.Object, error)
	}{
		{"v1beta1 as v1", beta, func() (metav1.Object, error) {
			return gateway.V1().HTTPRoutes().Lister().HTTPRoutes(c.namespace).Get("beta")
		}},
		{"v1beta1 as v1beta1", beta, func() (metav1.Object, error) {
			return gateway.V1beta1().HTTPRoutes().Lister().HTTPRoutes(c.namespace).Get("beta")
		}},
		{"v1alpha2 as v1", alpha, func() (metav1.Object, error) {
			return gateway.V1().GRPCRoutes().Lister().GRPCRoutes(c.namespace).Get("alpha")
		}},
		{"v1alpha2 as v1alpha2", alpha, func() (metav1.Object, error) {
			return gateway.V1alpha2().GRPCRoutes().Lister().GRPCRoutes(c.namespace).Get("alpha")
		}},
		{"x-k8s.io/v1alpha1", policy, func() (metav1.Object, error) {
			return c.informers.Experimental().V1alpha1().XBackendTrafficPolicies().Lister().XBackendTrafficPolicies(c.namespace).Get("experimental")
		}},
	} {
		eventually(c.T, func(context.Context) string {
			switch read, err := test.read(); {
			case err != nil:
				return test.name + ": " + err.Error()
			case read.GetUID() != test.made.GetUID():
				return fmt.Sprintf("%s: want uid %s, have %s", test.name, test.made.GetUID(), read.GetUID())
			}
			return ""
		})
	}
	eventually(c.T, func(context.Context) string {
		web, err := gateway.V1beta1().Gateways().Lister().Gateways(c.namespace).Get("web")
		if err != nil || len(web.Status.Listeners) != 1 || web.Status.Listeners[0].AttachedRoutes != 3 {
			return fmt.Sprintf("want 3 attached routes, have %+v: %v", web, err)
		}
		return ""
	})
}

// statusOfOthers writes what another controller has to say of a route.
func (c *typed) statusOfOthers() {
	c.Helper()
	routes := c.GatewayV1().HTTPRoutes(c.namespace)
	route, err := routes.Get(c.Context(), "applied", metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	route.Status.Parents = append(route.Status.Parents, gatewayv1.RouteParentStatus{
		ParentRef: gatewayv1.ParentReference{Name: "theirs"}, ControllerName: otherController,
		Conditions: []metav1.Condition{{Type: "Accepted", Status: metav1.ConditionFalse, Reason: "NotMine", LastTransitionTime: metav1.Now()}},
	})
	if route, err = routes.UpdateStatus(c.Context(), route, metav1.UpdateOptions{}); err != nil {
		c.Fatal(err)
	}
	ours := slices.ContainsFunc(route.Status.Parents, func(p gatewayv1.RouteParentStatus) bool {
		return p.ControllerName == "gateway-apiserver.dev/controller" && meta.IsStatusConditionTrue(p.Conditions, "Accepted")
	})
	theirs := slices.ContainsFunc(route.Status.Parents, func(p gatewayv1.RouteParentStatus) bool {
		return p.ControllerName == otherController && meta.IsStatusConditionFalse(p.Conditions, "Accepted")
	})
	if len(route.Status.Parents) != 2 || !ours || !theirs {
		c.Errorf("want our status and theirs, have %+v", route.Status.Parents)
	}
}

func (c *typed) deletes() {
	c.Helper()
	routes := c.GatewayV1().HTTPRoutes(c.namespace)
	if err := routes.Delete(c.Context(), "applied", metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
	c.happens("deleted applied")
	if err := routes.DeleteCollection(c.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		c.Fatal(err)
	}
	c.happens("deleted beta")
	if _, err := c.GatewayV1beta1().HTTPRoutes(c.namespace).Get(c.Context(), "beta", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		c.Errorf("reading what is deleted: want not found, have %v", err)
	}
}
