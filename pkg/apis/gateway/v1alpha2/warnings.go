package v1alpha2

// Warnings names the fields that have no effect because no later version has them.
func (p *BackendLBPolicy) Warnings() []string {
	if s := p.Spec.SessionPersistence; s == nil || s.IdleTimeout == nil {
		return nil
	}
	return []string{"spec.sessionPersistence.idleTimeout is kept, but has no effect: Gateway API v1.6 removed it"}
}
