package registry

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
)

// Model knows what is true of the objects. Stores ask it on every write and tell it what they committed.
// All methods may be called concurrently.
type Model interface {
	// Sync waits until the model has seen what was committed before the call, by any server, and what obj, which is about
	// to be written, refers to. It returns an error when ctx ends first.
	Sync(ctx context.Context, obj runtime.Object) error
	// Render sets the status of obj to what would be true if obj were written now. The entries and conditions of
	// other controllers that obj's status holds stay as they are.
	Render(obj runtime.Object)
	// Restore puts what belongs to this implementation in the status of stored back into the status of written, which
	// a client wrote.
	Restore(written, stored runtime.Object)
	// Warnings is what whoever writes obj should be told at once.
	Warnings(obj runtime.Object) []string
	// Committed says that obj was written. It returns when the statuses of the objects that depend on obj are
	// written too, or after a bound, when the rest is left to the model's queue.
	Committed(obj runtime.Object)
	// Deleted is Committed for an object that is gone.
	Deleted(obj runtime.Object)
}
