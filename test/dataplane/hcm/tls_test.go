package hcm_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm"
)

// TestTLS: in a TLS connection, ALPN decides the version of HTTP.
func TestTLS(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend+"")
	g.cluster("backend", []string{backend(t, echo)})
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.EnableHTTP2 = true
	server.StartTLS() // for its certificate
	t.Cleanup(server.Close)
	for _, protocol := range []string{"h2", "http/1.1", ""} {
		var transport http.Transport
		transport.Protocols = &http.Protocols{}
		transport.Protocols.SetHTTP1(protocol != "h2")
		transport.Protocols.SetHTTP2(protocol == "h2")
		t.Cleanup(transport.CloseIdleConnections)
		transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		transport.TLSClientConfig.NextProtos = nil
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				ended <- err
				return
			}
			config := &tls.Config{Certificates: server.TLS.Certificates, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12}
			if protocol == "" {
				config.NextProtos = nil
			}
			secure := tls.Server(conn, config)
			if err := secure.HandshakeContext(t.Context()); err != nil {
				ended <- err
				return
			}
			state := secure.ConnectionState()
			g.manager.Serve(secure, hcm.Downstream{
				TLS: &state, Local: conn.LocalAddr().(*net.TCPAddr).AddrPort(), Remote: conn.RemoteAddr().(*net.TCPAddr).AddrPort(),
			})
			ended <- nil
		}()
		r := g.request(http.MethodGet, "/", nil)
		r.URL.Scheme, r.URL.Host = "https", listener.Addr().String()
		response, err := (&http.Client{Transport: &transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got := g.read(response)
		want := 1
		if protocol == "h2" {
			want = 2
		}
		if seen := got.seen(t); got.ProtoMajor != want || seen.Header.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("%s: got %s, and the backend sees %v", protocol, got.Proto, seen.Header)
		}
		transport.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}
}
