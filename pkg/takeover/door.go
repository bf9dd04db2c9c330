package takeover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"
)

const (
	// sideDoor is the version that CustomResourceDefinitions have while objects move. Discovery lists versions of this form
	// last, so that no client prefers it.
	sideDoor = "takeover"
	// sideDoorMark begins the description of its schema.
	sideDoorMark = "The side door of gateway-apiserver"
	// fieldManager is who writes.
	fieldManager = "gateway-apiserver-takeover"
)

var crdsResource = apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")

// definitions are the CustomResourceDefinitions of the Gateway API.
type definitions struct{ client dynamic.Interface }

func (d definitions) resource() dynamic.NamespaceableResourceInterface {
	return d.client.Resource(crdsResource)
}

// list returns the CustomResourceDefinitions of the Gateway API.
func (d definitions) list(ctx context.Context) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	all, err := d.resource().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing CustomResourceDefinitions: %w", err)
	}
	var found []*apiextensionsv1.CustomResourceDefinition
	for i := range all.Items {
		crd, err := typedCRD(&all.Items[i])
		if err != nil {
			return nil, err
		}
		if slices.Contains(groups, crd.Spec.Group) {
			found = append(found, crd)
		}
	}
	return found, nil
}

// checkDefinition says what keeps the objects of a CustomResourceDefinition from moving.
func checkDefinition(crd *apiextensionsv1.CustomResourceDefinition) error {
	if crd.DeletionTimestamp != nil {
		return fmt.Errorf("CustomResourceDefinition %s is being deleted, with all its objects: wait until it is gone", crd.Name)
	}
	if c := crd.Spec.Conversion; c != nil && c.Strategy != apiextensionsv1.NoneConverter {
		return fmt.Errorf("CustomResourceDefinition %s: spec.conversion.strategy is %s: that of the official ones is None; apply one of these first", crd.Name, c.Strategy)
	}
	for _, v := range crd.Spec.Versions {
		if v.Name == sideDoor && !isSideDoor(v) {
			return fmt.Errorf("CustomResourceDefinition %s has a version named %s, which is what a takeover adds: remove it", crd.Name, sideDoor)
		}
	}
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("CustomResourceDefinition %s is not established: see its status", crd.Name)
}

func isSideDoor(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
	return v.Name == sideDoor && !v.Storage && v.Schema != nil && v.Schema.OpenAPIV3Schema != nil &&
		strings.HasPrefix(v.Schema.OpenAPIV3Schema.Description, sideDoorMark)
}

// hasDoor says whether a CustomResourceDefinition has the side door.
func hasDoor(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(crd.Spec.Versions, isSideDoor)
}

// open gives a CustomResourceDefinition the side door: its storage version under another name, so that what is read there is
// what the storage version shows, and what is written is checked and pruned as there. stage, in its description, tells
// operators about the move; changing it ends all open watches, as any change of the spec does.
func (d definitions) open(ctx context.Context, name, stage string, dryRun bool) error {
	return d.edit(ctx, name, dryRun, func(versions []any) ([]any, error) {
		i := slices.IndexFunc(versions, func(v any) bool { return nested[bool](v, "storage") })
		if i < 0 {
			return nil, fmt.Errorf("CustomResourceDefinition %s has no storage version", name)
		}
		storage := versions[i].(map[string]any)
		door := map[string]any{
			"name": sideDoor, "served": true, "storage": false,
			"schema": (&unstructured.Unstructured{Object: storage}).DeepCopy().Object["schema"],
		}
		if subresources, ok := storage["subresources"]; ok {
			door["subresources"] = subresources
		}
		description := fmt.Sprintf("%s for moving objects (%s). It shows what is stored as %v, and goes away when that is done.", sideDoorMark, stage, storage["name"])
		if err := unstructured.SetNestedField(door, description, "schema", "openAPIV3Schema", "description"); err != nil {
			return nil, err
		}
		return append(withoutDoor(versions), door), nil
	})
}

// close takes the side door away.
func (d definitions) close(ctx context.Context, name string) error {
	err := d.edit(ctx, name, false, func(versions []any) ([]any, error) { return withoutDoor(versions), nil })
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (d definitions) edit(ctx context.Context, name string, dryRun bool, change func([]any) ([]any, error)) error {
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		crd, err := d.resource().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions") // a copy
		if err != nil {
			return err
		}
		if versions, err = change(versions); err != nil {
			return err
		}
		if err := unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions"); err != nil {
			return err
		}
		_, err = d.resource().Update(ctx, crd, metav1.UpdateOptions{FieldManager: fieldManager, DryRun: dryRunOption(dryRun)})
		return err
	})
	if err != nil {
		return fmt.Errorf("changing CustomResourceDefinition %s: %w", name, err)
	}
	return nil
}

func withoutDoor(versions []any) []any {
	return slices.DeleteFunc(versions, func(v any) bool {
		return nested[string](v, "name") == sideDoor && !nested[bool](v, "storage")
	})
}

// nested returns a field of a map, or its zero value.
func nested[T any](value any, field string) T {
	m, _ := value.(map[string]any)
	v, _ := m[field].(T)
	return v
}

func dryRunOption(dryRun bool) []string {
	if dryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// doorReady is how often in a row the side door has to answer. There may be several kube-apiservers, each of which learns of
// it in its own time.
const doorReady = 5

// waitOpen waits until the side doors of all lanes can be read.
func (d definitions) waitOpen(ctx context.Context, all []*lane, timeout time.Duration) error {
	for _, l := range all {
		var asking error
		answered := 0
		err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
			if _, asking = d.client.Resource(l.door()).List(ctx, metav1.ListOptions{Limit: 1}); asking != nil {
				answered = 0
			} else {
				answered++
			}
			return answered == doorReady, nil
		})
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			return fmt.Errorf("CustomResourceDefinition %s: its version %s cannot be read %v after it was added: %w", l.crd, sideDoor, timeout, asking)
		}
	}
	return nil
}

// errDoorShut is what reading and writing fail with when somebody has taken the side door away.
var errDoorShut = errors.New("the side door is gone (version " + sideDoor + " of the CustomResourceDefinition): something has applied the CustomResourceDefinitions; pause that, and run this again")

// explain says what an error means that comes from the side door.
func explain(err error) error {
	if apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		return errDoorShut
	}
	return err
}
