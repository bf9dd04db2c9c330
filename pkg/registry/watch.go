package registry

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// Watch implements rest.Watcher. It answers a resource version that this server has not reached yet as an expired one, so
// that the client lists anew. Such a client has it from another server, from which the objects have moved here: watching
// from there would be waiting in silence until this server has come so far, and missing all that happens until then.
func (e *Endpoint) Watch(ctx context.Context, options *metainternal.ListOptions) (watch.Interface, error) {
	if options != nil && options.ResourceVersion != "" && options.ResourceVersion != "0" {
		if err := e.checkReached(ctx, options.ResourceVersion); err != nil {
			return nil, err
		}
	}
	return e.Store.Watch(ctx, options)
}

func (e *Endpoint) checkReached(ctx context.Context, version string) error {
	asked, err := storage.APIObjectVersioner{}.ParseResourceVersion(version)
	if err != nil {
		return nil // the store says it better
	}
	if asked <= e.reached.Load() {
		return nil
	}
	current, err := e.Storage.Storage.GetCurrentResourceVersion(ctx)
	if err != nil {
		return err // which says what is wrong with etcd
	}
	e.reached.Store(current) // if it falls, by one who has asked earlier, the next one just asks again
	if asked > current {
		return apierrors.NewResourceExpired(fmt.Sprintf("resource version %d is of another server: this one is at %d", asked, current))
	}
	return nil
}
