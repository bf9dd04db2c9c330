package registry

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/warning"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// Identity is what a server says of an object that it stores, and no client can. An object that moves here from another
// server keeps it: dependents name their owner's uid, conditions the generation that they are about, and of two routes in
// conflict the older one wins.
type Identity struct {
	UID               types.UID
	CreationTimestamp metav1.Time
	Generation        int64
	// DeletionTimestamp is when the object was deleted that only its finalizers hold.
	DeletionTimestamp *metav1.Time
	ManagedFields     []metav1.ManagedFieldsEntry
}

type identityKey struct{}

// WithIdentity returns a context in which an object that is created or updated has the identity that it had elsewhere. It
// keeps the status that other controllers gave it there, and what today's rules refuse of it is warned about: it is
// stored already, and its users rely on it.
func WithIdentity(ctx context.Context, i *Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, i)
}

// IdentityFrom returns the identity of WithIdentity, or nil.
func IdentityFrom(ctx context.Context) *Identity {
	i, _ := ctx.Value(identityKey{}).(*Identity)
	return i
}

// create puts the identity on a new object.
func (i *Identity) create(m metav1.Object) {
	i.update(m)
	m.SetUID(i.UID)
	m.SetCreationTimestamp(i.CreationTimestamp)
	if i.DeletionTimestamp != nil {
		immediately := int64(0) // only finalizers hold it
		m.SetDeletionTimestamp(i.DeletionTimestamp)
		m.SetDeletionGracePeriodSeconds(&immediately)
	}
}

// update puts on an object what can change of its identity.
func (i *Identity) update(m metav1.Object) {
	m.SetGeneration(i.Generation)
	m.SetManagedFields(i.ManagedFields)
}

// moved completes an object that moves here after it was prepared like others of its kind: it gets its identity and the
// status that it came with, but for our part of that, which is as in old. Without old the object is new.
func (s strategy) moved(i *Identity, obj, old runtime.Object, status reflect.Value) {
	if m, err := meta.Accessor(obj); err == nil {
		if old == nil {
			i.create(m)
		} else {
			i.update(m)
		}
	}
	if !status.IsValid() || status.IsZero() {
		return
	}
	stored := obj.DeepCopyObject()
	statusOf(obj).Set(status)
	if s.kind.DefaultStatus != nil {
		s.kind.DefaultStatus(obj)
	}
	if s.model != nil {
		s.model.Restore(obj, stored)
	}
}

// sentStatus returns a copy of the status that an object came with. It is not valid unless the object moves here.
func (s strategy) sentStatus(ctx context.Context, obj runtime.Object) reflect.Value {
	if IdentityFrom(ctx) == nil || !s.kind.hasStatus() {
		return reflect.Value{}
	}
	return statusOf(obj.DeepCopyObject())
}

// forgive turns errors about an object that moves here into warnings, but for those about its metadata and those that say
// that it would mean something else in the stored version.
func (s strategy) forgive(ctx context.Context, obj runtime.Object, errs field.ErrorList) field.ErrorList {
	var kept field.ErrorList
	if seen, err := apis.Scheme.ConvertToVersion(obj, s.version.GroupVersion()); err == nil {
		kept = refusals(seen)
	}
	for _, err := range errs {
		switch {
		case strings.HasPrefix(err.Field, "metadata"):
			kept = append(kept, err)
		case len(kept) == 0 && !crd.IsIncomplete(err):
			warning.AddWarning(ctx, "", fmt.Sprintf("stored as it was elsewhere, but not valid here, so that it can be changed in other fields only: %v", err))
		}
	}
	return kept
}
