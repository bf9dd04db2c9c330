package server

import (
	"errors"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// encoded is a message that has been encoded already, the bytes of which streams share. Nobody writes to them. It is sent once: gRPC
// frees it then.
type encoded struct{ bytes mem.BufferSlice }

// rawRequest is a request that has not been decoded.
type rawRequest struct{ bytes []byte }

// codec is gRPC's for Protocol Buffers, but for what has been encoded already, and for what nobody reads of requests. An Envoy names
// hundreds of extensions in the first one, and a hostile client can name millions: each is a message that takes a hundred times its
// size in memory.
type codec struct{}

var standard = encoding.GetCodecV2(proto.Name)

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	if e, ok := v.(*encoded); ok {
		return e.bytes, nil
	}
	return standard.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *rawRequest:
		m.bytes = data.Materialize()
		return nil
	case *discoveryv3.DiscoveryRequest:
		return unmarshal(data, m, stateFields)
	}
	return standard.Unmarshal(data, v)
}

// unmarshal reads some fields of a message.
func unmarshal(data mem.BufferSlice, m pb.Message, f fields) error {
	pool := mem.DefaultBufferPool()
	whole := data.MaterializeToBuffer(pool)
	defer whole.Free()
	space := pool.Get(whole.Len())
	defer pool.Put(space)
	part, err := f.appendRead((*space)[:0], whole.ReadOnlyData())
	if err != nil {
		return err
	}
	return pb.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(part, m)
}

// Name implements encoding.CodecV2.
func (codec) Name() string { return proto.Name }

// fields are what is read of a message, by the number of each field.
type fields struct {
	read map[protowire.Number]bool
	node protowire.Number // of the field with the node, or 0
}

var (
	deltaFields = fieldsOf(&discoveryv3.DeltaDiscoveryRequest{}, "node", "type_url", "resource_names_subscribe", "resource_names_unsubscribe",
		"initial_resource_versions", "response_nonce", "error_detail")
	stateFields = fieldsOf(&discoveryv3.DiscoveryRequest{}, "version_info", "node", "type_url", "resource_names", "response_nonce", "error_detail")
	nodeFields  = fieldsOf(&corev3.Node{}, "id", "cluster", "metadata", "user_agent_name", "user_agent_version", "user_agent_build_version")
)

func fieldsOf(m pb.Message, names ...protoreflect.Name) fields {
	f := fields{read: map[protowire.Number]bool{}}
	for _, name := range names {
		number := m.ProtoReflect().Descriptor().Fields().ByName(name).Number()
		f.read[number] = true
		if name == "node" {
			f.node = number
		}
	}
	return f
}

const (
	// maxNode bounds what is read of a node, in bytes: it is kept.
	maxNode = 64 << 10
	// maxFields bounds the fields of a request, of which each name is one, and each version that the client has: what is two bytes
	// there is many more when it is decoded.
	maxFields = 250_000
)

var (
	errFields    = errors.New("more than 250,000 names and versions")
	errNode      = errors.New("node: its id, cluster and metadata must not be larger than 64 KiB")
	errMalformed = errors.New("malformed message")
)

// appendRead appends the fields of an encoded message that are read.
func (f fields) appendRead(to, data []byte) ([]byte, error) {
	nodes := 0 // bytes: a field may come several times, and the last adds to those before
	for n := 1; len(data) > 0; n++ {
		if n > maxFields {
			return nil, errFields
		}
		number, wire, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			return nil, errMalformed
		}
		value := protowire.ConsumeFieldValue(number, wire, data[tag:])
		if value < 0 {
			return nil, errMalformed
		}
		field := data[:tag+value]
		data = data[tag+value:]
		switch {
		case !f.read[number]:
		case number == f.node && wire == protowire.BytesType:
			content, _ := protowire.ConsumeBytes(field[tag:])
			node, err := nodeFields.appendRead(nil, content)
			if err != nil {
				return nil, err
			}
			if nodes += len(node); nodes > maxNode {
				return nil, errNode
			}
			to = protowire.AppendBytes(protowire.AppendTag(to, number, wire), node)
		default:
			to = append(to, field...)
		}
	}
	return to, nil
}
