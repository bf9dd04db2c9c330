package transfer

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// FieldManager owns the fields of objects that are imported without their managedFields.
const FieldManager = "gateway-apiserver-import"

const (
	// unfinished is the manager while an object's managedFields are still to be imported. They need another one to be seen
	// as different: a server ignores a change of their times.
	unfinished = FieldManager + "-unfinished"
	// parallel is how many objects are written at the same time, and batch after how many their results are reported.
	parallel = 16
	batch    = 64
)

// Action is what an import did with an object.
type Action string

const (
	Created   Action = "created"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
	// Skipped objects are there already, and different.
	Skipped Action = "skipped"
	// Unchecked objects could not be tried in a dry run, because their Namespace isn't there before the import.
	Unchecked Action = "not checked"
	Failed    Action = "failed"
)

// Result tells what became of an object.
type Result struct {
	Object string // its title
	Action Action
	// Notes are the warnings of the server, and what could not be imported with the object.
	Notes []string
	Err   error // if it failed
}

// Conflict says what to do with an object that is there already, and different.
type Conflict string

const (
	Fail    Conflict = "fail"
	Skip    Conflict = "skip"
	Replace Conflict = "replace"
)

// ImportOptions say how to import.
type ImportOptions struct {
	// Controller is gateway-apiserver, whose own status is not imported.
	Controller Controller
	// Namespace is that of objects that name none.
	Namespace  string
	OnConflict Conflict
	// DryRun has the server try everything, and write nothing.
	DryRun bool
}

// importer writes objects to one server.
type importer struct {
	ImportOptions
	client     dynamic.Interface
	catalog    *catalog
	management *Management
	plan       plan
}

// Import writes objects to the server that config describes, and calls report for each, one after the other. An object
// that fails doesn't stop the others. The error is of the import as a whole.
func Import(ctx context.Context, config *rest.Config, objects []documents.Document, o ImportOptions, report func(Result)) error {
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = WarningCollector{}
	catalog, err := discover(ctx, config)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	i := &importer{
		ImportOptions: o, client: client, catalog: catalog, management: NewManagement(o.Controller, lookupIn(client, catalog)),
		plan: newPlan(objects, catalog, o.Namespace),
	}
	for _, r := range i.plan.refused {
		report(r)
	}
	items := i.plan.items
	for len(items) > 0 && ctx.Err() == nil {
		n := 1
		for n < min(batch, len(items)) && compareItems(items[0], items[n]) == 0 {
			n++
		}
		for _, r := range i.together(ctx, items[:n]) {
			report(r)
		}
		items = items[n:]
	}
	return ctx.Err()
}

// together imports objects that don't need each other.
func (i *importer) together(ctx context.Context, items []*item) []Result {
	results := make([]Result, len(items))
	var group errgroup.Group
	group.SetLimit(parallel)
	for n, it := range items {
		group.Go(func() error {
			results[n] = i.one(ctx, it)
			return nil
		})
	}
	_ = group.Wait()
	return results
}

// one imports an object: its desired state, then the status that others have written, then the managers of its fields,
// each of which a server takes separately.
func (i *importer) one(ctx context.Context, it *item) Result {
	ctx, warnings := CollectWarnings(ctx)
	r := Result{Object: documents.Title(it.Object)}
	var missing []string
	r.Action, missing, r.Err = i.write(ctx, it)
	if r.Err != nil {
		r.Action = Failed
	}
	r.Notes = append(missing, warnings.List()...)
	return r
}

// write makes or updates an object, and tells what the server took but the references to owners that are missing.
func (i *importer) write(ctx context.Context, it *item) (_ Action, missing []string, _ error) {
	desired := it.Object.DeepCopy()
	desired.SetManagedFields(nil)
	delete(desired.Object, "status")
	strip(desired)
	missing, err := i.adopt(ctx, it, desired)
	if err != nil {
		return "", nil, err
	}
	client := in(i.client, it.served, desired.GetNamespace())
	action := Created
	written, err := client.Create(ctx, desired, metav1.CreateOptions{
		FieldManager: it.manager(), FieldValidation: metav1.FieldValidationStrict, DryRun: i.dryRun(),
	})
	if apierrors.IsAlreadyExists(err) {
		action, written, err = i.existing(ctx, client, it, desired)
	}
	switch {
	case i.DryRun && apierrors.IsNotFound(err) && i.plan.known[key{GroupKind: namespaceKind, name: desired.GetNamespace()}] != nil:
		return Unchecked, missing, nil
	case err != nil:
		return "", missing, err
	case i.DryRun || action == Skipped || action == Unchanged && i.OnConflict != Replace && !isUnfinished(written):
		return action, missing, nil
	}
	completed, err := i.complete(ctx, client, it, written)
	if err != nil {
		return "", missing, fmt.Errorf("%s, but not whole: %w", action, err)
	}
	if action == Unchanged && completed {
		action = Updated
	}
	return action, missing, nil
}

