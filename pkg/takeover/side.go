package takeover

import (
	"context"
	"fmt"
	"iter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// pageSize is how many objects are asked for at once.
const pageSize = 500

// side is one of the two places where objects are.
type side interface {
	// String is how messages call it.
	String() string
	// resource is where the objects of a lane are.
	resource(l *lane) dynamic.NamespaceableResourceInterface
	// annotation is where its objects have their records.
	annotation() string
	// keepsIdentity says that objects have the same uid, generation and time of creation here as where they come from.
	keepsIdentity() bool
	// want returns what an object of the other side is to be here. have is what is here, or nil.
	want(l *lane, source, have *object) content
	// create makes an object that is not here, and update changes one that is. Each returns the object's uid. An update is
	// refused with a conflict if the object is not as have says.
	create(ctx context.Context, l *lane, m *moving) (types.UID, error)
	update(ctx context.Context, l *lane, m *moving, have *unstructured.Unstructured) (types.UID, error)
	// finish completes an object that a stopped run has begun to write.
	finish(ctx context.Context, l *lane, m *moving, have *unstructured.Unstructured) error
	// remove deletes an object that the other side no longer has, whatever its finalizers, if it is still as have says.
	remove(ctx context.Context, l *lane, have *unstructured.Unstructured) error
	// record changes nothing of an object but its record.
	record(ctx context.Context, l *lane, have *unstructured.Unstructured, r record) error
}

// object is an object with what of it moves.
type object struct {
	*unstructured.Unstructured
	content
	// record is that of a move to the side where the object is, or nil.
	record *record
}

// written is when clients wrote the object last, but for writes of status by gateway-apiserver.
func (o *object) written() time.Time {
	last := o.GetCreationTimestamp().Time
	if deleted := o.GetDeletionTimestamp(); deleted != nil && deleted.After(last) {
		last = deleted.Time
	}
	for _, entry := range o.GetManagedFields() {
		if entry.Time != nil && entry.Time.After(last) {
			last = entry.Time.Time
		}
	}
	return last
}

// moving is an object on its way to a side.
type moving struct {
	source *object
	want   content
	record record
	// managed says that gateway-apiserver manages it, and so writes all of its status but conditions of others.
	managed bool
	// statusWritten says that others have written the status of the target since this move began to write it.
	statusWritten bool
}

// body returns the object to write, without its status and what only a server sets. It has the record.
func (m *moving) body(apiVersion, annotation string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	for field, value := range m.want.Body {
		o.Object[field] = value
	}
	o.SetAPIVersion(apiVersion)
	o.SetKind(m.source.GetKind())
	o.SetName(m.source.GetName())
	o.SetGenerateName(m.want.GenerateName)
	o.SetNamespace(m.source.GetNamespace())
	o.SetLabels(m.want.Labels)
	annotations := map[string]string{annotation: m.record.String()}
	for key, value := range m.want.Annotations {
		annotations[key] = value
	}
	o.SetAnnotations(annotations)
	o.SetFinalizers(m.want.Finalizers)
	if len(m.want.Owners) > 0 {
		o.Object["metadata"].(map[string]any)["ownerReferences"] = m.want.Owners
	}
	return o
}

// namespaced is the resource of a lane in the namespace of an object.
func namespaced(s side, l *lane, namespace string) dynamic.ResourceInterface {
	if !l.namespaced {
		return s.resource(l)
	}
	return s.resource(l).Namespace(namespace)
}

// list yields the objects of a lane in the order of their keys, as they were at one moment. It calls at with the revision
// of that moment, before the first object.
func list(ctx context.Context, s side, l *lane, at func(revision string)) iter.Seq2[*unstructured.Unstructured, error] {
	return func(yield func(*unstructured.Unstructured, error) bool) {
		options := metav1.ListOptions{Limit: pageSize}
		for {
			page, err := s.resource(l).List(ctx, options)
			if err != nil {
				yield(nil, fmt.Errorf("listing %s of %s: %w", l.storage.GroupResource(), s, explain(err)))
				return
			}
			if options.Continue == "" {
				at(page.GetResourceVersion())
			}
			for i := range page.Items {
				if !yield(&page.Items[i], nil) {
					return
				}
			}
			if options.Continue = page.GetContinue(); options.Continue == "" {
				return
			}
		}
	}
}

// keyOf identifies an object in its lane. Keys are ordered as the servers order objects: as etcd does.
func keyOf(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetName()
	}
	return o.GetNamespace() + "/" + o.GetName()
}

// pair is an object on both sides. One of them may be missing.
type pair struct{ source, target *unstructured.Unstructured }

// join yields the objects of two lists together.
func join(sources, targets iter.Seq2[*unstructured.Unstructured, error]) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		nextSource, stopSources := iter.Pull2(inOrder(sources))
		defer stopSources()
		nextTarget, stopTargets := iter.Pull2(inOrder(targets))
		defer stopTargets()
		source, err, ok := nextSource()
		target, err2, ok2 := nextTarget()
		for ok || ok2 {
			if err != nil || err2 != nil {
				if err == nil {
					err = err2
				}
				yield(pair{}, err)
				return
			}
			var p pair
			if ok && (!ok2 || keyOf(source) <= keyOf(target)) {
				p.source = source
			}
			if ok2 && (!ok || keyOf(target) <= keyOf(source)) {
				p.target = target
			}
			if !yield(p, nil) {
				return
			}
			if p.source != nil {
				source, err, ok = nextSource()
			}
			if p.target != nil {
				target, err2, ok2 = nextTarget()
			}
		}
	}
}

// inOrder ends a list with an error where it isn't in order, which join relies on.
func inOrder(objects iter.Seq2[*unstructured.Unstructured, error]) iter.Seq2[*unstructured.Unstructured, error] {
	return func(yield func(*unstructured.Unstructured, error) bool) {
		last := ""
		for o, err := range objects {
			if err == nil && last != "" && keyOf(o) <= last {
				o, err = nil, fmt.Errorf("the server lists %s %s after %s, which is not the order of their keys", o.GetKind(), keyOf(o), last)
			}
			if err == nil {
				last = keyOf(o)
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// deleteObject deletes an object, if it is still as have says. It is fine if it is gone.
func deleteObject(ctx context.Context, client dynamic.ResourceInterface, have *unstructured.Unstructured) error {
	uid, version := have.GetUID(), have.GetResourceVersion()
	err := client.Delete(ctx, have.GetName(), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
		// Dependents are not deleted with a copy, and a finalizer for them would be one too many.
		PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if isGone(err) {
		return nil
	}
	return err
}

// isGone says whether an error is that an object isn't there.
func isGone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}
