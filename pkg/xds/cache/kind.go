package cache

import (
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// kind is what the cache knows of a resource type.
type kind struct {
	typeURL string
	// name is short, for people.
	name string
	// consumer: its resources refer to clusters, endpoints and secrets.
	consumer bool
	// full: a state-of-the-world response lists all that the client subscribes to, and what is missing has been removed
	// (the protocol's section "Grouping Resources into Responses").
	full bool
}

// kinds are the types that are served, in the order in which they are sent.
var kinds = [...]kind{
	{typeURL: resource.ClusterType, name: "clusters", full: true},
	{typeURL: resource.EndpointType, name: "endpoints"},
	{typeURL: resource.SecretType, name: "secrets"},
	{typeURL: resource.ListenerType, name: "listeners", consumer: true, full: true},
	{typeURL: resource.RouteType, name: "routes", consumer: true},
}

// go-control-plane makes room in the channel of a stream for that many types.
var _ [int(types.UnknownType) - len(kinds)]struct{}

// uses reports whether resources of this kind refer to those of another one by name.
func (k *kind) uses(other *kind) bool {
	switch k {
	case &kinds[clusters]:
		return other != k && !other.consumer
	case &kinds[listeners]:
		return other != k
	}
	return k.consumer && !other.consumer
}

const (
	clusters  = 0 // index in kinds
	endpoints = 1
	listeners = 3
	routes    = 4
)

// TypeURLs returns those of the types that are served.
func TypeURLs() []string {
	urls := make([]string, len(kinds))
	for i := range kinds {
		urls[i] = kinds[i].typeURL
	}
	return urls
}

// TypeName returns the short name of a type that is served, as in an EnvoyNode; the type URL of another one.
func TypeName(typeURL string) string {
	if k := kindOf(typeURL); k >= 0 {
		return kinds[k].name
	}
	return typeURL
}

// kindOf returns the index of a type URL in kinds, or -1.
func kindOf(typeURL string) int {
	for i := range kinds {
		if kinds[i].typeURL == typeURL {
			return i
		}
	}
	return -1
}
