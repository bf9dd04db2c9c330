package registry

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Model knows what is true of the objects. Stores ask it on every write and tell it what they committed.
// All methods may be called concurrently.
type Model interface {
	// Sync waits until the model has seen what this server has committed so far, so that clients read their own
	// writes, or returns an error when ctx ends first.
	Sync(ctx context.Context) error
	// Render sets the status of obj to what would be true if obj were written now. The entries and conditions of
	// other controllers that obj's status holds stay as they are.
	Render(obj runtime.Object)
	// Warnings is what whoever writes obj should be told at once.
	Warnings(obj runtime.Object) []string
	// Committed says that obj was written. It returns when the statuses of the objects that depend on obj are
	// written too, or after a bound, when the rest is left to the model's queue.
	Committed(obj runtime.Object)
	// Deleted is Committed for an object that is gone.
	Deleted(obj runtime.Object)
}

// StatusWriter writes the status of stored objects; it is how a Model settles dependents.
type StatusWriter interface {
	// UpdateStatus calls update with a copy of the stored object and writes what update made of its status, or nothing
	// if update left it as it was. It returns the object as it is stored then. On a conflict update is called again.
	UpdateStatus(ctx context.Context, name types.NamespacedName, update func(obj runtime.Object)) (runtime.Object, error)
}
