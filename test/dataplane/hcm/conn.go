package hcm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// preface is how a connection begins that is HTTP/2 by prior knowledge.
const preface = "PRI * HTTP/2.0"

// conn is a downstream connection. It hides TLS from net/http, which takes it for plaintext, and so decides by the first bytes
// which version of HTTP it is: as Envoy's codec_type AUTO does for what ALPN hasn't settled, and a client that has agreed to h2
// begins with the preface.
type conn struct {
	net.Conn
	Downstream
	headersTimeout time.Duration
	closed         chan struct{}
	closing        sync.Once
	sending        atomic.Bool // the client may be

	mu      sync.Mutex
	waiting waiting
	start   []byte      // of what is read after forRequest, as long as the preface at most
	timer   *time.Timer // nil: none
}

// waiting is what an HTTP/1.1 connection waits for, within a limit of time.
type waiting int

const (
	forRequest waiting = iota
	forHeaders
	forNothing // a request is answered
	forever    // it is HTTP/2, of which net/http keeps the time
)

func newConn(inner net.Conn, d Downstream, s *settings) *conn {
	c := &conn{Conn: inner, Downstream: d, headersTimeout: s.headersTimeout, closed: make(chan struct{})}
	c.limit(s.idleTimeout, c.closeSilently) // which net/http does for all requests but the first
	return c
}

// limit has f called after a time; 0 is never. It is called with c.mu held, or by the only owner.
func (c *conn) limit(d time.Duration, f func()) {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if d > 0 {
		c.timer = time.AfterFunc(d, f)
	}
}

// Read starts the request_headers_timeout with the first byte of a request.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == forRequest {
		c.waiting, c.start = forHeaders, []byte{}
		c.limit(c.headersTimeout, c.refuse)
	}
	if c.waiting == forHeaders && len(c.start) < len(preface) {
		c.start = append(c.start, p[:min(n, len(preface)-len(c.start))]...)
		if string(c.start) == preface {
			c.waiting = forever
			c.limit(0, nil)
		}
	}
	return n, err
}

// begin says that the headers of a request are there.
func (c *conn) begin() { c.wait(forNothing) }

// end says that the connection is idle.
func (c *conn) end() { c.wait(forRequest) }

func (c *conn) wait(what waiting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != forever {
		c.waiting = what
		c.limit(0, nil)
	}
}

// refuse answers a request whose headers take too long. Nothing else is written meanwhile.
func (c *conn) refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != forHeaders {
		return // they came as the timer fired
	}
	const body = "request header timeout"
	_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // who doesn't send may not read either
	_, _ = fmt.Fprintf(c.Conn, "HTTP/1.1 408 Request Timeout\r\ncontent-length: %d\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n%s",
		len(body), body)
	c.closeSilently()
}

// delayedClose is Envoy's default of delayed_close_timeout.
const delayedClose = time.Second

// Close implements net.Conn. If the client may still be sending a request that was answered already, it is given the time to read
// the answer, which it couldn't after a reset.
func (c *conn) Close() error {
	if c.sending.Load() {
		c.closing.Do(func() {
			_ = c.CloseWrite()
			_ = c.SetReadDeadline(time.Now().Add(delayedClose))
			_, _ = io.Copy(io.Discard, c.Conn) // until the client closes the connection
			_ = c.Conn.Close()                 // who called Close doesn't ask what became of it
			close(c.closed)
		})
	}
	return c.abort()
}

// abort closes the connection at once.
func (c *conn) abort() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		err = c.Conn.Close()
		close(c.closed)
	})
	return err
}

func (c *conn) closeSilently() { _ = c.abort() } // there is nobody to tell

// CloseWrite lets net/http give a client the time to read a last response.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// connKey is the key of the conn in the contexts of requests.
type connKey struct{}

func (m *Manager) newServer() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(m.http1)
	protocols.SetUnencryptedHTTP2(m.http2 != nil)
	return &http.Server{
		Handler:                      m,
		Protocols:                    &protocols,
		HTTP2:                        m.http2,
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               maxRequestHeaders,
		IdleTimeout:                  m.idleTimeout,
		ErrorLog:                     slog.NewLogLogger(m.deps.Logger.Handler(), slog.LevelDebug),
		ConnContext:                  func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				c.(*conn).end()
			}
		},
	}
}
