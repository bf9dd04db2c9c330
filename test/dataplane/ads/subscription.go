package ads

import (
	"maps"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// subscription is what the client wants of one type, and what it has. It follows Envoy's DeltaSubscriptionState.
type subscription struct {
	typeURL string
	all     bool                // the wildcard, in its legacy form: a first request that names nothing
	names   map[string]struct{} // if not all

	// versions are those of the resources that were accepted.
	versions map[string]string

	// sent says that the server has been told of the subscription on the present stream; added and removed are what has
	// changed since.
	sent           bool
	added, removed map[string]struct{}
}

func newSubscription(typeURL string) *subscription {
	return &subscription{
		typeURL: typeURL, names: map[string]struct{}{}, versions: map[string]string{},
		added: map[string]struct{}{}, removed: map[string]struct{}{},
	}
}

// want sets the names that are subscribed to. A name that was given up and is wanted again is asked for again: the resource
// may have been forgotten.
func (s *subscription) want(names []string) {
	wanted := make(map[string]struct{}, len(names))
	for _, name := range names {
		wanted[name] = struct{}{}
		if _, has := s.names[name]; !has {
			s.added[name] = struct{}{}
			delete(s.removed, name)
		}
	}
	for name := range s.names {
		if _, still := wanted[name]; !still {
			s.removed[name] = struct{}{}
			delete(s.added, name)
			delete(s.versions, name)
		}
	}
	s.names = wanted
}

// wants says whether a resource of that name was asked for.
func (s *subscription) wants(name string) bool {
	_, named := s.names[name]
	return s.all || named
}

// restart forgets what the server was told: a new stream knows nothing of the last one.
func (s *subscription) restart() {
	s.sent = false
	clear(s.added)
	clear(s.removed)
}

// pending says whether there is something to tell the server. A first request without names would ask for everything, so there
// is none as long as nothing is wanted.
func (s *subscription) pending() bool {
	if !s.sent {
		return s.all || len(s.names) > 0
	}
	return len(s.added)+len(s.removed) > 0
}

// request returns what the server is to be told, as if it were sent.
func (s *subscription) request() *discoveryv3.DeltaDiscoveryRequest {
	r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: s.typeURL}
	if s.sent {
		r.ResourceNamesSubscribe = slices.Sorted(maps.Keys(s.added))
		r.ResourceNamesUnsubscribe = slices.Sorted(maps.Keys(s.removed))
	} else {
		r.ResourceNamesSubscribe = slices.Sorted(maps.Keys(s.names))
		r.InitialResourceVersions = maps.Clone(s.versions)
	}
	s.sent = true
	clear(s.added)
	clear(s.removed)
	return r
}

// accept notes the versions of a response that was accepted, as far as they are still wanted.
func (s *subscription) accept(r *discoveryv3.DeltaDiscoveryResponse) {
	for _, resource := range r.GetResources() {
		if s.wants(resource.GetName()) {
			s.versions[resource.GetName()] = resource.GetVersion()
		}
	}
	for _, name := range r.GetRemovedResources() {
		delete(s.versions, name)
	}
}
