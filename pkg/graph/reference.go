package graph

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// groupKind is how messages write a kind: "ConfigMap", or "Foo.example.com" for a kind outside the core group.
func groupKind(group gwv1.Group, kind gwv1.Kind) string {
	if group == "" {
		return string(kind)
	}
	return string(kind) + "." + string(group)
}

// groupOf returns the API group that references to objects of a kind name.
func groupOf(kind Kind) gwv1.Group {
	switch kind {
	case KindService, KindSecret, KindConfigMap:
		return corev1.GroupName
	case KindBackend:
		return gwxv1alpha1.GroupName
	}
	return gwv1.GroupName
}

// valueOr returns the value of an optional field, or its default.
func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// namespaceOr: "When unspecified, the local namespace is inferred."
func namespaceOr(p *gwv1.Namespace, otherwise string) string {
	if p == nil || *p == "" {
		return otherwise
	}
	return string(*p)
}

func namespacedName(obj metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func compareBackends(a, b BackendKey) int {
	return cmp.Or(compareKeys(a.Key, b.Key), cmp.Compare(a.Port, b.Port), compareBools(a.UDP, b.UDP))
}
