package session

import "google.golang.org/protobuf/encoding/protowire"

// token is what is in a cookie: Envoy's message of
// source/extensions/http/stateful_session/cookie/cookie.proto.
type token struct {
	address string
	expires int64 // seconds; 0 is never
}

const (
	addressField protowire.Number = 1
	expiresField protowire.Number = 2
)

func (t token) encode() []byte {
	out := protowire.AppendTag(nil, addressField, protowire.BytesType)
	out = protowire.AppendString(out, t.address)
	if t.expires != 0 {
		out = protowire.AppendTag(out, expiresField, protowire.VarintType)
		out = protowire.AppendVarint(out, uint64(t.expires))
	}
	return out
}

// parseToken fails for what isn't a token that names an address.
func parseToken(data []byte) (t token, ok bool) {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return token{}, false
		}
		data = data[n:]
		switch {
		case number == addressField && kind == protowire.BytesType:
			t.address, n = protowire.ConsumeString(data)
		case number == expiresField && kind == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(data)
			t.expires = int64(v)
		default:
			n = protowire.ConsumeFieldValue(number, kind, data)
		}
		if n < 0 {
			return token{}, false
		}
		data = data[n:]
	}
	return t, t.address != ""
}
