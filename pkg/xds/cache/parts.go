package cache

import "slices"

// Parts returns what NewSpliced was given, and nothing of a resource that NewResource returned: with it, another process makes the
// same resource, which has the same version.
func (r *Resource) Parts() []Part { return slices.Clone(r.parts) }
