package takeover

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/transfer"
)

// crdSide are the CustomResourceDefinitions, by their side doors.
type crdSide struct {
	client dynamic.Interface
	// front says to use the storage version itself, for a dry run without side doors.
	front      bool
	dryRun     bool
	uids       *uids
	controller transfer.Controller
}

var _ side = crdSide{}

// uids has the uids that objects got instead of those that they had. It can be used concurrently.
type uids struct {
	mu     sync.Mutex
	former map[types.UID]types.UID
}

func (u *uids) set(former, now types.UID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if former != now {
		u.former[former] = now
	}
}

func (u *uids) len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.former)
}

func (u *uids) now(former types.UID) types.UID {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now, ok := u.former[former]; ok {
		return now
	}
	return former
}

func (crdSide) String() string      { return "the CustomResourceDefinitions" }
func (crdSide) annotation() string  { return handbackAnnotation }
func (crdSide) keepsIdentity() bool { return false }

func (s crdSide) resource(l *lane) dynamic.NamespaceableResourceInterface {
	if s.front {
		return s.client.Resource(l.storage)
	}
	return s.client.Resource(l.door())
}

// want is the object with references to owners that have other uids here, and conditions that observe the generation that
// the object has here.
func (s crdSide) want(l *lane, source, have *object) content {
	c := source.content
	uid, generation := types.UID(""), int64(1)
	if have != nil {
		uid, generation = have.GetUID(), have.GetGeneration()
	}
	if uid != source.GetUID() {
		annotations := map[string]string{formerUIDAnnotation: string(source.GetUID())}
		for key, value := range c.Annotations {
			if key != formerUIDAnnotation {
				annotations[key] = value
			}
		}
		c.Annotations = annotations
	}
	c.Owners = s.owners(c.Owners)
	c.Managers = l.managers(c.Managers)
	c.Status = observed(source, generation)
	return c
}

