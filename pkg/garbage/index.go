package garbage

import (
	"iter"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// stores are the kinds whose objects can be owners and dependents.
type stores map[schema.GroupKind]*registry.Store

// locate returns where the owner is that an object in a namespace refers to. It is not ok where nobody can tell whether
// that owner exists: its kind is not served, or is namespaced while the object is not. Such owners are taken to exist.
func (s stores) locate(ref metav1.OwnerReference, namespace string) (store *registry.Store, name types.NamespacedName, ok bool) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return nil, name, false
	}
	store = s.serving(gv.WithKind(ref.Kind))
	switch {
	case store == nil:
		return nil, name, false
	case !store.Kind.Namespaced:
		namespace = metav1.NamespaceNone
	case namespace == metav1.NamespaceNone:
		return nil, name, false
	}
	return store, types.NamespacedName{Namespace: namespace, Name: ref.Name}, true
}

// serving returns the store of which gvk is a version, or nil.
func (s stores) serving(gvk schema.GroupVersionKind) *registry.Store {
	for _, store := range s {
		if store.Kind.Serves(gvk) {
			return store
		}
	}
	return nil
}

// phase is how far the deletion of an object is.
type phase int

const (
	// alive objects are not being deleted.
	alive phase = iota
	// orphaning objects go when no dependent refers to them any more.
	orphaning
	// waiting objects, deleted in foreground, go when the dependents that block them are gone.
	waiting
	// leaving objects wait for finalizers that are not ours.
	leaving
)

func phaseOf(m metav1.Object) phase {
	switch {
	case m.GetDeletionTimestamp() == nil:
		return alive
	case slices.Contains(m.GetFinalizers(), metav1.FinalizerOrphanDependents):
		return orphaning
	case slices.Contains(m.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return waiting
	}
	return leaving
}

// object is what the index keeps of an object. It does not change.
type object struct {
	kind   schema.GroupKind
	name   types.NamespacedName
	uid    types.UID
	owners []metav1.OwnerReference
	phase  phase
}

func newObject(kind schema.GroupKind, m metav1.Object) *object {
	return &object{
		kind:   kind,
		name:   types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetName()},
		uid:    m.GetUID(),
		owners: m.GetOwnerReferences(),
		phase:  phaseOf(m),
	}
}

// index holds all objects, and who refers to whom.
type index struct {
	stores  stores
	objects map[types.UID]*object
	// dependents are the UIDs of the objects that refer to a UID, whether or not there is an object with it.
	dependents map[types.UID]sets.Set[types.UID]
	// unlisted are the kinds whose objects are not known yet. Until there are none, nothing is to be looked at.
	unlisted sets.Set[schema.GroupKind]
}

func newIndex(s stores) *index {
	return &index{
		stores:     s,
		objects:    map[types.UID]*object{},
		dependents: map[types.UID]sets.Set[types.UID]{},
		unlisted:   sets.KeySet(s),
	}
}

// put adds or updates an object and returns the objects to look at.
func (x *index) put(o *object) []types.UID {
	old := x.objects[o.uid]
	x.set(o)
	var look []types.UID
	if x.due(o) {
		look = append(look, o.uid)
	}
	if o.phase == waiting && (old == nil || old.phase != waiting) {
		look = append(look, x.dependents[o.uid].UnsortedList()...)
	}
	return x.ready(append(look, x.waitingOwners(old)...))
}

// remove takes out the object with a UID and returns the objects to look at.
func (x *index) remove(uid types.UID) []types.UID {
	old := x.objects[uid]
	x.unset(uid)
	return x.ready(append(x.dependents[uid].UnsortedList(), x.waitingOwners(old)...))
}

// replace makes objs all objects of a kind and returns the objects to look at, of all kinds: what came and went between
// two lists has left no other trace.
func (x *index) replace(kind schema.GroupKind, objs []*object) []types.UID {
	listed := sets.New[types.UID]()
	for _, o := range objs {
		listed.Insert(o.uid)
		x.set(o)
	}
	var look []types.UID
	for uid, o := range x.objects {
		if o.kind == kind && !listed.Has(uid) {
			x.unset(uid)
		}
	}
	for uid, o := range x.objects {
		if x.due(o) {
			look = append(look, uid)
		}
	}
	x.unlisted.Delete(kind)
	return x.ready(look)
}

func (x *index) ready(look []types.UID) []types.UID {
	if x.unlisted.Len() > 0 {
		return nil
	}
	return look
}

func (x *index) set(o *object) {
	x.unset(o.uid)
	x.objects[o.uid] = o
	for _, ref := range o.owners {
		if x.dependents[ref.UID] == nil {
			x.dependents[ref.UID] = sets.New[types.UID]()
		}
		x.dependents[ref.UID].Insert(o.uid)
	}
}

func (x *index) unset(uid types.UID) {
	old := x.objects[uid]
	if old == nil {
		return
	}
	delete(x.objects, uid)
	for _, ref := range old.owners {
		dependents := x.dependents[ref.UID]
		if dependents.Delete(uid); dependents.Len() == 0 {
			delete(x.dependents, ref.UID)
		}
	}
}

// due says that something may have to be done about o.
func (x *index) due(o *object) bool {
	switch o.phase {
	case alive:
		return slices.ContainsFunc(o.owners, func(ref metav1.OwnerReference) bool {
			if _, _, ok := x.stores.locate(ref, o.name.Namespace); !ok {
				return false
			}
			owner := x.objects[ref.UID]
			return owner == nil || owner.phase == waiting || !x.names(o, ref, owner)
		})
	case orphaning, waiting:
		return true
	}
	return false
}

// names says that a reference of o is to owner, and not just to its UID.
func (x *index) names(o *object, ref metav1.OwnerReference, owner *object) bool {
	store, name, ok := x.stores.locate(ref, o.name.Namespace)
	return ok && ref.UID == owner.uid && store.Kind.GroupKind() == owner.kind && name == owner.name
}

// waitingOwners are the owners for which a change of o, which was o until now, may be the end of their waiting.
func (x *index) waitingOwners(o *object) []types.UID {
	if o == nil {
		return nil
	}
	var uids []types.UID
	for _, ref := range o.owners {
		if owner := x.objects[ref.UID]; owner != nil && owner.phase == waiting {
			uids = append(uids, ref.UID)
		}
	}
	return uids
}

// blocked says that a dependent of o has to go before o. Dependents that in turn have to wait for o do not count, so
// that circles end.
func (x *index) blocked(o *object) bool {
	for d := range x.blockers(o) {
		if !x.waitsFor(d, o, sets.New[types.UID]()) {
			return true
		}
	}
	return false
}

// blockers are the dependents of o whose reference says blockOwnerDeletion.
func (x *index) blockers(o *object) iter.Seq[*object] {
	return func(yield func(*object) bool) {
		for uid := range x.dependents[o.uid] {
			d := x.objects[uid]
			blocks := slices.ContainsFunc(d.owners, func(ref metav1.OwnerReference) bool {
				return ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion && x.names(d, ref, o)
			})
			if blocks && !yield(d) {
				return
			}
		}
	}
}

// waitsFor says that o, deleted in foreground, would wait for target. seen are the objects that were looked at.
func (x *index) waitsFor(o, target *object, seen sets.Set[types.UID]) bool {
	if o == target {
		return true
	}
	if seen.Has(o.uid) {
		return false
	}
	seen.Insert(o.uid)
	for d := range x.blockers(o) {
		if x.waitsFor(d, target, seen) {
			return true
		}
	}
	return false
}
