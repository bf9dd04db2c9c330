package core

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateEvent holds that an event is in the namespace of what it is about; events about cluster-scoped objects are in
// the default namespace.
func validateEvent(event *corev1.Event) field.ErrorList {
	namespace := event.InvolvedObject.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	if event.Namespace == namespace {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("involvedObject", "namespace"), event.InvolvedObject.Namespace,
		"does not match event.namespace")}
}
