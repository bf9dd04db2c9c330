package crowd

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// response is what a client reads of a DeltaDiscoveryResponse.
type response struct {
	typeURL, nonce string
	version        string // name and version of the first resource
}

// The numbers of fields in envoy/service/discovery/v3/discovery.proto.
const (
	responseResources = 2
	responseTypeURL   = 4
	responseNonce     = 5

	resourceVersion = 1
	resourceName    = 3
)

// parse reads a DeltaDiscoveryResponse without decoding its resources, which would cost more than all else that a client does.
func parse(b []byte) (response, error) {
	var r response
	err := fields(b, func(number protowire.Number, value []byte) error {
		switch number {
		case responseTypeURL:
			r.typeURL = string(value)
		case responseNonce:
			r.nonce = string(value)
		case responseResources:
			if r.version != "" {
				return nil
			}
			var name, version string
			if err := fields(value, func(number protowire.Number, value []byte) error {
				switch number {
				case resourceName:
					name = string(value)
				case resourceVersion:
					version = string(value)
				}
				return nil
			}); err != nil {
				return err
			}
			r.version = name + "@" + version
		}
		return nil
	})
	return r, err
}

// fields calls visit with each field of a message that has a length: texts, bytes and messages.
func fields(b []byte, visit func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := visit(number, value); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
