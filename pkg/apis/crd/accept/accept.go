package accept

import "k8s.io/apimachinery/pkg/runtime/schema"

// version is a version of a kind in a channel.
type version struct{ channel, group, version, kind string }

// predicates is set by generated code.
var predicates map[version]func(spec any) bool

// Spec returns a predicate on specs of gvk, or nil if there is none. It takes a pointer to the Go type of the spec; any
// other value it doesn't accept. The channel is experimental or standard.
//
// What the predicate accepts satisfies the schema, the list types and those CEL rules that are not about a change.
func Spec(channel string, gvk schema.GroupVersionKind) func(spec any) bool {
	return predicates[version{channel, gvk.Group, gvk.Version, gvk.Kind}]
}

func of[T any](accepts func(*T) bool) func(any) bool {
	return func(spec any) bool {
		typed, ok := spec.(*T)
		return ok && accepts(typed)
	}
}
