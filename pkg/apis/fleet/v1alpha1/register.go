package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of this project's own kinds.
const GroupName = "gateway-apiserver.dev"

// GroupVersion is what the kinds of this package are registered under.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &EnvoyFleet{}, &EnvoyFleetList{}, &EnvoyNode{}, &EnvoyNodeList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
