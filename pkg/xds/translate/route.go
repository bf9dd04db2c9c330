package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// virtualHostsField is the number of RouteConfiguration.virtual_hosts.
const virtualHostsField = 2

// TableHeader returns the encoded RouteConfiguration of a table without its virtual hosts. With a TableHost for each of them after
// it, it is the whole.
func TableHeader(t graph.TableKey) []byte {
	header, err := proto.MarshalOptions{Deterministic: true}.Marshal(&routev3.RouteConfiguration{
		Name: RouteConfigurationName(t),
		// "Implementations MUST ignore any port value specified in the HTTP Host header while performing a match."
		IgnorePortInHostMatching: true,
		Metadata:                 tableOrigin(t).metadata(),
	})
	if err != nil {
		panic(err) // names of Kubernetes objects are ASCII
	}
	return header
}

// TableHost returns a virtual host, which is given encoded, as it is among others in the RouteConfiguration of a table: a field of
// bytes and a field of messages look the same on the wire. So a change to one virtual host costs marshalling that one, not
// the table.
func TableHost(encodedVirtualHost []byte) []byte {
	size := protowire.SizeTag(virtualHostsField) + protowire.SizeBytes(len(encodedVirtualHost))
	out := protowire.AppendTag(make([]byte, 0, size), virtualHostsField, protowire.BytesType)
	return protowire.AppendBytes(out, encodedVirtualHost)
}
