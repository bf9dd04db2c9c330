package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// virtualHostsField is the number of RouteConfiguration.virtual_hosts.
const virtualHostsField = 2

// RouteConfiguration returns the encoded RouteConfiguration of a table. The virtual hosts are given encoded and copied in
// as they are: a field of bytes and a field of messages look the same on the wire. So a change to one virtual host costs
// marshalling that one, not the table.
func RouteConfiguration(t graph.TableKey, encodedVirtualHosts [][]byte) []byte {
	size := 256
	for _, vh := range encodedVirtualHosts {
		size += protowire.SizeTag(virtualHostsField) + protowire.SizeBytes(len(vh))
	}
	out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(make([]byte, 0, size), &routev3.RouteConfiguration{
		Name: RouteConfigurationName(t),
		// "Implementations MUST ignore any port value specified in the HTTP Host header while performing a match."
		IgnorePortInHostMatching: true,
	})
	if err != nil {
		panic(err) // names of Kubernetes objects are ASCII
	}
	for _, vh := range encodedVirtualHosts {
		out = protowire.AppendTag(out, virtualHostsField, protowire.BytesType)
		out = protowire.AppendBytes(out, vh)
	}
	return out
}
