package registry

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
)

// Kind is a row of the table: what a store needs to know of a kind.
type Kind struct {
	// Group and Kind of the objects; Versions are those served, the hub's first. One store serves all of them.
	schema.GroupKind
	Versions []string
	// Resource and Singular are the names in URLs and in discovery.
	Resource, Singular     string
	ShortNames, Categories []string
	Namespaced             bool
	// New and NewList make objects of the hub version.
	New, NewList func() runtime.Object
	Rules        Rules
	Columns      rest.TableConvertor
	// Status says that there is a status subresource, and that clients cannot set status elsewhere.
	Status bool
	// Modelled says that the Model holds objects of this kind.
	Modelled bool
	// Generation says that metadata.generation counts the changes of what is desired.
	Generation bool
	// Prepare, if set, completes an object before it is validated; old is nil on create.
	Prepare func(obj, old runtime.Object)
	// Emptied, if set, says whether an object that is being deleted can go when it has lost its last finalizer.
	Emptied func(obj runtime.Object) bool
	// DefaultStatus, if set, completes a status that a client has written.
	DefaultStatus func(obj runtime.Object)
	// Attributes, if set, are what label and field selectors see.
	Attributes storage.AttrFunc
	// TTLSeconds, if not zero, is how long an object is kept after its last write.
	TTLSeconds uint64
}

// GroupResource is the name of the kind's resource, as in errors and RBAC.
func (k *Kind) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group, Resource: k.Resource}
}

// Rules validates objects of a kind. None of its methods changes what it is given.
type Rules interface {
	Validate(ctx context.Context, obj runtime.Object) field.ErrorList
	ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList
	ValidateStatusUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList
}
