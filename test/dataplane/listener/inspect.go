package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
)

// maxClientHello is how many bytes tls_inspector reads at most (TlsInspector.max_client_hello_size).
const maxClientHello = 16 << 10

// clientHello is what a client says of itself before TLS begins.
type clientHello struct {
	serverName string   // in lower case; empty if it names none
	protocols  []string // ALPN
}

// These end the handshake of parseClientHello, which never completes.
var (
	errIncomplete = errors.New("more bytes are needed")
	errParsed     = errors.New("parsed")
)

// parseClientHello reads the ClientHello with which data begins. If it can't be known yet what data is, that is errIncomplete; if
// data isn't TLS, it is another error.
//
// As Envoy does with BoringSSL, it lets a TLS server read the bytes and stops it once the ClientHello is known.
func parseClientHello(data []byte) (clientHello, error) {
	var hello clientHello
	server := tls.Server(&bytesConn{data: data}, &tls.Config{
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			hello = clientHello{strings.ToLower(info.ServerName), info.SupportedProtos}
			return nil, errParsed
		},
	})
	err := server.HandshakeContext(context.Background())
	if errors.Is(err, errParsed) {
		return hello, nil
	}
	return clientHello{}, err
}

// bytesConn is a connection on which some bytes were received. What is sent on it is lost.
type bytesConn struct {
	net.Conn // none of its other methods are called
	data     []byte
}

func (c *bytesConn) Read(b []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, errIncomplete
	}
	n := copy(b, c.data)
	c.data = c.data[n:]
	return n, nil
}

func (c *bytesConn) Write(b []byte) (int, error) { return len(b), nil }
func (c *bytesConn) Close() error                { return nil }

// inspectTLS is the listener filter envoy.filters.listener.tls_inspector. It waits for the first bytes of a connection, which stay
// to be read, and learns from them whether it is TLS, and for whom. An error says that the connection is to be closed.
func inspectTLS(c *conn) error {
	for {
		hello, err := parseClientHello(c.peeked)
		switch {
		case err == nil:
			c.transport, c.serverName, c.protocols = transportTLS, hello.serverName, hello.protocols
			return nil
		case !errors.Is(err, errIncomplete):
			return nil // not TLS, or it is for others to say what is wrong with it
		case len(c.peeked) >= maxClientHello:
			return errors.New("the ClientHello is too large")
		}
		if err := c.peek(maxClientHello); err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("closed before it was known whether it is TLS")
			}
			return err
		}
	}
}