// owners returns references to owners with the uids that these have here.
func (s crdSide) owners(references []any) []any {
	out := make([]any, 0, len(references))
	for _, reference := range references {
		fields, ok := reference.(map[string]any)
		group, _ := schema.ParseGroupVersion(nested[string](reference, "apiVersion"))
		if ok && slices.Contains(groups, group.Group) {
			mapped := maps.Clone(fields)
			mapped["uid"] = string(s.uids.now(types.UID(nested[string](reference, "uid"))))
			reference = mapped
		}
		out = append(out, reference)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// managers returns managedFields without versions that the CustomResourceDefinition doesn't have: server-side apply fails
// with these. What was written in one of them counts as written in the storage version.
func (l *lane) managers(entries []any) []any {
	var out []any
	for _, entry := range entries {
		gv, _ := schema.ParseGroupVersion(nested[string](entry, "apiVersion"))
		if fields, ok := entry.(map[string]any); ok && (gv.Group != l.kind.Group || !slices.Contains(l.versions, gv.Version)) {
			fields = maps.Clone(fields)
			fields["apiVersion"] = l.storage.GroupVersion().String()
			entry = fields
		}
		i := slices.IndexFunc(out, func(other any) bool { return sameManager(entry, other) })
		if i < 0 {
			out = append(out, entry)
			continue
		}
		both := maps.Clone(out[i].(map[string]any))
		both["fieldsV1"] = union(both["fieldsV1"], nested[any](entry, "fieldsV1"))
		out[i] = both
	}
	return out
}

// union returns all fields of two sets of fields, as FieldsV1 has them.
func union(a, b any) any {
	fields, ok := a.(map[string]any)
	more, ok2 := b.(map[string]any)
	if !ok || !ok2 {
		return a
	}
	fields = maps.Clone(fields)
	for key, value := range more {
		if inner, ok := fields[key]; ok {
			value = union(inner, value)
		}
		fields[key] = value
	}
	return fields
}

// sameManager says whether two entries of managedFields are of one manager: an object has one for each.
func sameManager(a, b any) bool {
	for _, field := range []string{"manager", "operation", "apiVersion", "subresource"} {
		if nested[string](a, field) != nested[string](b, field) {
			return false
		}
	}
	return true
}

// observed returns what others have written of the status of an object that has this generation here.
func observed(source *object, generation int64) map[string]any {
	if source.Status == nil {
		return nil
	}
	return withGeneration(source.Status, source.GetGeneration(), generation).(map[string]any)
}

// completed adds to the listeners in a status what their schema asks for, as the source has it.
func completed(status map[string]any, source *unstructured.Unstructured) {
	whole, _, _ := unstructured.NestedSlice(source.Object, "status", "listeners")
	listeners, _ := status["listeners"].([]any)
	for _, listener := range listeners {
		fields, _ := listener.(map[string]any)
		i := slices.IndexFunc(whole, func(w any) bool { return nested[string](w, "name") == nested[string](listener, "name") })
		if i < 0 || fields == nil {
			continue
		}
		for _, field := range []string{"attachedRoutes", "supportedKinds"} {
			if value, ok := whole[i].(map[string]any)[field]; ok && fields[field] == nil {
				fields[field] = value
			}
		}
	}
}

// create makes the object, and completes it. Until it is complete it has a manager of ours.
func (s crdSide) create(ctx context.Context, l *lane, m *moving) (types.UID, error) {
	o := m.body(s.apiVersion(l), s.annotation())
	created, err := namespaced(s, l, o.GetNamespace()).Create(ctx, o, metav1.CreateOptions{
		FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dryRunOption(s.dryRun),
	})
	if err != nil || s.dryRun {
		return "", explain(err)
	}
	return created.GetUID(), s.complete(ctx, l, m, created)
}

func (s crdSide) update(ctx context.Context, l *lane, m *moving, have *unstructured.Unstructured) (types.UID, error) {
	o := m.body(s.apiVersion(l), s.annotation())
	o.SetUID(have.GetUID())
	o.SetResourceVersion(have.GetResourceVersion())
	updated, err := namespaced(s, l, o.GetNamespace()).Update(ctx, o, metav1.UpdateOptions{
		FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dryRunOption(s.dryRun),
	})
	if err != nil || s.dryRun {
		return have.GetUID(), explain(err)
	}
	if updated.GetDeletionTimestamp() != nil && len(updated.GetFinalizers()) == 0 {
		return have.GetUID(), nil // it was only held by finalizers, and is gone
	}
	return updated.GetUID(), s.complete(ctx, l, m, updated)
}

// finish implements side. What somebody has written since stays.
func (s crdSide) finish(ctx context.Context, l *lane, m *moving, have *unstructured.Unstructured) error {
	rest := *m
	rest.want.Managers = mergeManagers(m.want.Managers, have)
	rest.statusWritten = slices.ContainsFunc(later(have), func(entry any) bool { return nested[string](entry, "subresource") == "status" })
	return s.complete(ctx, l, &rest, have)
}

func (s crdSide) apiVersion(l *lane) string {
	if s.front {
		return l.storage.GroupVersion().String()
	}
	return l.door().GroupVersion().String()
}

// complete writes what a server takes separately: the status of others, the managers, and the deletion.
func (s crdSide) complete(ctx context.Context, l *lane, m *moving, written *unstructured.Unstructured) (err error) {
	client := namespaced(s, l, written.GetNamespace())
	if l.status && !m.statusWritten {
		if written, err = s.writeStatus(ctx, client, l, m, written); err != nil {
			return fmt.Errorf("writing the status of other controllers: %w", explain(err))
		}
	}
	if m.want.Deleting && written.GetDeletionTimestamp() == nil {
		if err := deleteObject(ctx, client, written); err != nil {
			return fmt.Errorf("deleting it as on the other side: %w", explain(err))
		}
		if written, err = client.Get(ctx, written.GetName(), metav1.GetOptions{}); isGone(err) {
			return nil
		} else if err != nil {
			return explain(err)
		}
	}
	if err := s.writeManagers(ctx, client, m.want.Managers, written); err != nil {
		return fmt.Errorf("writing its managedFields: %w", explain(err))
	}
	return nil
}

// writeStatus makes others' part of the status of an object what it is to be. Where there is none, the rest is as new.
func (s crdSide) writeStatus(ctx context.Context, client dynamic.ResourceInterface, l *lane, m *moving, written *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	status := observed(m.source, written.GetGeneration())
	has := s.controller.OthersStatus(written, m.managed)
	if len(status) == 0 && len(has) == 0 || equality.Semantic.DeepEqual(status, has) {
		return written, nil
	}
	completed(status, m.source.Unstructured)
	if status == nil {
		status = map[string]any{}
	}
	for _, required := range []string{"parents", "ancestors"} {
		if _, ok := nested[map[string]any](written.Object, "status")[required]; ok && status[required] == nil {
			status[required] = []any{}
		}
	}
	o := &unstructured.Unstructured{Object: map[string]any{}}
	if len(status) > 0 {
		o.Object["status"] = status
	}
	o.SetAPIVersion(s.apiVersion(l))
	o.SetKind(written.GetKind())
	o.SetName(written.GetName())
	o.SetNamespace(written.GetNamespace())
	o.SetResourceVersion(written.GetResourceVersion())
	return client.UpdateStatus(ctx, o, metav1.UpdateOptions{FieldManager: fieldManager})
}

// writeManagers gives an object exactly these managedFields, and so takes away those of this move. Whoever writes meanwhile
// keeps the fields that are theirs.
func (s crdSide) writeManagers(ctx context.Context, client dynamic.ResourceInterface, managers []any, written *unstructured.Unstructured) error {
	for {
		list := managers
		if len(list) == 0 {
			list = []any{map[string]any{}} // an empty entry is how to say none
		}
		data, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": written.GetUID(), "resourceVersion": written.GetResourceVersion(), "managedFields": list,
		}})
		if err != nil {
			return err
		}
		_, err = client.Patch(ctx, written.GetName(), types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
		if !apierrors.IsConflict(err) {
			return err
		}
		before := written.GetUID()
		if written, err = client.Get(ctx, written.GetName(), metav1.GetOptions{}); err != nil || written.GetUID() != before {
			return err
		}
		managers = mergeManagers(managers, written)
	}
}

