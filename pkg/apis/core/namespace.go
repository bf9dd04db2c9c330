package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateNamespaceStatus(ns *corev1.Namespace) field.ErrorList {
	want, deletion := corev1.NamespaceActive, "empty"
	if !ns.DeletionTimestamp.IsZero() {
		want, deletion = corev1.NamespaceTerminating, "not empty"
	}
	if ns.Status.Phase == want {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("status", "phase"), ns.Status.Phase,
		"may only be '"+string(want)+"' if `deletionTimestamp` is "+deletion)}
}
