package install

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
)

const (
	// groupPriority is that of the groups of CustomResourceDefinitions, which ours stand in for: discovery stays as it is.
	groupPriority = 1000
	// versionPriority is the same for all versions, so that they are sorted by their names: v1, v1beta1, v1alpha3.
	versionPriority = 100
	// automanagedLabel marks the APIServices that kube-apiserver makes for CustomResourceDefinitions and looks after. Without
	// it, it lets an APIService be.
	automanagedLabel = "kube-aggregator.kubernetes.io/automanaged"
)

var (
	apiServicesResource = apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")
	servicesResource    = corev1.SchemeGroupVersion.WithResource("services")

	gatewayClassesResource = apis.GatewayV1.WithResource("gatewayclasses")
)

// Registration is the Service to which the APIServices point.
type Registration struct {
	Namespace string
	Port      int32
}

// FindRegistration looks for the Service that install has made in a namespace.
func FindRegistration(ctx context.Context, client dynamic.Interface, namespace string) (Registration, error) {
	found, err := client.Resource(servicesResource).Namespace(namespace).Get(ctx, Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Registration{}, fmt.Errorf("there is no Service %s in the namespace %s: run \"gateway-apiserver install\" first, or name another one with --namespace", Name, namespace)
	}
	if err != nil {
		return Registration{}, fmt.Errorf("looking for the Service %s/%s: %w", namespace, Name, err)
	}
	var service corev1.Service
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &service); err != nil {
		return Registration{}, err
	}
	for _, port := range service.Spec.Ports {
		if port.Name == SecurePortName {
			return Registration{Namespace: namespace, Port: port.Port}, nil
		}
	}
	return Registration{}, fmt.Errorf("the Service %s/%s has no port named %s: run \"gateway-apiserver install\" again", namespace, Name, SecurePortName)
}

// APIServices are what tells kube-apiserver to ask our Service for the group versions of the Gateway API, all of them in
// both channels, and of our own kinds. Their caBundle is set by the server.
func (r Registration) APIServices() []*apiregistrationv1.APIService {
	var services []*apiregistrationv1.APIService
	for _, gv := range GroupVersions() {
		services = append(services, &apiregistrationv1.APIService{
			TypeMeta:   typeMeta(apiregistrationv1.SchemeGroupVersion.String(), "APIService"),
			ObjectMeta: clusterMeta(APIServiceName(gv)),
			Spec: apiregistrationv1.APIServiceSpec{
				Group: gv.Group, Version: gv.Version,
				GroupPriorityMinimum: groupPriority, VersionPriority: versionPriority,
				Service: &apiregistrationv1.ServiceReference{Namespace: r.Namespace, Name: Name, Port: new(r.Port)},
			},
		})
	}
	return services
}

// GroupVersions are those that the server serves, sorted by their APIServices' names.
func GroupVersions() []schema.GroupVersion {
	var served []schema.GroupVersion
	for _, kind := range apis.DefinedKinds {
		for _, v := range kind {
			if gv := v.GroupVersion(); !slices.Contains(served, gv) {
				served = append(served, gv)
			}
		}
	}
	slices.SortFunc(served, func(a, b schema.GroupVersion) int {
		return slices.Compare([]string{APIServiceName(a)}, []string{APIServiceName(b)})
	})
	return served
}

// groups are those of GroupVersions, sorted.
func groups() []string {
	var names []string
	for _, gv := range GroupVersions() {
		names = append(names, gv.Group)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// APIServiceName is the name that the APIService of a group version must have.
func APIServiceName(gv schema.GroupVersion) string { return gv.Version + "." + gv.Group }

// Points says whether an APIService, as a client got it, points to our Service.
func (r Registration) Points(s *apiregistrationv1.APIService) bool {
	return s.Spec.Service != nil && s.Spec.Service.Namespace == r.Namespace && s.Spec.Service.Name == Name
}

// GetAPIService reads an APIService. It returns nil without an error if there is none.
func GetAPIService(ctx context.Context, client dynamic.Interface, name string) (*apiregistrationv1.APIService, error) {
	found, err := client.Resource(apiServicesResource).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading APIService %s: %w", name, err)
	}
	service := &apiregistrationv1.APIService{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, service); err != nil {
		return nil, fmt.Errorf("reading APIService %s: %w", name, err)
	}
	return service, nil
}

// Register makes kube-apiserver ask our server for the group versions that it serves, instead of the
// CustomResourceDefinitions that may define them, and calls report for each APIService. It can be called again, whatever
// became of it before. APIServices that point to somebody else's Service are refused.
func (r Registration) Register(ctx context.Context, client dynamic.Interface, dryRun bool, report func(Result)) error {
	a := &applier{client: client, dryRun: dryRun, report: report}
	for _, service := range r.APIServices() {
		if err := a.register(ctx, r, service); err != nil {
			return err
		}
	}
	return nil
}

// register takes an APIService over from kube-apiserver, if it has made it for CustomResourceDefinitions, and applies
// ours. It is the apply that switches, at once; what comes before leaves the CustomResourceDefinitions served.
func (a *applier) register(ctx context.Context, r Registration, service *apiregistrationv1.APIService) error {
	current, err := GetAPIService(ctx, a.client, service.Name)
	if err != nil {
		return err
	}
	if current != nil && current.Spec.Service != nil && !r.Points(current) {
		return fmt.Errorf("APIService %s points to the Service %s/%s: another server serves this group version. Remove that one, or its APIService, first",
			current.Name, current.Spec.Service.Namespace, current.Spec.Service.Name)
	}
	if current != nil && current.Labels[automanagedLabel] != "" {
		release := fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, automanagedLabel)
		options := metav1.PatchOptions{FieldManager: fieldManager, DryRun: dryRun(a.dryRun)}
		if _, err := a.client.Resource(apiServicesResource).Patch(ctx, service.Name, types.MergePatchType, release, options); err != nil {
			return fmt.Errorf("taking APIService %s over from kube-apiserver: %w", service.Name, err)
		}
	}
	return a.apply(ctx, service)
}

// Unregister deletes the APIServices that point to our Service, and calls report for each. kube-apiserver then serves the
// group versions by the CustomResourceDefinitions again, where there are any.
func (r Registration) Unregister(ctx context.Context, client dynamic.Interface, dry bool, report func(Result)) error {
	for _, gv := range GroupVersions() {
		service, err := GetAPIService(ctx, client, APIServiceName(gv))
		if err != nil {
			return err
		}
		if service == nil || !r.Points(service) {
			continue
		}
		found := &unstructured.Unstructured{}
		found.SetGroupVersionKind(apiregistrationv1.SchemeGroupVersion.WithKind("APIService"))
		found.SetName(service.Name)
		found.SetUID(service.UID)
		if err := remove(ctx, client, found, dry, report); err != nil {
			return err
		}
	}
	return nil
}
