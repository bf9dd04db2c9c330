package listener

import (
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm"
)

// httpServer says on each connection what it knows of it, and echoes. When it drains, it says so and closes.
type httpServer struct {
	name string

	mu       sync.Mutex
	conns    []net.Conn
	draining bool
	closed   bool
}

func (h *httpServer) RouteNames() []string { return []string{h.name} }

func (h *httpServer) Serve(c net.Conn, d hcm.Downstream) {
	defer c.Close()
	h.mu.Lock()
	h.conns = append(h.conns, c)
	h.mu.Unlock()
	protocol, client := "plaintext", ""
	if d.TLS != nil {
		protocol = "TLS " + d.TLS.ServerName + " " + d.TLS.NegotiatedProtocol
		if len(d.TLS.PeerCertificates) > 0 {
			client = d.TLS.PeerCertificates[0].Subject.CommonName
		}
	}
	_, _ = fmt.Fprintf(c, "%s: %s %s to %s\n", h.name, protocol, client, d.Local)
	_, _ = io.Copy(c, c)
}

func (h *httpServer) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
	for _, c := range h.conns {
		_, _ = io.WriteString(c, "goodbye\n")
		c.Close()
	}
}

func (h *httpServer) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

func (h *httpServer) state() (draining, closed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draining, h.closed
}
