package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// block is a handler that answers when it is let, or when its client is gone.
func block(release <-chan struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
}

// closed is a body that says whether it was closed.
type closed struct {
	closed bool
}

func (c *closed) Read([]byte) (int, error) { return 0, io.EOF }
func (c *closed) Close() error {
	c.closed = true
	return nil
}

func TestRequestAsItIs(t *testing.T) {
	t.Parallel()
	type seen struct {
		proto, target, host, body string
		header                    http.Header
		length                    int64
	}
	got := make(chan seen, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // an error shows as a body that is wanting
		got <- seen{r.Proto, r.RequestURI, r.Host, string(body), r.Header, r.ContentLength}
	})
	for proto, config := range protocols(t) {
		c := newCluster(t, config, s.address())
		for _, target := range []string{
			"/", "/a/b?c=d", "/a%2Fb/%41?x=%20&y=+", "/a//b/../c", "//a/b", "//a%2fb?x", "/?", "/a?b?c", "/a;b=1,2/c|d", "/caf%C3%A9", "*",
		} {
			method := http.MethodPost
			if target == "*" {
				method = http.MethodOptions
			}
			r := request(t, method, target, strings.NewReader("hello"))
			r.Header = http.Header{"X-Some": {"1", "2"}, "Te": {"trailers"}}
			response, err := c.RoundTrip(t.Context(), pick(t, c), r)
			if err != nil {
				t.Fatalf("%s: %s: %v", proto, target, err)
			}
			read(t, response)
			want := http.Header{"X-Some": {"1", "2"}, "Te": {"trailers"}, "Content-Length": {"5"}}
			if g := <-got; g.proto != proto || g.target != target || g.host != "web.example" || g.body != "hello" || g.length != 5 ||
				!maps.EqualFunc(g.header, want, func(a, b []string) bool { return strings.Join(a, ",") == strings.Join(b, ",") }) {
				t.Errorf("%s: %s: the backend got %+v", proto, target, g)
			}
		}
	}
}

func TestOwnUserAgent(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("User-Agent") })
	for proto, config := range protocols(t) {
		c := newCluster(t, config, s.address())
		r := request(t, http.MethodGet, "/", nil)
		r.Header.Set("User-Agent", "curl")
		response, err := c.RoundTrip(t.Context(), pick(t, c), r)
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
		if agent := <-got; agent != "curl" {
			t.Errorf("%s: User-Agent %q, want curl", proto, agent)
		}
	}
}

// What is said in a stream arrives while the stream goes on, in both directions, and trailers after it.
func TestFullDuplex(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // HTTP/2 is so always
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusOK)
		_ = control.Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = io.WriteString(w, "echo "+lines.Text()+"\n")
			_ = control.Flush()
		}
		w.Header().Set("X-Sum", r.Trailer.Get("X-Part"))
	})
	for proto, config := range protocols(t) {
		c := newCluster(t, config, s.address())
		body, send := io.Pipe()
		r := request(t, http.MethodPost, "/", body)
		r.Trailer = http.Header{"X-Part": nil}
		response, err := c.RoundTrip(t.Context(), pick(t, c), r)
		if err != nil {
			t.Fatalf("%s: %v", proto, err)
		}
		lines := bufio.NewReader(response.Body)
		for _, line := range []string{"one\n", "two\n"} {
			if _, err := io.WriteString(send, line); err != nil {
				t.Fatal(err)
			}
			if got, err := lines.ReadString('\n'); err != nil || got != "echo "+line {
				t.Fatalf("%s: said %q, got %q (%v)", proto, line, got, err)
			}
		}
		r.Trailer.Set("X-Part", "42")
		_ = send.Close()
		if _, err := io.ReadAll(lines); err != nil || response.Trailer.Get("X-Sum") != "42" {
			t.Errorf("%s: trailers %v (%v)", proto, response.Trailer, err)
		}
		_ = response.Body.Close()
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = both.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + r.Header.Get("Upgrade") + "\r\n\r\n")
		_ = both.Flush()
		_, _ = io.Copy(conn, both)
	})
	c := newCluster(t, eds(), s.address())
	r := request(t, http.MethodGet, "/", nil)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	response, err := c.RoundTrip(t.Context(), pick(t, c), r)
	if err != nil {
		t.Fatal(err)
	}
	stream, ok := response.Body.(io.ReadWriteCloser)
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Upgrade") != "websocket" || !ok {
		t.Fatalf("%s, %v, body %T", response.Status, response.Header, response.Body)
	}
	if _, err := io.WriteString(stream, "hello"); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 5)
	if _, err := io.ReadFull(stream, echo); err != nil || string(echo) != "hello" {
		t.Errorf("the stream echoes %q (%v)", echo, err)
	}
	if n := c.limits.requests.n.Load(); n != 1 {
		t.Errorf("%d requests are under way, want this one", n)
	}
	_ = stream.Close()
	if n := c.limits.requests.n.Load(); n != 0 {
		t.Errorf("%d requests are under way, want none", n)
	}
	eventually(t, "no connection is counted", func() bool { return c.limits.connections.n.Load() == 0 })
}

