//go:build linux

package conformance

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// retryInterval is when is tried again what has to wait for something else.
const retryInterval = 50 * time.Millisecond

// endpointsController is who makes EndpointSlices of Services and Pods.
const endpointsController = "endpointslice-controller.k8s.io"

// startCopies has each of two servers know what it needs of the other: the one with the workloads the Namespaces, the
// Secrets and ConfigMaps that Pods mount, and the Services with the Pods that they select; the other one the EndpointSlices
// that come of it.
func startCopies(others, workloads manager.Manager) error {
	toWorkloads, toOthers := workloads.GetClient(), others.GetClient()
	if err := startCopy(others, toWorkloads, func(src, dst *corev1.Namespace) { dst.Labels = src.Labels }); err != nil {
		return err
	}
	if err := startCopy(others, toWorkloads, func(src, dst *corev1.Secret) { dst.Type, dst.Data = src.Type, src.Data }); err != nil {
		return err
	}
	if err := startCopy(others, toWorkloads, func(src, dst *corev1.ConfigMap) { dst.Data, dst.BinaryData = src.Data, src.BinaryData }); err != nil {
		return err
	}
	if err := startCopy(others, toWorkloads, func(src, dst *corev1.Service) {
		dst.Labels = src.Labels
		dst.Spec.Selector = src.Spec.Selector
		dst.Spec.Ports = src.Spec.Ports
		if src.Spec.ClusterIP == corev1.ClusterIPNone {
			dst.Spec.ClusterIP = corev1.ClusterIPNone
		}
	}); err != nil {
		return err
	}
	return startCopy(workloads, toOthers, func(src, dst *discoveryv1.EndpointSlice) {
		dst.Labels = src.Labels
		dst.AddressType = src.AddressType
		dst.Endpoints = src.Endpoints
		dst.Ports = src.Ports
	})
}

// object is a type of objects by way of its pointer type.
type object[T any] interface {
	*T
	client.Object
}

// startCopy follows the objects of a type, and has another server have those that are copied for as long as they exist. set
// copies what matters of one.
func startCopy[T any, P object[T]](from manager.Manager, to client.Client, set func(src, dst P)) error {
	return builder.ControllerManagedBy(from).For(P(new(T))).Complete(reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		src := P(new(T))
		err := from.GetClient().Get(ctx, request.NamespacedName, src)
		switch {
		case apierrors.IsNotFound(err):
			err = client.IgnoreNotFound(to.Delete(ctx, named[T, P](request.NamespacedName)))
		case err == nil && copied(src):
			dst := named[T, P](request.NamespacedName)
			_, err = controllerutil.CreateOrUpdate(ctx, to, dst, func() error {
				set(src, dst)
				return nil
			})
		}
		return again(ctx, err)
	}))
}

func named[T any, P object[T]](name types.NamespacedName) P {
	o := P(new(T))
	o.SetName(name.Name)
	o.SetNamespace(name.Namespace)
	return o
}

// copied says whether an object is copied: one that isn't being deleted, but of Services only those that select Pods, and
// of EndpointSlices those of such Services.
func copied(o client.Object) bool {
	switch o := o.(type) {
	case *corev1.Service:
		return len(o.Spec.Selector) > 0
	case *discoveryv1.EndpointSlice:
		return o.Labels[discoveryv1.LabelManagedBy] == endpointsController
	}
	return o.GetDeletionTimestamp() == nil
}

// again has what collided with another write tried again. When the test has ended, nothing matters any more.
func again(ctx context.Context, err error) (reconcile.Result, error) {
	switch {
	case ctx.Err() != nil:
		return reconcile.Result{}, nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return reconcile.Result{RequeueAfter: retryInterval}, nil
	}
	return reconcile.Result{}, err
}
