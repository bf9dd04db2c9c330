package provision

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// Resource is a kind of object that Gateways get.
type Resource struct {
	schema.GroupVersionResource
	Kind string
}

// The kinds of objects that Gateways get.
var (
	ServiceAccounts      = Resource{corev1.SchemeGroupVersion.WithResource("serviceaccounts"), "ServiceAccount"}
	Roles                = Resource{rbacv1.SchemeGroupVersion.WithResource("roles"), "Role"}
	RoleBindings         = Resource{rbacv1.SchemeGroupVersion.WithResource("rolebindings"), "RoleBinding"}
	ConfigMaps           = Resource{corev1.SchemeGroupVersion.WithResource("configmaps"), "ConfigMap"}
	Deployments          = Resource{appsv1.SchemeGroupVersion.WithResource("deployments"), "Deployment"}
	PodDisruptionBudgets = Resource{policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets"), "PodDisruptionBudget"}
	Services             = Resource{corev1.SchemeGroupVersion.WithResource("services"), "Service"}
)

// Resources are the kinds of objects that Gateways get.
func Resources() []Resource {
	return []Resource{ServiceAccounts, Roles, RoleBindings, ConfigMaps, Deployments, PodDisruptionBudgets, Services}
}

// Verbs are what the server does with Resources, as in a PolicyRule.
func Verbs() []string { return []string{"get", "list", "watch", "create", "patch", "delete"} }

// ownership is whose an object is, as a Gateway sees it.
type ownership int

const (
	// foreign objects are somebody else's.
	foreign ownership = iota
	// former ones are of a Gateway that had the same name, and is gone.
	former
	own
)

// ownershipOf tells whose an object is to the Gateway of a name, in the namespace of the object, and a UID. Without a UID,
// the Gateway is gone, or is not to have any objects.
func ownershipOf(object metav1.Object, gateway string, uid types.UID) ownership {
	switch owner := ownerOf(object); {
	case owner == nil || owner.Name != gateway:
		return foreign
	case owner.UID != uid:
		return former
	}
	return own
}

// ownerOf returns the reference to the Gateway that controls an object, or nil if none does.
func ownerOf(object metav1.Object) *metav1.OwnerReference {
	owner := metav1.GetControllerOfNoCopy(object)
	if owner == nil || !graph.IsGatewayReference(*owner) {
		return nil
	}
	return owner
}

// belongsTo returns the Gateway that an object belongs to; without a name if it belongs to none.
func belongsTo(object metav1.Object) types.NamespacedName {
	owner := ownerOf(object)
	if owner == nil {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: owner.Name}
}

// scaledByOthers says whether somebody, such as a HorizontalPodAutoscaler, has scaled a Deployment. How many replicas there
// are is theirs to say then.
func scaledByOthers(deployment metav1.Object) bool {
	for _, entry := range deployment.GetManagedFields() {
		if entry.Subresource == "scale" {
			return true
		}
	}
	return false
}

// selector finds what a Gateway may have.
func selector(gateway string) string {
	return metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: map[string]string{
		graph.ManagedByLabel: managedBy, gwv1.GatewayNameLabelKey: GatewayLabel(gateway),
	}})
}
