package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
)

// fieldManager owns the fields of what is applied.
const fieldManager = "gateway-apiserver"

// Authority has the certificates by which Envoys verify the xDS server, in PEM, and tells when they are others. It is a
// dynamiccertificates.CAContentProvider, or less.
type Authority interface {
	CurrentCABundleContent() []byte
	AddListener(dynamiccertificates.Listener)
}

// Provisioner gives Gateways what they are to have in a cluster. One replica at a time should do that.
type Provisioner struct {
	objects   dynamic.Interface
	metadata  metadata.Interface
	server    bootstrap.Address
	authority Authority
	changes   changes // of the authority
}

// New returns a provisioner for the cluster that config describes, whose Envoys get their configuration from the xDS server at an
// address, which they verify by an authority.
func New(config *rest.Config, server bootstrap.Address, authority Authority) (*Provisioner, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // kube-apiserver protects itself
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	p := &Provisioner{objects, meta, server, authority, make(changes, 1)}
	authority.AddListener(p.changes)
	return p, nil
}

// Ensure brings what a Gateway has to what is wanted; nil if it is to have nothing. A problem is what kube-apiserver
// refuses, or an object that is in the way, and is for the Gateway's status: nothing is wrong with the provisioner. Both
// after a problem and after an error it is worth trying again.
func (p *Provisioner) Ensure(ctx context.Context, gateway types.NamespacedName, wanted *graph.Infrastructure) (*graph.Problem, error) {
	keep := map[key]bool{}
	var uid types.UID
	if wanted != nil {
		objects, err := Objects(wanted, XDS{Address: p.server, CA: p.authority.CurrentCABundleContent()})
		if err != nil {
			return nil, err
		}
		if problem, err := p.applyAll(ctx, wanted, objects); problem != nil || err != nil {
			return problem, err
		}
		uid = wanted.UID
		for _, object := range objects {
			keep[key{object.Resource, wanted.Name}] = true
		}
	}
	return p.prune(ctx, gateway, uid, keep)
}

// key identifies an object in the namespace of a Gateway.
type key struct {
	resource Resource
	name     string
}

// applyAll looks at all objects before it changes one: a Gateway whose name is taken gets nothing, and not a half.
func (p *Provisioner) applyAll(ctx context.Context, wanted *graph.Infrastructure, objects []Object) (*graph.Problem, error) {
	there := make([]*metav1.PartialObjectMetadata, len(objects))
	for i, object := range objects {
		var problem *graph.Problem
		var err error
		if there[i], problem, err = p.lookAt(ctx, wanted, object.Resource); problem != nil || err != nil {
			return problem, err
		}
	}
	for i, object := range objects {
		var problem *graph.Problem
		looked := true
		err := retry.RetryOnConflict(retry.DefaultRetry, func() (err error) {
			if !looked {
				if there[i], problem, err = p.lookAt(ctx, wanted, object.Resource); problem != nil || err != nil {
					return err
				}
			}
			looked = false
			problem, err = p.apply(ctx, wanted, object, there[i])
			return err
		})
		if problem != nil || err != nil {
			return problem, err
		}
	}
	return nil, nil
}

// lookAt returns what there is of an object that is the Gateway's, or nil if there is nothing.
func (p *Provisioner) lookAt(ctx context.Context, wanted *graph.Infrastructure, resource Resource) (*metav1.PartialObjectMetadata, *graph.Problem, error) {
	title := title(resource, wanted.Gateway.Namespace, wanted.Name)
	there, err := p.metadata.Resource(resource.GroupVersionResource).Namespace(wanted.Gateway.Namespace).Get(ctx, wanted.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil, nil
	case err != nil:
		problem, err := refused("reading", title, err)
		return nil, problem, err
	}
	whose := ownershipOf(there, wanted.Gateway.Name, wanted.UID)
	switch {
	case whose == foreign:
		return nil, graph.InfrastructureConflict(title), nil
	case there.DeletionTimestamp != nil:
		return nil, nil, fmt.Errorf("%s is being deleted: it is made again when it is gone", title)
	case whose == former:
		if problem, err := p.remove(ctx, resource, there); problem != nil || err != nil {
			return nil, problem, err
		}
		return nil, nil, fmt.Errorf("%s belonged to a Gateway that is gone: it is made again when it is gone too", title)
	}
	return there, nil, nil
}