// isUnfinished says whether an import has made o and then failed, or stopped, before the object was whole.
func isUnfinished(o *unstructured.Unstructured) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool { return entry.Manager == unfinished })
}

func (i *importer) dryRun() []string {
	if i.DryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// adopt gives the references to owners the uids that the owners have now. Those whose owners are not there are removed:
// the object would be deleted as garbage.
func (i *importer) adopt(ctx context.Context, it *item, desired *unstructured.Unstructured) (missing []string, _ error) {
	references := desired.GetOwnerReferences()
	if len(references) == 0 {
		return nil, nil
	}
	var kept []metav1.OwnerReference
	for _, reference := range references {
		owner, err := i.find(ctx, reference, desired.GetNamespace())
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading the owner %s %s: %w", reference.Kind, reference.Name, err)
		case owner != nil:
			reference.UID = owner.GetUID()
			kept = append(kept, reference)
		case i.DryRun && i.plan.owner(it, reference) != nil:
			// It will be there.
		default:
			missing = append(missing, fmt.Sprintf("imported without the reference to its owner %s %s, which is not there", reference.Kind, reference.Name))
		}
	}
	desired.SetOwnerReferences(kept)
	return missing, nil
}

// find returns the object that a reference of an object in namespace means, or nil.
func (i *importer) find(ctx context.Context, reference metav1.OwnerReference, namespace string) (*unstructured.Unstructured, error) {
	served, err := i.catalog.lookup(schema.FromAPIVersionAndKind(reference.APIVersion, reference.Kind))
	if err != nil {
		return nil, nil // a kind that isn't served has no objects
	}
	owner, err := in(i.client, served, namespace).Get(ctx, reference.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return owner, err
}

// existing does with an object that is there already what the options say. It returns the object as it is then.
func (i *importer) existing(ctx context.Context, client dynamic.ResourceInterface, it *item, desired *unstructured.Unstructured) (action Action, out *unstructured.Unstructured, err error) {
	options := metav1.UpdateOptions{FieldManager: it.manager(), FieldValidation: metav1.FieldValidationStrict, DryRun: i.dryRun()}
	if i.OnConflict != Replace {
		options.DryRun = []string{metav1.DryRunAll} // the server knows best what would change
	}
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		live, err := client.Get(ctx, desired.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		next := desired.DeepCopy()
		next.SetResourceVersion(live.GetResourceVersion())
		out, err = client.Update(ctx, next, options)
		if err != nil {
			return err
		}
		switch different := differences(live, out); {
		case len(different) == 0:
			action = Unchanged
		case i.OnConflict == Replace:
			action = Updated
		case i.OnConflict == Skip:
			action = Skipped
		default:
			return fmt.Errorf("it is there already, with another %s: --on-conflict=replace overwrites it, and --on-conflict=skip leaves it", joinAnd(different))
		}
		return nil
	})
	return action, out, err
}

// complete writes what an object says besides its desired state, and tells whether that changed anything.
func (i *importer) complete(ctx context.Context, client dynamic.ResourceInterface, it *item, written *unstructured.Unstructured) (bool, error) {
	version := written.GetResourceVersion()
	if it.served.status {
		managed, err := i.management.Has(ctx, it.Object)
		if err != nil {
			return false, err
		}
		status, has := i.management.OthersStatus(it.Object, managed), i.management.OthersStatus(written, managed)
		if status != nil && !equality.Semantic.DeepEqual(status, has) {
			if written, err = patch(ctx, client, it, map[string]any{"status": status}, "status"); err != nil {
				return false, fmt.Errorf("writing the status of other controllers: %w", err)
			}
		}
	}
	if managers, _, _ := unstructured.NestedSlice(it.Object.Object, "metadata", "managedFields"); len(managers) > 0 {
		var err error
		if written, err = patch(ctx, client, it, map[string]any{"metadata": map[string]any{"managedFields": managers}}); err != nil {
			return false, fmt.Errorf("writing its managedFields: %w", err)
		}
	}
	return written.GetResourceVersion() != version, nil
}
