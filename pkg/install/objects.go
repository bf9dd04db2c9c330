package install

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// The labels of all objects.
const (
	nameLabel      = "app.kubernetes.io/name"
	managedByLabel = "app.kubernetes.io/managed-by"
	managedBy      = Name + "-install"
)

// PodSelector selects the pods, as a label selector.
const PodSelector = nameLabel + "=" + Name

const (
	// criticalPriority is what a server that others depend on has: it is evicted last.
	criticalPriority = "system-cluster-critical"
	// maxReplicas are more than anybody needs; twice as many pods of criticalPriority fit into the namespace.
	maxReplicas = 50
)

// Object is a typed object with its metadata.
type Object interface {
	runtime.Object
	metav1.Object
}

// Objects returns everything to install, each object after those that it needs. The GatewayClass, which needs the
// APIServices to be available, is the last one.
func Objects(o Options) []Object {
	objects := o.server()
	if !o.Register {
		return objects
	}
	for _, s := range (Registration{o.Namespace, o.ServicePort}).APIServices() {
		objects = append(objects, s)
	}
	return append(objects, gatewayClass())
}

// server is what runs the server, and lets people use it.
func (o Options) server() []Object {
	return slices.Concat(o.base(), o.rbac(), userRoles(), o.workload())
}

// base are the objects that any workload needs, but for its permissions.
func (o Options) base() []Object {
	objects := []Object{
		&corev1.ServiceAccount{TypeMeta: typeMeta(corev1.SchemeGroupVersion.String(), "ServiceAccount"), ObjectMeta: o.meta(Name)},
		// Some clusters admit pods of this priority only where a quota allows them by name.
		&corev1.ResourceQuota{
			TypeMeta:   typeMeta(corev1.SchemeGroupVersion.String(), "ResourceQuota"),
			ObjectMeta: o.meta(Name),
			Spec: corev1.ResourceQuotaSpec{
				Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(fmt.Sprint(2 * maxReplicas))},
				ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{
					ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: []string{criticalPriority},
				}}},
			},
		},
		&corev1.Service{
			TypeMeta:   typeMeta(corev1.SchemeGroupVersion.String(), "Service"),
			ObjectMeta: o.meta(Name),
			Spec: corev1.ServiceSpec{
				Selector: selector(),
				Ports: []corev1.ServicePort{
					{Name: SecurePortName, Port: o.ServicePort, TargetPort: intstr.FromString(SecurePortName), Protocol: corev1.ProtocolTCP},
				},
			},
		},
		// Without etcd no replica is ready, but each that has been serves Envoys what it has. One that never was refuses connections.
		&corev1.Service{
			TypeMeta:   typeMeta(corev1.SchemeGroupVersion.String(), "Service"),
			ObjectMeta: o.meta(XDSService),
			Spec: corev1.ServiceSpec{
				PublishNotReadyAddresses: true,
				Selector:                 selector(),
				Ports:                    []corev1.ServicePort{{Name: xdsPortName, Port: XDSPort, TargetPort: intstr.FromString(xdsPortName), Protocol: corev1.ProtocolTCP}},
			},
		},
		&policyv1.PodDisruptionBudget{
			TypeMeta:   typeMeta(policyv1.SchemeGroupVersion.String(), "PodDisruptionBudget"),
			ObjectMeta: o.meta(Name),
			Spec: policyv1.PodDisruptionBudgetSpec{
				MaxUnavailable: new(intstr.FromInt32(1)),
				Selector:       &metav1.LabelSelector{MatchLabels: selector()},
			},
		},
	}
	if slices.Contains([]string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic}, o.Namespace) {
		return objects // these are in every cluster, and nobody's to label or delete
	}
	namespace := &corev1.Namespace{
		TypeMeta:   typeMeta(corev1.SchemeGroupVersion.String(), "Namespace"),
		ObjectMeta: clusterMeta(o.Namespace),
	}
	// https://kubernetes.io/docs/concepts/security/pod-security-standards/: only privileged allows the host's network.
	namespace.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	if o.HostNetwork {
		namespace.Labels["pod-security.kubernetes.io/enforce"] = "privileged"
	}
	return append([]Object{namespace}, objects...)
}

// gatewayClass is for Gateways that this server serves.
func gatewayClass() Object {
	return &gatewayv1.GatewayClass{
		TypeMeta:   typeMeta(gatewayv1.GroupVersion.String(), "GatewayClass"),
		ObjectMeta: clusterMeta(Name),
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: graph.ControllerName},
	}
}

func typeMeta(apiVersion, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
}

// meta is the metadata of an object in the namespace.
func (o Options) meta(name string) metav1.ObjectMeta {
	m := clusterMeta(name)
	m.Namespace = o.Namespace
	return m
}

func clusterMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: labels()}
}

func labels() map[string]string {
	return map[string]string{nameLabel: Name, managedByLabel: managedBy}
}

// selector matches the labels of the pods, and never changes: selectors of workloads are immutable.
func selector() map[string]string { return map[string]string{nameLabel: Name} }
