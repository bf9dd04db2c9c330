package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// definitionsResource are the CustomResourceDefinitions.
var definitionsResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Definition is a CustomResourceDefinition of a group that the server serves.
type Definition struct {
	Name     string // RESOURCE.GROUP
	Resource schema.GroupResource
	Versions []string // that are served
}

// ListDefinitions returns the CustomResourceDefinitions of the groups that the server serves.
func ListDefinitions(ctx context.Context, client dynamic.Interface) ([]Definition, error) {
	list, err := client.Resource(definitionsResource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("looking for CustomResourceDefinitions of the Gateway API: %w", err)
	}
	var found []Definition
	for _, item := range list.Items {
		var definition apiextensionsv1.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &definition); err != nil {
			return nil, fmt.Errorf("reading CustomResourceDefinition %s: %w", item.GetName(), err)
		}
		if !slices.Contains(groups(), definition.Spec.Group) {
			continue
		}
		d := Definition{Name: definition.Name, Resource: schema.GroupResource{Group: definition.Spec.Group, Resource: definition.Spec.Names.Plural}}
		for _, version := range definition.Spec.Versions {
			if version.Served {
				d.Versions = append(d.Versions, version.Name)
			}
		}
		found = append(found, d)
	}
	return found, nil
}

// checkHidden refuses to register where CustomResourceDefinitions hold objects that nobody would see any more.
func checkHidden(ctx context.Context, client dynamic.Interface) error {
	definitions, err := ListDefinitions(ctx, client)
	if err != nil {
		return err
	}
	var hidden []string
	for _, definition := range definitions {
		n, err := countDefined(ctx, client, definition)
		if err != nil {
			return err
		}
		if n > 0 {
			hidden = append(hidden, fmt.Sprintf("%d %s", n, definition.Name))
		}
	}
	if len(hidden) == 0 {
		return nil
	}
	return fmt.Errorf("the cluster has objects in CustomResourceDefinitions (%s), which the APIServices would hide: install with --register=false and move them with \"gateway-apiserver takeover\", or hide them with --hide-objects", strings.Join(hidden, ", "))
}

// countDefined asks how many objects a CustomResourceDefinition has, in any version that would be hidden and isn't yet.
func countDefined(ctx context.Context, client dynamic.Interface, d Definition) (int64, error) {
	for _, version := range d.Versions {
		gvr := d.Resource.WithVersion(version)
		if !slices.Contains(GroupVersions(), gvr.GroupVersion()) {
			continue
		}
		service, err := GetAPIService(ctx, client, APIServiceName(gvr.GroupVersion()))
		if err != nil {
			return 0, err
		}
		if service != nil && service.Spec.Service == nil {
			return count(ctx, client, gvr)
		}
	}
	return 0, nil
}

// count asks how many objects of a resource there are.
func count(ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource) (int64, error) {
	list, err := client.Resource(resource).List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) { // defined, and not served
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("counting %s: %w", resource.GroupResource(), err)
	}
	n := int64(len(list.Items))
	if more := list.GetRemainingItemCount(); more != nil {
		n += *more
	}
	return n, nil
}

// stored counts what people have stored in our server, a phrase for each kind. The GatewayClass that install has made
// isn't theirs.
func stored(ctx context.Context, client dynamic.Interface) ([]string, error) {
	var found []string
	for _, kind := range slices.Concat(apis.GatewayKinds, apis.OwnKinds) {
		hub := kind.Hub()
		resource := hub.GroupVersion().WithResource(crd.Lookup(hub.GroupVersionKind).Names().Plural)
		n, err := count(ctx, client, resource)
		if err != nil {
			return nil, err
		}
		if hub.Kind == "GatewayClass" && n > 0 {
			class, err := client.Resource(resource).Get(ctx, Name, metav1.GetOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return nil, fmt.Errorf("reading GatewayClass %s: %w", Name, err)
			}
			if err == nil && ours(class) {
				n--
			}
		}
		if n > 0 {
			found = append(found, fmt.Sprintf("%d %s", n, resource.Resource))
		}
	}
	return found, nil
}
