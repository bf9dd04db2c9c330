package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// maxResponseHeaders is Envoy's default of max_response_headers_kb.
const maxResponseHeaders = 60 << 10

// newTransport returns what makes the HTTP connections of the cluster. They are in the cluster's version of HTTP whatever TLS
// negotiates, as Envoy has it for explicit_http_config: TLS is below, and the transport takes connections for plaintext.
func (c *Cluster) newTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(c.http2 == nil)
	protocols.SetUnencryptedHTTP2(c.http2 != nil)
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return c.connect(ctx, network, address)
		},
		Protocols:              &protocols,
		HTTP2:                  c.http2,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponseHeaders,
	}
}

// Target returns the URL of a request for a target, a path with its query, that is sent byte for byte.
func Target(scheme, target string) *url.URL {
	if !strings.HasPrefix(target, "//") {
		return &url.URL{Scheme: scheme, Opaque: target}
	}
	// net/url would take what follows for an authority.
	u := &url.URL{Scheme: scheme}
	u.RawPath, u.RawQuery, u.ForceQuery = strings.Cut(target, "?")
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		u.Path = u.RawPath
	}
	return u
}

// RoundTrip sends a request to a host of the cluster, in the version of HTTP that the cluster speaks, on a connection of its
// pool. It returns once the headers of the response are there, while the body of the request may still be read, as with
// [http.RoundTripper]; it is closed in the end, whatever happens.
//
// The request is sent as it is: URL (see [Target]; its scheme is what HTTP/2 tells, its host nothing), Host, and Header, to
// which nothing is added but what HTTP's framing needs; ContentLength, Trailer and Body as for [http.Transport]. The body
// of the response has to be closed. After 101 Switching Protocols, it is an io.ReadWriteCloser.
//
// ctx is for the whole exchange: when it ends, so does the stream, and errors, those of the body too, are context.Cause's.
// Other errors are ErrConnect, ErrReset, ErrProtocol or ErrOverflow.
func (c *Cluster) RoundTrip(ctx context.Context, h *Host, r *http.Request) (*http.Response, error) {
	out := outgoing(ctx, h, r)
	conn, err := h.pool.acquire(ctx)
	if err == nil && !c.limits.startRequest() {
		conn.Release()
		err = fmt.Errorf("%w: max_requests", ErrOverflow)
	}
	if err != nil {
		return nil, errors.Join(err, closeBody(r))
	}
	finish := sync.OnceFunc(c.limits.requests.release)
	if c.http2 == nil && r.Body != nil && r.Body != http.NoBody {
		out.Body = interruptible(r.Body, conn.usable)
	}
	response, err := conn.RoundTrip(out)
	if err != nil {
		finish()
		return nil, errors.Join(failure(ctx, err), closeBody(out))
	}
	body := &body{ReadCloser: response.Body, ctx: ctx, finish: finish}
	if w, ok := response.Body.(io.Writer); ok && response.StatusCode == http.StatusSwitchingProtocols {
		response.Body = &upgraded{body, w}
	} else {
		response.Body = body
	}
	return response, nil
}

// outgoing returns the request as it is sent to a host.
func outgoing(ctx context.Context, h *Host, r *http.Request) *http.Request {
	out := r.WithContext(ctx)
	target := *r.URL
	target.Host = h.address.String() // which is asked for and not sent, since Host is
	out.URL = &target
	if _, ok := r.Header["User-Agent"]; !ok {
		out.Header = http.Header{"User-Agent": nil} // not Go's
		maps.Copy(out.Header, r.Header)
	}
	return out
}

// closeBody closes the body of a request, for a second time perhaps, which does nothing.
func closeBody(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	return r.Body.Close()
}

// interruptible returns a body whose reads fail when the connection is usable no more. An HTTP/1.1 connection of net/http
// returns its error only when the read that it waits for ends, and that of a client's body may take as long as the client likes.
func interruptible(from io.ReadCloser, usable context.Context) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, from)
		w.CloseWithError(errors.Join(err, from.Close()))
	}()
	stop := context.AfterFunc(usable, func() { r.CloseWithError(net.ErrClosed) })
	return &pipedBody{r, stop}
}

type pipedBody struct {
	*io.PipeReader
	stop func() bool
}

func (b *pipedBody) Close() error {
	b.stop()
	return b.PipeReader.Close()
}

// failure returns the error of a stream that ended too early.
func failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if malformed(err) {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return fmt.Errorf("%w: %w", ErrReset, err)
}

// malformed says that a response is no HTTP, or more than is read of it. net/http has types for few of these errors.
func malformed(err error) bool {
	var header textproto.ProtocolError
	return errors.As(err, &header) || slices.ContainsFunc(
		[]string{"malformed", "response headers exceeded", "transfer encoding", "Content-Length", "chunk length"},
		func(text string) bool { return strings.Contains(err.Error(), text) })
}

// body is the body of a response. The request counts as under way until it is read or closed.
type body struct {
	io.ReadCloser
	ctx    context.Context
	finish func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	b.finish()
	if !errors.Is(err, io.EOF) {
		err = failure(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	b.finish()
	return b.ReadCloser.Close()
}

// upgraded is what follows 101 Switching Protocols. It counts until it is closed.
type upgraded struct {
	*body
	io.Writer
}

func (u *upgraded) Read(p []byte) (int, error) { return u.body.ReadCloser.Read(p) }
