package registry

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
)

// Kind is a row of the table: what a store needs to know of a kind.
type Kind struct {
	// Versions are those in which the kind is served, the stored one first. One store serves all of them.
	Versions   []*Version
	Namespaced bool
	// New and NewList make objects of the hub, which is the Go type of the stored version.
	New, NewList func() runtime.Object
	// Modelled says that the Model holds objects of this kind.
	Modelled bool
	// ReadOnly says that clients only read objects of this kind. The server writes them with Put and Remove.
	ReadOnly bool
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

// Version is a kind as it is served in one of its versions. A kind that has moved to another group or has got another
// name has versions in which they are still the old ones.
type Version struct {
	schema.GroupVersionKind
	// Resource and Singular are the names in URLs and in discovery.
	Resource, Singular     string
	ShortNames, Categories []string
	// NewList makes a list of this version's Go type, of which discovery learns the kind of lists.
	NewList func() runtime.Object
	// Status says that there is a status subresource, and that clients cannot set status elsewhere.
	Status  bool
	Rules   Rules
	Columns rest.TableConvertor
	// Warnings, if set, says what whoever writes obj in this version should know, besides what the Model says.
	Warnings func(ctx context.Context, obj runtime.Object) []string
	// Keep, if set, gives an object that a client has replaced what of the old one cannot be expressed in this version.
	Keep func(obj, old runtime.Object)
	// Lost, if set, says what has gone with an update in this version because it cannot be expressed in it.
	Lost func(obj, old runtime.Object) []string
	// Deprecated is the warning that every request in this version is answered with, or empty.
	Deprecated string
}

// Stored is the version that is stored.
func (k *Kind) Stored() *Version { return k.Versions[0] }

// GroupKind is how the stored version is called.
func (k *Kind) GroupKind() schema.GroupKind { return k.Stored().GroupVersionKind.GroupKind() }

// hasStatus says whether objects have a status, which no client can set where it sets the spec.
func (k *Kind) hasStatus() bool { return k.Stored().Status }

// Serves says whether gvk is one of the versions of the kind.
func (k *Kind) Serves(gvk schema.GroupVersionKind) bool {
	return slices.ContainsFunc(k.Versions, func(v *Version) bool { return v.GroupVersionKind == gvk })
}

// GroupResource is the name of the version's resource, as in errors and RBAC.
func (v *Version) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: v.Group, Resource: v.Resource}
}

// Rules validates objects of a kind, which are of the hub's type. None of its methods changes what it is given.
type Rules interface {
	Validate(ctx context.Context, obj runtime.Object) field.ErrorList
	ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList
	ValidateStatusUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList
}
