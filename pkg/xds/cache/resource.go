package cache

import (
	"fmt"
	"iter"
	"sync"

	"github.com/cespare/xxhash/v2"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Resource is an xDS resource, encoded once and shared by every scope and stream. It is immutable.
type Resource struct {
	typeURL, name, version string
	// sum is a hash of name and content. The sum of a set's sums is its version.
	sum uint64
	// endpoints names the ClusterLoadAssignment that a cluster of type EDS uses.
	endpoints string

	// value is the encoding, or parts are, one after the other.
	value []byte
	parts []Part
	// msg is what delta responses carry. The Any in it is what state-of-the-world responses carry.
	msg  *discoveryv3.Resource
	once sync.Once
}

// Name identifies a resource of a scope.
type Name struct{ TypeURL, Name string }

// Update is a set of changes to a scope. Setting what is already there is no change, and neither is deleting what is not.
// A name that is both set and deleted ends up deleted.
type Update struct {
	Set    []*Resource
	Delete []Name
}

// NewResource returns the resource of a type URL (see go-control-plane's package resource) and a name, whose message has
// the deterministic encoding value, not wrapped in an Any. The caller must not write to value afterwards.
func NewResource(typeURL, name string, value []byte) *Resource {
	digest := xxhash.New()
	digest.Write(value)
	return newResource(typeURL, name, digest, &Resource{value: value})
}

// newResource completes a resource that has its content.
func newResource(typeURL, name string, content *xxhash.Digest, r *Resource) *Resource {
	r.typeURL, r.name, r.version = typeURL, name, version(content.Sum64())
	content.WriteString("\x00" + name)
	r.sum = content.Sum64()
	if typeURL == resource.ClusterType {
		r.endpoints = endpointsOf(name, r.Any().GetValue())
	}
	return r
}

// version writes a hash as a version.
func version(sum uint64) string { return fmt.Sprintf("%016x", sum) }

// TypeURL returns the type URL.
func (r *Resource) TypeURL() string { return r.typeURL }

// Name returns the name, unique among the resources of a scope and type.
func (r *Resource) Name() string { return r.name }

// Version returns a hash of the content: replicas agree on it, and a client that reconnects is not sent what it has.
func (r *Resource) Version() string { return r.version }

// Any returns the encoded message, which the caller must not write to.
func (r *Resource) Any() *anypb.Any { return r.message().Resource }

// message returns what responses carry. It is made when it is first asked for, and shared from then on.
func (r *Resource) message() *discoveryv3.Resource {
	r.once.Do(func() {
		value := r.value
		if r.parts != nil {
			value = join(r.parts)
		}
		r.msg = &discoveryv3.Resource{
			Name:     r.name,
			Version:  r.version,
			Resource: &anypb.Any{TypeUrl: r.typeURL, Value: value},
		}
	})
	return r.msg
}

// encoding yields the encoded message, in parts if it has such.
func (r *Resource) encoding() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if r.parts == nil {
			yield(r.value)
			return
		}
		for _, p := range r.parts {
			if !yield(p.bytes) {
				return
			}
		}
	}
}

// size is that of the encoded message, in bytes.
func (r *Resource) size() int {
	size := 0
	for b := range r.encoding() {
		size += len(b)
	}
	return size
}

// endpointsOf returns the name of the ClusterLoadAssignment that a cluster waits for, or "". A cluster that can't be read
// waits for none: its client rejects it.
func endpointsOf(name string, value []byte) string {
	var c clusterv3.Cluster
	if err := proto.Unmarshal(value, &c); err != nil || c.GetType() != clusterv3.Cluster_EDS {
		return ""
	}
	if service := c.GetEdsClusterConfig().GetServiceName(); service != "" {
		return service
	}
	return name
}
