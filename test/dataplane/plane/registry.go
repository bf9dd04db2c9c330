package plane

import (
	"sync"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// registry is what connections use, by name, as it is now.
type registry[T any] struct {
	mu      sync.RWMutex
	entries map[string]T
}

// get returns the zero value for a name that isn't there.
func (r *registry[T]) get(name string) T {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.entries[name]
}

func (r *registry[T]) set(name string, entry T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries == nil {
		r.entries = map[string]T{}
	}
	r.entries[name] = entry
}

func (r *registry[T]) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.entries, name)
}

type tableRegistry struct{ *registry[*router.Table] }

// Table implements hcm.Routes.
func (r tableRegistry) Table(name string) *router.Table { return r.get(name) }

type clusterRegistry struct{ *registry[*upstream.Cluster] }

// Cluster implements hcm.Clusters and listener.Clusters.
func (r clusterRegistry) Cluster(name string) *upstream.Cluster { return r.get(name) }
