package manifests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/klog/v2"
)

// ownership is an object that the follower made.
type ownership struct {
	target
	file string // that declared it
}

// inventory notes what earlier runs made, which their annotations tell. It is read once, when the server is there.
func (f *Follower) inventory(ctx context.Context) error {
	if f.inventoried {
		return nil
	}
	kinds, err := f.kinds()
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		list, err := f.metadata.Resource(kind.GroupVersionResource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("listing %s: %w", kind.GroupVersionResource.Resource, err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			id := keyOf(kind.GroupKind, o.Namespace, o.Name)
			if file, ok := madeFrom(o); ok && f.made[id].file == "" {
				f.made[id] = ownership{target{kind.GroupVersionResource, o.Namespace, o.Name}, file}
			}
		}
	}
	f.inventoried = true
	return nil
}

// servedKind is a kind that the server lists and deletes objects of.
type servedKind struct {
	schema.GroupVersionResource
	schema.GroupKind
	namespaced bool
}

// kinds asks the server for its kinds, each in the version that it prefers. It fails if the answer is not complete.
func (f *Follower) kinds() ([]servedKind, error) {
	lists, err := f.discovery.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var kinds []servedKind
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "get", "delete"}}, lists) {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
		for _, r := range list.APIResources {
			kinds = append(kinds, servedKind{gv.WithResource(r.Name), schema.GroupKind{Group: gv.Group, Kind: r.Kind}, r.Namespaced})
		}
	}
	return kinds, nil
}

// orphans returns what the follower made and no document declares any more. Directories that are not followed now keep
// what they had, and so do those that have not had a file in this run: they may not be mounted.
func (f *Follower) orphans(t tree, declared map[key]bool) (orphans []key, kept []problem) {
	for id, o := range f.made {
		dir := filepath.Dir(o.file)
		switch {
		case declared[id] || !slices.Contains(f.dirs, dir):
		case slices.Contains(t.vacant, dir) && !f.occupied[dir]:
			kept = append(kept, problem{
				place: place{File: o.file}, headline: "Object kept, though its manifest is gone", object: id.Kind + " " + o.path(), lasting: true,
				err: errors.New("its directory has been without any manifest since the start, as if it were not mounted"),
			})
		default:
			orphans = append(orphans, id)
		}
	}
	slices.SortFunc(orphans, compareForDeletion)
	return orphans, kept
}

// due returns the orphans that have been so for the whole grace, and when the next one will have been.
func (f *Follower) due(orphans []key, now time.Time) (due []key, next time.Duration) {
	since := f.orphanedSince
	f.orphanedSince = map[key]time.Time{}
	for _, id := range orphans {
		first, ok := since[id]
		if !ok {
			first = now
		}
		f.orphanedSince[id] = first
		if left := f.Grace - now.Sub(first); left <= 0 {
			due = append(due, id)
		} else if next == 0 || left < next {
			next = left
		}
	}
	return due, next
}

// compareForDeletion is the opposite of the order of application, so that what a Namespace holds goes before it.
func compareForDeletion(a, b key) int {
	return cmp.Or(
		cmp.Compare(rank(b.Kind), rank(a.Kind)),
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name),
	)
}

// deleteAll deletes orphans and returns what is wrong with those that remain, or errUnavailable.
func (f *Follower) deleteAll(ctx context.Context, orphans []key) ([]problem, error) {
	var problems []problem
	for _, id := range orphans {
		o := f.made[id]
		err := f.delete(ctx, id, o, orphans)
		switch {
		case err == nil:
			delete(f.made, id)
			delete(f.orphanedSince, id)
		case unavailable(err):
			return nil, fmt.Errorf("%w: %w", errUnavailable, err)
		default:
			problems = append(problems, problem{
				place: place{File: o.file}, headline: "Object not deleted, though its manifest is gone", object: id.Kind + " " + o.path(), err: err,
			})
		}
	}
	return problems, nil
}

// path names an object within its kind.
func (t target) path() string {
	if t.namespace == "" {
		return t.name
	}
	return t.namespace + "/" + t.name
}

// errOccupied says that deleting a Namespace would delete what the follower has not made.
var errOccupied = errors.New("the Namespace holds objects that no manifest made")

// delete deletes an object, one of orphans, if it still is the one that the follower made.
func (f *Follower) delete(ctx context.Context, id key, o ownership, orphans []key) error {
	resource := f.metadata.Resource(o.resource).Namespace(o.namespace)
	current, err := resource.Get(ctx, o.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if file, ok := madeFrom(current); !ok || file != o.file {
		return nil // it is somebody else's by now
	}
	if shown, err := f.shownElsewhere(ctx, id, current.UID, orphans); shown || err != nil {
		return err
	}
	if id.GroupKind == (schema.GroupKind{Kind: "Namespace"}) {
		if err := f.checkVacant(ctx, o.name); err != nil {
			return err
		}
	}
	err = resource.Delete(ctx, o.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{
		UID: &current.UID, ResourceVersion: &current.ResourceVersion,
	}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		klog.FromContext(ctx).Info("Deleted an object whose manifest is gone", "object", id.Kind+" "+o.path(), "file", o.file)
	}
	return err
}

// shownElsewhere says whether an object is also something that is to stay, under another kind: a server may show one object
// as two, such as a BackendLBPolicy and the XBackendTrafficPolicy that replaced it.
func (f *Follower) shownElsewhere(ctx context.Context, id key, uid types.UID, orphans []key) (bool, error) {
	for other, o := range f.made {
		if other == id || other.namespace != id.namespace || other.name != id.name || slices.Contains(orphans, other) {
			continue
		}
		current, err := f.metadata.Resource(o.resource).Namespace(o.namespace).Get(ctx, o.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil || current.UID == uid {
			return err == nil, err
		}
	}
	return false, nil
}

// checkVacant returns errOccupied if a Namespace holds anything but Events and what is being deleted.
func (f *Follower) checkVacant(ctx context.Context, namespace string) error {
	kinds, err := f.kinds()
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		if !kind.namespaced || kind.Kind == "Event" {
			continue
		}
		list, err := f.metadata.Resource(kind.GroupVersionResource).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, o := range list.Items {
			if o.DeletionTimestamp == nil {
				return fmt.Errorf("%w, such as %s %s", errOccupied, kind.Kind, o.Name)
			}
		}
	}
	return nil
}
