package v1alpha2

import "fmt"

// Warnings names the fields that have no effect because no later version has them.
func (p *BackendLBPolicy) Warnings() []string {
	if s := p.Spec.SessionPersistence; s == nil || s.IdleTimeout == nil {
		return nil
	}
	return []string{"spec.sessionPersistence.idleTimeout is kept, but has no effect: Gateway API v1.6 removed it"}
}

// Warnings names the fields that have no effect because no later version has them.
func (p *BackendTLSPolicy) Warnings() []string {
	target := p.Spec.TargetRef
	if target.Namespace == nil || string(*target.Namespace) == p.Namespace {
		return nil
	}
	return []string{fmt.Sprintf("spec.targetRef.namespace is kept, but has no effect: since Gateway API v1.1 a policy is in the namespace of its target, and so this one is for the %s %s in namespace %s",
		target.Kind, target.Name, p.Namespace)}
}
