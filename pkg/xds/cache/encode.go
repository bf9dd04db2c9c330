package cache

import (
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The numbers of fields in envoy.service.discovery.v3.DeltaDiscoveryResponse, in its Resource, and in google.protobuf.Any.
const (
	responseVersion   = 1
	responseResources = 2
	responseTypeURL   = 4
	responseNonce     = 5
	responseRemoved   = 6

	resourceVersion = 1
	resourceAny     = 2
	resourceName    = 3

	anyTypeURL = 1
	anyValue   = 2
)

// ownBuffer is the size of a resource that is not copied into the encoding of a response.
const ownBuffer = 64 << 10

// wire is the encoding of a difference in a delta response, made when the first stream sends it.
type wire struct {
	once               sync.Once
	resources, removed mem.BufferSlice
}

// deltaResponse is a response that knows when it is sent.
type deltaResponse struct {
	xdscache.DeltaPassthroughResponse
	stream  *Stream
	content *difference
}

// GetDeltaDiscoveryResponse is called by go-control-plane to send the response.
func (r *deltaResponse) GetDeltaDiscoveryResponse() (*discoveryv3.DeltaDiscoveryResponse, error) {
	r.stream.sending = r
	return r.DeltaPassthroughResponse.GetDeltaDiscoveryResponse()
}

// Encode returns the encoding of a response, as proto.Marshal makes it. If it is the one that the cache has handed to
// go-control-plane last, the bytes of what changed are shared with other streams that are sent the same: nobody may write to them.
// It has to be called by the goroutine that serves the stream, with the response that it is about to send.
func (s *Stream) Encode(resp *discoveryv3.DeltaDiscoveryResponse) (mem.BufferSlice, error) {
	sending := s.sending
	s.sending = nil
	if sending == nil || sending.DeltaDiscoveryResponse != resp {
		data, err := proto.Marshal(resp)
		return mem.BufferSlice{mem.SliceBuffer(data)}, err
	}
	shared := sending.content.encoded()
	head := appendString(nil, responseVersion, resp.GetSystemVersionInfo())
	tail := appendString(nil, responseTypeURL, resp.GetTypeUrl())
	tail = appendString(tail, responseNonce, resp.GetNonce())
	out := make(mem.BufferSlice, 0, 2+len(shared.resources)+len(shared.removed))
	out = append(append(out, mem.SliceBuffer(head)), shared.resources...)
	return append(append(out, mem.SliceBuffer(tail)), shared.removed...), nil
}

// encoded returns the fields of a delta response that tell what changed.
func (d *difference) encoded() *wire {
	d.wire.once.Do(func() {
		d.wire.resources = encodeSet(d.set)
		if len(d.removed) > 0 {
			var buf []byte
			for _, name := range d.removed {
				buf = appendString(buf, responseRemoved, name)
			}
			d.wire.removed = mem.BufferSlice{mem.SliceBuffer(buf)}
		}
	})
	return &d.wire
}

// encodeSet encodes resources one after the other, in few buffers, of which the large resources are some.
func encodeSet(set []*Resource) mem.BufferSlice {
	if len(set) == 0 {
		return nil
	}
	var out mem.BufferSlice
	size := 0
	for _, r := range set {
		size += 128 + len(r.Name()) + len(r.TypeURL())
		if n := len(r.Any().GetValue()); n < ownBuffer {
			size += n
		}
	}
	buf := make([]byte, 0, size)
	for _, r := range set {
		value := r.Any().GetValue()
		buf = appendHead(buf, r, len(value))
		if len(value) < ownBuffer {
			buf = append(buf, value...)
		} else {
			out = append(out, mem.SliceBuffer(buf), mem.SliceBuffer(value))
			buf = buf[len(buf):]
		}
		buf = appendString(buf, resourceName, r.Name())
	}
	return append(out, mem.SliceBuffer(buf))
}

// appendHead appends the field of a response that holds a resource, up to its value of a size.
func appendHead(buf []byte, r *Resource, size int) []byte {
	packed := sizeString(anyTypeURL, r.TypeURL())
	if size > 0 {
		packed += protowire.SizeTag(anyValue) + protowire.SizeBytes(size)
	}
	whole := sizeString(resourceVersion, r.Version()) + protowire.SizeTag(resourceAny) + protowire.SizeBytes(packed) +
		sizeString(resourceName, r.Name())
	buf = appendTag(buf, responseResources, whole)
	buf = appendString(buf, resourceVersion, r.Version())
	buf = appendTag(buf, resourceAny, packed)
	buf = appendString(buf, anyTypeURL, r.TypeURL())
	if size > 0 {
		buf = appendTag(buf, anyValue, size)
	}
	return buf
}

func appendTag(buf []byte, field protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(buf, field, protowire.BytesType), uint64(size))
}

func appendString(buf []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return buf
	}
	return append(appendTag(buf, field, len(s)), s...)
}

func sizeString(field protowire.Number, s string) int {
	if s == "" {
		return 0
	}
	return protowire.SizeTag(field) + protowire.SizeBytes(len(s))
}