// mergeManagers returns wanted, with the entries of those who have written an object since we began to.
func mergeManagers(wanted []any, o *unstructured.Unstructured) []any { return latest(later(o), wanted) }

// later returns the entries in managedFields of those who have written an object since we began to.
func later(o *unstructured.Unstructured) (later []any) {
	entries, _, _ := unstructured.NestedSlice(o.Object, "metadata", "managedFields")
	began := began(entries)
	for _, entry := range entries {
		if nested[string](entry, "manager") != fieldManager && began != "" && nested[string](entry, "time") >= began {
			later = append(later, entry)
		}
	}
	return later
}

// latest returns the entries of two lists of managedFields, the later one of two of the same manager.
func latest(lists ...[]any) []any {
	var merged []any
	for _, entry := range slices.Concat(lists...) {
		i := slices.IndexFunc(merged, func(other any) bool { return sameManager(entry, other) })
		if i < 0 {
			merged = append(merged, entry)
		} else if nested[string](entry, "time") > nested[string](merged[i], "time") {
			merged[i] = entry
		}
	}
	return merged
}

func (s crdSide) remove(ctx context.Context, l *lane, have *unstructured.Unstructured) error {
	client := namespaced(s, l, have.GetNamespace())
	if len(have.GetFinalizers()) > 0 {
		o := have.DeepCopy()
		o.SetFinalizers(nil)
		released, err := client.Update(ctx, o, metav1.UpdateOptions{FieldManager: fieldManager})
		if isGone(err) || err == nil && have.GetDeletionTimestamp() != nil {
			return nil
		}
		if err != nil {
			return explain(err)
		}
		have = released
	}
	return explain(deleteObject(ctx, client, have))
}

func (s crdSide) record(ctx context.Context, l *lane, have *unstructured.Unstructured, r record) error {
	entries, _, _ := unstructured.NestedSlice(have.Object, "metadata", "managedFields")
	o := have.DeepCopy()
	setAnnotation(o, s.annotation(), r.String())
	client := namespaced(s, l, o.GetNamespace())
	written, err := client.Update(ctx, o, metav1.UpdateOptions{FieldManager: fieldManager})
	if err != nil {
		return explain(err)
	}
	return explain(s.writeManagers(ctx, client, entries, written))
}

// forget takes the record away from an object.
func (s crdSide) forget(ctx context.Context, l *lane, o *unstructured.Unstructured) error {
	data := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:null}}}`, s.annotation())
	_, err := namespaced(s, l, o.GetNamespace()).Patch(ctx, o.GetName(), types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
	if isGone(err) {
		return nil
	}
	return explain(err)
}