// Nothing is sent again by itself, not even what could be.
func TestOneTry(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 1 {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	})
	c := newCluster(t, eds(), s.address())
	h := pick(t, c)
	get(t, c, h)
	if _, err := c.RoundTrip(t.Context(), h, request(t, http.MethodGet, "/", nil)); !errors.Is(err, ErrReset) {
		t.Errorf("a connection that ends instead of an answer: %v", err)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("the backend got %d requests, want 2", n)
	}
}

func TestConnectFailures(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = unused.Close()
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	authority := serveTLS(t, nil).Certificate()
	secured, slow := withTLS(t, eds(), authority, "example.com"), withTLS(t, eds(), authority, "example.com")
	slow.ConnectTimeout = durationpb.New(20 * time.Millisecond)
	for name, tt := range map[string]struct {
		config *clusterv3.Cluster
		host   string
	}{
		"nobody listens":          {eds(), unused.Addr().String()},
		"no TLS at the other end": {secured, plain.address()},
		"the handshake stalls":    {slow, silent.Addr().String()},
	} {
		for version, config := range map[string]*clusterv3.Cluster{"HTTP/1.1": tt.config, "HTTP/2": http2(t, proto.CloneOf(tt.config), &corev3.Http2ProtocolOptions{})} {
			t.Run(name+", "+version, func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, config, tt.host)
				body := &closed{}
				r := request(t, http.MethodPost, "/", nil)
				r.Body = body
				if _, err := c.RoundTrip(t.Context(), pick(t, c), r); !errors.Is(err, ErrConnect) || !body.closed {
					t.Errorf("RoundTrip: %v; the body is closed: %t", err, body.closed)
				}
				if _, err := c.Dial(t.Context(), pick(t, c)); !errors.Is(err, ErrConnect) {
					t.Errorf("Dial: %v", err)
				}
				if n := c.limits.connections.n.Load(); n != 0 {
					t.Errorf("%d connections are counted", n)
				}
			})
		}
	}
}

func TestResets(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		switch r.URL.Path {
		case "/body":
			_, _ = io.WriteString(w, "some")
			_ = control.Flush()
		case "/upload":
			_, _ = io.ReadFull(r.Body, make([]byte, 1))
			if conn, _, err := control.Hijack(); err == nil { // of HTTP/1.1; net/http would wait for the rest of the body
				_ = conn.Close()
			}
		}
		panic(http.ErrAbortHandler)
	})
	for proto, config := range protocols(t) {
		c := newCluster(t, config, s.address())
		if _, err := c.RoundTrip(t.Context(), pick(t, c), request(t, http.MethodGet, "/", nil)); !errors.Is(err, ErrReset) {
			t.Errorf("%s: before the response: %v", proto, err)
		}
		response, err := c.RoundTrip(t.Context(), pick(t, c), request(t, http.MethodGet, "/body", nil))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(response.Body); string(got) != "some" || !errors.Is(err, ErrReset) {
			t.Errorf("%s: in the response: %q, %v", proto, got, err)
		}
		_ = response.Body.Close()
		// While it is read, the body of the request has nothing more to say, and doesn't end.
		body, send := io.Pipe()
		go func() { _, _ = send.Write([]byte("x")) }()
		if _, err := c.RoundTrip(t.Context(), pick(t, c), request(t, http.MethodPost, "/upload", body)); !errors.Is(err, ErrReset) {
			t.Errorf("%s: in the request: %v", proto, err)
		}
		_ = send.Close()
		if n := c.limits.requests.n.Load(); n != 0 {
			t.Errorf("%s: %d requests are under way, want none", proto, n)
		}
	}
}

func TestProtocolErrors(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]string{
		"no HTTP":        "220 mail.example ESMTP\r\n",
		"no status":      "HTTP/1.1 abc\r\n\r\n",
		"no header":      "HTTP/1.1 200 OK\r\nrubbish\r\n\r\n",
		"a large header": "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxResponseHeaders) + "\r\n\r\n",
		"no length":      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"an encoding":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		})
		c := newCluster(t, eds(), s.address())
		response, err := c.RoundTrip(t.Context(), pick(t, c), request(t, http.MethodGet, "/", nil))
		if !errors.Is(err, ErrProtocol) || errors.Is(err, ErrReset) {
			t.Errorf("%s: %v, %v", what, response, err)
		}
	}
}

func TestCancellation(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	begun, ended := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_ = http.NewResponseController(w).Flush()
		}
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	})
	for proto, config := range protocols(t) {
		c := newCluster(t, config, s.address())
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			<-begun
			cancel(enough)
		}()
		if _, err := c.RoundTrip(ctx, pick(t, c), request(t, http.MethodGet, "/", nil)); !errors.Is(err, enough) || errors.Is(err, ErrReset) {
			t.Errorf("%s: before the response: %v", proto, err)
		}
		<-ended
		ctx, cancel = context.WithCancelCause(t.Context())
		response, err := c.RoundTrip(ctx, pick(t, c), request(t, http.MethodGet, "/body", nil))
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		cancel(enough)
		if _, err := io.ReadAll(response.Body); !errors.Is(err, enough) || errors.Is(err, ErrReset) {
			t.Errorf("%s: in the response: %v", proto, err)
		}
		_ = response.Body.Close()
		<-ended
	}
}
