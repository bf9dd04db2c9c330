package v1alpha2

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Refusals returns errors for what no later version can express, and would be unsafe to leave out. A policy for a Service
// in another namespace would verify a Service of its own namespace, and leave the one that was meant without TLS. While
// the namespace of the policy isn't known, as when it has just been decoded, there is nothing to say.
func (p *BackendTLSPolicy) Refusals() field.ErrorList {
	target := p.Spec.TargetRef
	if p.Namespace == "" || target.Namespace == nil || string(*target.Namespace) == p.Namespace {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("spec", "targetRef", "namespace"), fmt.Sprintf(
		"since Gateway API v1.1 a policy is in the namespace of its target: create it in namespace %s, or leave this field out", *target.Namespace))}
}
