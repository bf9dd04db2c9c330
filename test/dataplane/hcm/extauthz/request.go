package extauthz

import (
	"crypto/x509"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
)

// partialBody says in what the server is told whether the body is cut off.
const partialBody = "x-envoy-auth-partial-body"

// request returns what the server is told. body is nil if it isn't told of it.
func (c *Config) request(x *filter.Exchange, body []byte) *authv3.CheckRequest {
	http := &authv3.AttributeContext_HttpRequest{
		Id:       strconv.FormatUint(x.ID, 10),
		Method:   clean(x.Request.Method),
		Path:     clean(x.Request.Path),
		Host:     clean(x.Request.Authority),
		Scheme:   clean(x.Request.Scheme),
		Size:     x.Body.Received(),
		Protocol: x.Protocol,
		Headers:  c.headers(x),
	}
	if body != nil {
		http.Headers[partialBody] = "false"
		if size := int(c.body.GetMaxRequestBytes()); len(body) > size {
			body, http.Headers[partialBody] = body[:size], "true"
		}
		if c.body.GetPackAsBytes() {
			http.RawBody = body
		} else {
			http.Body = clean(string(body))
		}
	}
	source := peer(x.Remote)
	if x.TLS != nil && len(x.TLS.PeerCertificates) > 0 {
		source.Principal = clean(principal(x.TLS.PeerCertificates[0]))
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:      source,
		Destination: peer(x.Local),
		Request:     &authv3.AttributeContext_Request{Time: timestamppb.New(x.Start), Http: http},
	}}
}

// headers returns what the server is told of the header: names in lower case, the values of several lines with commas between
// them.
func (c *Config) headers(x *filter.Exchange) map[string]string {
	out := map[string]string{}
	tell := func(name, value string) {
		if name = strings.ToLower(name); name != partialBody && c.told(name) {
			out[name] = clean(value)
		}
	}
	tell(":method", x.Request.Method)
	tell(":path", x.Request.Path)
	tell(":authority", x.Request.Authority)
	tell(":scheme", x.Request.Scheme)
	for name, values := range x.Request.Header {
		if len(values) > 0 {
			tell(name, strings.Join(values, ","))
		}
	}
	return out
}

func peer(address netip.AddrPort) *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       address.Addr().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(address.Port())},
	}}}}
}

// principal is the first URI in a certificate, or else its first DNS name, or else its subject.
func principal(c *x509.Certificate) string {
	switch {
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	}
	return c.Subject.String()
}

// clean replaces each byte that isn't of valid UTF-8 by an exclamation mark, as Envoy does in strings of messages.
func clean(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		r, width := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && width == 1 {
			out.WriteByte('!')
		} else {
			out.WriteString(s[i : i+width])
		}
		i += width
	}
	return out.String()
}
