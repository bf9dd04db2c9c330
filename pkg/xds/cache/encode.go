package cache

import (
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
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

// ownBuffer is the size of a resource, or of a part of one, that is not copied into the encoding of a response.
const ownBuffer = 8 << 10

// wire is the encoding of a difference in a delta response, made when the first stream sends it.
type wire struct {
	once               sync.Once
	resources, removed mem.BufferSlice
}

// DeltaResponse is a response of the delta protocol. It is immutable.
type DeltaResponse struct {
	typeURL, version, nonce string
	content                 *difference
}

// TypeURL returns the type of its resources.
func (r *DeltaResponse) TypeURL() string { return r.typeURL }

// Version returns its system_version_info.
func (r *DeltaResponse) Version() string { return r.version }

// Nonce returns its nonce, which no other response of the stream has.
func (r *DeltaResponse) Nonce() string { return r.nonce }

// Resources returns how many resources it has, without those that are removed.
func (r *DeltaResponse) Resources() int { return len(r.content.set) }

// Encode returns the encoding, as proto.Marshal makes it of a DeltaDiscoveryResponse. The bytes of what changed are shared with other
// streams that are sent the same: nobody may write to them.
func (r *DeltaResponse) Encode() mem.BufferSlice {
	shared := r.content.encoded()
	head := make([]byte, 0, 64+len(r.version)+len(r.typeURL)+len(r.nonce))
	head = appendString(head, responseVersion, r.version)
	tail := appendString(head[len(head):], responseTypeURL, r.typeURL)
	tail = appendString(tail, responseNonce, r.nonce)
	out := make(mem.BufferSlice, 0, 2+len(shared.resources)+len(shared.removed))
	out = append(append(out, mem.SliceBuffer(head)), shared.resources...)
	return append(append(out, mem.SliceBuffer(tail)), shared.removed...)
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

// encodeSet encodes resources one after the other, in few buffers, of which what is large of them is some.
func encodeSet(set []*Resource) mem.BufferSlice {
	if len(set) == 0 {
		return nil
	}
	var out mem.BufferSlice
	size := 0
	for _, r := range set {
		size += 128 + len(r.Name()) + len(r.TypeURL())
		for b := range r.encoding() {
			if len(b) < ownBuffer {
				size += len(b)
			}
		}
	}
	buf := make([]byte, 0, size)
	for _, r := range set {
		buf = appendHead(buf, r, r.size())
		for b := range r.encoding() {
			if len(b) < ownBuffer {
				buf = append(buf, b...)
				continue
			}
			if len(buf) > 0 {
				out = append(out, mem.SliceBuffer(buf))
			}
			out = append(out, mem.SliceBuffer(b))
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
