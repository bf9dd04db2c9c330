package gatewayapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

// Options say what is measured, and how.
type Options struct {
	// Class is the GatewayClass of the implementation.
	Class string
	// Namespace is created for the run, and deleted after it.
	Namespace string
	// Port is that of the Gateway's listeners for HTTP, and the one after it that of HTTPS.
	Port int32
	// Address is where the Gateway's data plane is, HOST or HOST:PORT, if the Gateway's status doesn't say it.
	Address string
	// Backend is an address of this machine, an IP address, that the data plane can reach: requests are answered there. Without
	// one, routes of route-propagation redirect, and need no backend.
	Backend string

	Routes       int
	ListenerSets int
	Clients      int // that create and delete at the same time
	// Churn is how long objects are changed at a steady rate.
	Churn time.Duration
	// Patience is when something that is waited for is given up.
	Patience time.Duration
	// PID is that of the control plane, if it runs on this machine: its CPU time and memory are read.
	PID int

	Log *slog.Logger // progress
}

// Scenario is a measurement.
type Scenario struct {
	Name string
	// Data says that it sends requests through a Gateway.
	Data bool
	run  func(ctx context.Context, r *run) error
}

// Scenarios are all there are.
var Scenarios = []Scenario{
	{Name: "attached-routes", run: attachedRoutes},
	{Name: "route-propagation", Data: true, run: routePropagation},
	{Name: "route-scale", run: routeScale},
	{Name: "listenerset-scale", run: listenerSetScale},
}

// The kinds that are used.
var (
	gateways       = schema.GroupVersionResource{Group: gwv1.GroupName, Version: "v1", Resource: "gateways"}
	classes        = schema.GroupVersionResource{Group: gwv1.GroupName, Version: "v1", Resource: "gatewayclasses"}
	routes         = schema.GroupVersionResource{Group: gwv1.GroupName, Version: "v1", Resource: "httproutes"}
	namespaces     = corev1.SchemeGroupVersion.WithResource("namespaces")
	services       = corev1.SchemeGroupVersion.WithResource("services")
	secrets        = corev1.SchemeGroupVersion.WithResource("secrets")
	endpointSlices = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}
)

// listenerSets are the forms in which ListenerSets have been served, the newest first.
var listenerSets = []schema.GroupVersionResource{
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "listenersets"},
	{Group: "gateway.networking.x-k8s.io", Version: "v1alpha1", Resource: "xlistenersets"},
}

// run is one run of a scenario.
type run struct {
	Options
	client     dynamic.Interface
	discovery  discovery.DiscoveryInterface
	controller gwv1.GatewayController // of the class
	rows       []report.Row
}

// Run runs a scenario against the cluster of config. Its rows are what was measured until an error, if there is one.
func Run(ctx context.Context, config *rest.Config, s Scenario, o Options) (_ []report.Row, err error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // no limit
	config.WarningHandler = rest.NoWarnings{}
	r := &run{Options: o}
	if r.client, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if r.discovery, err = discovery.NewDiscoveryClientForConfig(config); err != nil {
		return nil, err
	}
	var class gwv1.GatewayClass
	if err := r.get(ctx, classes, "", o.Class, &class); err != nil {
		return nil, fmt.Errorf("the GatewayClass: %w", err)
	}
	r.controller = class.Spec.ControllerName
	if err := r.createOne(ctx, namespaces, "", object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": o.Namespace}}); err != nil {
		return nil, fmt.Errorf("the namespace, which must be a new one: %w", err)
	}
	defer func() { err = errors.Join(err, r.cleanUp(context.WithoutCancel(ctx))) }()
	err = s.run(ctx, r)
	return r.rows, err
}

// row adds a figure.
func (r *run) row(what, format string, a ...any) {
	row := report.Row{What: what, Figure: fmt.Sprintf(format, a...)}
	r.Log.Info("Measured", "what", row.What, "figure", row.Figure)
	r.rows = append(r.rows, row)
}

// cleanUp deletes all that the run has created. It deletes the objects itself: not every server empties a namespace that is
// deleted as fast as it could.
func (r *run) cleanUp(ctx context.Context) error {
	r.Log.Info("Cleaning up", "namespace", r.Namespace)
	ctx, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	kinds := append([]schema.GroupVersionResource{routes, endpointSlices, services, secrets, gateways}, listenerSets...)
	for _, kind := range kinds {
		err := r.client.Resource(kind).Namespace(r.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) && !meta.IsNoMatchError(err) {
			return fmt.Errorf("cleaning up: %w", err)
		}
	}
	if err := r.client.Resource(namespaces).Delete(ctx, r.Namespace, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("cleaning up: %w", err)
	}
	return r.until(ctx, "the namespace is gone", func() (bool, error) {
		_, err := r.client.Resource(namespaces).Get(ctx, r.Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// until asks again and again, for what no figure depends on.
func (r *run) until(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
}

// createGateway creates a Gateway and waits until it is programmed, or, for an implementation that never says so of a Gateway
// that has no address, accepted.
func (r *run) createGateway(ctx context.Context, addressed bool) (*gwv1.Gateway, error) {
	if err := r.createOne(ctx, gateways, r.Namespace, r.gateway()); err != nil {
		return nil, err
	}
	var gw gwv1.Gateway
	err := r.until(ctx, "the Gateway is programmed", func() (bool, error) {
		if err := r.get(ctx, gateways, r.Namespace, GatewayName, &gw); err != nil {
			return false, err
		}
		condition := string(gwv1.GatewayConditionAccepted)
		if addressed {
			condition = string(gwv1.GatewayConditionProgrammed)
		}
		return meta.IsStatusConditionTrue(gw.Status.Conditions, condition) && len(gw.Status.Listeners) > 0, nil
	})
	return &gw, err
}

// address returns where the data plane of a Gateway listens.
func (r *run) address(gw *gwv1.Gateway) (string, error) {
	host := r.Address
	if host == "" && len(gw.Status.Addresses) > 0 {
		host = gw.Status.Addresses[0].Value
	}
	if host == "" {
		return "", errors.New("the Gateway has no address in its status: say where its data plane is (--address)")
	}
	if !strings.Contains(host, ":") {
		host = fmt.Sprintf("%s:%d", host, r.Port)
	}
	return host, nil
}

// listenerSetsOf returns the form in which ListenerSets are served.
func (r *run) listenerSetsOf() (schema.GroupVersionResource, error) {
	for _, kind := range listenerSets {
		list, err := r.discovery.ServerResourcesForGroupVersion(kind.GroupVersion().String())
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return kind, err
		}
		for _, served := range list.APIResources {
			if served.Name == kind.Resource {
				return kind, nil
			}
		}
	}
	return schema.GroupVersionResource{}, errors.New("the cluster serves no ListenerSets")
}

func (r *run) get(ctx context.Context, kind schema.GroupVersionResource, namespace, name string, into any) error {
	u, err := r.client.Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return convert(u, into)
}

func (r *run) createOne(ctx context.Context, kind schema.GroupVersionResource, namespace string, o object) error {
	_, err := r.client.Resource(kind).Namespace(namespace).Create(ctx, &unstructured.Unstructured{Object: o}, metav1.CreateOptions{})
	return err
}
