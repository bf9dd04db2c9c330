package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// UninstallOptions say how to uninstall.
type UninstallOptions struct {
	Namespace string
	// DiscardObjects uninstalls although people's objects are stored in the server, or although that cannot be told.
	DiscardObjects bool
	// Purge also deletes what is kept for another install: the volumes of an embedded etcd, the CAs, and the Namespace.
	Purge bool
	// DryRun has kube-apiserver try everything, and delete nothing.
	DryRun bool
}

// namespacedKinds and clusterKinds are what install makes, in the order in which it is deleted, apart from what
// registers the server. Pods go first, so that none runs without its permissions.
var (
	namespacedKinds = []schema.GroupVersionKind{
		{Group: "apps", Version: "v1", Kind: "Deployment"},
		{Group: "apps", Version: "v1", Kind: "StatefulSet"},
		{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
		{Version: "v1", Kind: "Service"},
		{Version: "v1", Kind: "ResourceQuota"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"},
		{Version: "v1", Kind: "ServiceAccount"},
	}
	clusterKinds = []schema.GroupVersionKind{
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"},
	}
)

type uninstaller struct {
	UninstallOptions
	client dynamic.Interface
	report func(Result)
}

// Uninstall deletes what Apply has made, and calls report for each object: first what registers the server, then the
// rest. It stops at the first error, and can be called again. It refuses while people's objects are stored in the server.
func Uninstall(ctx context.Context, client dynamic.Interface, o UninstallOptions, report func(Result)) error {
	u := &uninstaller{UninstallOptions: o, client: client, report: report}
	if err := checkNamespace(ctx, client, o.Namespace); err != nil {
		return err
	}
	registration := Registration{Namespace: o.Namespace}
	registered, err := u.registered(ctx, registration)
	if err != nil {
		return err
	}
	if registered {
		if err := u.checkStored(ctx); err != nil {
			return err
		}
		if err := u.deleteClass(ctx); err != nil {
			return err
		}
	}
	if err := registration.Unregister(ctx, client, o.DryRun, report); err != nil {
		return err
	}
	made, err := labelled(ctx, client, o.Namespace)
	if err != nil {
		return err
	}
	for i := range made {
		if err := remove(ctx, client, &made[i], o.DryRun, report); err != nil {
			return err
		}
	}
	return u.purge(ctx)
}

// registered says whether kube-apiserver asks our server for anything.
func (u *uninstaller) registered(ctx context.Context, r Registration) (bool, error) {
	for _, gv := range GroupVersions() {
		service, err := GetAPIService(ctx, u.client, APIServiceName(gv))
		if err != nil {
			return false, err
		}
		if service != nil && r.Points(service) {
			return true, nil
		}
	}
	return false, nil
}

func (u *uninstaller) checkStored(ctx context.Context) error {
	if u.DiscardObjects {
		return nil
	}
	const ways = "write them back into CustomResourceDefinitions with \"gateway-apiserver handback\", or keep them with \"gateway-apiserver export\" and uninstall with --discard-objects"
	found, err := stored(ctx, u.client)
	if err != nil {
		return fmt.Errorf("cannot tell whether the server still has objects, so nothing was deleted (--discard-objects uninstalls anyway): %w", err)
	}
	if len(found) > 0 {
		return fmt.Errorf("the server still has objects (%s), which would be out of reach, so nothing was deleted: %s", strings.Join(found, ", "), ways)
	}
	return nil
}

// deleteClass deletes the GatewayClass that install has made. With --discard-objects the server may be down.
func (u *uninstaller) deleteClass(ctx context.Context) error {
	class, err := u.client.Resource(gatewayClassesResource).Get(ctx, Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil && u.DiscardObjects:
		u.report(Result{"GatewayClass " + Name, Kept, "the server doesn't answer"})
		return nil
	case err != nil:
		return fmt.Errorf("reading GatewayClass %s: %w", Name, err)
	case !ours(class):
		return nil
	}
	return remove(ctx, u.client, class, u.DryRun, u.report)
}

// labelled finds the objects that install has made, but for what registers the server, in the order in which to delete
// them. RoleBindings are also in other namespaces.
func labelled(ctx context.Context, client dynamic.Interface, namespace string) ([]unstructured.Unstructured, error) {
	var found []unstructured.Unstructured
	for _, kind := range slices.Concat(namespacedKinds, clusterKinds) {
		any := &unstructured.Unstructured{}
		any.SetGroupVersionKind(kind)
		if slices.Contains(namespacedKinds, kind) && kind.Kind != "RoleBinding" {
			any.SetNamespace(namespace)
		}
		list, err := clientFor(client, any).List(ctx, metav1.ListOptions{LabelSelector: managedByLabel + "=" + managedBy})
		if err != nil {
			return nil, fmt.Errorf("looking for objects of the kind %s: %w", kind.Kind, err)
		}
		found = append(found, list.Items...)
	}
	return found, nil
}

// purge deletes what another install would go on with, or says that it is kept.
func (u *uninstaller) purge(ctx context.Context) error {
	var left []unstructured.Unstructured
	claims, err := u.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}).Namespace(u.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: managedByLabel + "=" + managedBy})
	if err != nil {
		return fmt.Errorf("looking for volumes: %w", err)
	}
	left = append(left, claims.Items...)
	for _, named := range []struct{ resource, namespace, name string }{
		{"secrets", u.Namespace, CASecret}, {"secrets", u.Namespace, peersSecret}, {"namespaces", "", u.Namespace},
	} {
		client := dynamic.ResourceInterface(u.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: named.resource}))
		if named.namespace != "" {
			client = u.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: named.resource}).Namespace(named.namespace)
		}
		found, err := client.Get(ctx, named.name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("reading %s %s: %w", named.resource, named.name, err)
		}
		// The Secrets are made by the server.
		if err == nil && (named.resource == "secrets" || ours(found)) {
			left = append(left, *found)
		}
	}
	for i := range left {
		if u.Purge {
			err = remove(ctx, u.client, &left[i], u.DryRun, u.report)
		} else {
			u.report(Result{documents.Title(&left[i]), Kept, "--purge deletes it"})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