// apply makes or changes an object. there is what there is of it. That is what is changed: if somebody puts another object in
// its place meanwhile, or scales it for the first time, kube-apiserver refuses.
func (p *Provisioner) apply(ctx context.Context, wanted *graph.Infrastructure, object Object, there *metav1.PartialObjectMetadata) (*graph.Problem, error) {
	deployment, ok := object.Apply.(*appsv1ac.DeploymentApplyConfiguration)
	if ok && there != nil && scaledByOthers(there) {
		deployment.Spec.Replicas = nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object.Apply)
	if err != nil {
		return nil, fmt.Errorf("encoding a %s: %w", object.Resource.Kind, err)
	}
	u := &unstructured.Unstructured{Object: content}
	if there != nil {
		u.SetUID(there.UID)
		if ok && deployment.Spec.Replicas != nil {
			u.SetResourceVersion(there.ResourceVersion)
		}
	}
	// Conflicts are with who has changed, by hand or otherwise, what is the Gateway's.
	_, err = p.objects.Resource(object.Resource.GroupVersionResource).Namespace(wanted.Gateway.Namespace).
		Apply(ctx, wanted.Name, u, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return refused("applying", title(object.Resource, wanted.Gateway.Namespace, wanted.Name), err)
	}
	return nil, nil
}

// prune deletes what a Gateway has and is not to keep: what it had in another class, or with another EnvoyFleet, and what a
// Gateway of its name had that is gone.
func (p *Provisioner) prune(ctx context.Context, gateway types.NamespacedName, uid types.UID, keep map[key]bool) (*graph.Problem, error) {
	for _, resource := range Resources() {
		list, err := p.metadata.Resource(resource.GroupVersionResource).Namespace(gateway.Namespace).
			List(ctx, metav1.ListOptions{LabelSelector: selector(gateway.Name)})
		if err != nil {
			return refused("reading", "the "+resource.Resource+" of the Gateway", err)
		}
		for i := range list.Items {
			object := &list.Items[i]
			whose := ownershipOf(object, gateway.Name, uid)
			if whose == foreign || whose == own && keep[key{resource, object.Name}] || object.DeletionTimestamp != nil {
				continue
			}
			if problem, err := p.remove(ctx, resource, object); problem != nil || err != nil {
				return problem, err
			}
		}
	}
	return nil, nil
}

// remove deletes an object as it has been seen. One that is gone is fine.
func (p *Provisioner) remove(ctx context.Context, resource Resource, object *metav1.PartialObjectMetadata) (*graph.Problem, error) {
	err := p.metadata.Resource(resource.GroupVersionResource).Namespace(object.Namespace).Delete(ctx, object.Name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &object.UID, ResourceVersion: &object.ResourceVersion},
		PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return refused("deleting", title(resource, object.Namespace, object.Name), err)
	}
	return nil, nil
}

// refused tells apart what kube-apiserver has against something, and that it could not be asked.
func refused(doing, title string, err error) (*graph.Problem, error) {
	err = fmt.Errorf("%s %s: %w", doing, title, err)
	switch {
	case isAboutAddresses(err):
		return &graph.Problem{Reason: graph.ReasonAddressNotUsable, Message: err.Error()}, nil
	case apierrors.IsForbidden(err):
		return &graph.Problem{Reason: graph.ReasonForbidden, Message: err.Error()}, nil
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err):
		return &graph.Problem{Reason: graph.ReasonInvalid, Message: err.Error()}, nil
	}
	return nil, err
}

// isAboutAddresses says whether kube-apiserver refuses a Service because of the addresses that it is to have.
func isAboutAddresses(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool {
		return strings.HasPrefix(c.Field, "spec.clusterIP") || strings.HasPrefix(c.Field, "spec.loadBalancerIP")
	})
}

// title names an object in messages: "Service default/web-example".
func title(resource Resource, namespace, name string) string {
	return fmt.Sprintf("%s %s/%s", resource.Kind, namespace, name)
}
