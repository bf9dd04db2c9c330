package hcm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// seen is what a backend has seen of a request.
type seen struct {
	Method, Host, Target string
	Header               http.Header
}

// echo answers with what it has seen.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(seen{r.Method, r.Host, r.RequestURI, r.Header}) // a client that isn't there any more has failed
}

func (a answer) seen(t *testing.T) seen {
	t.Helper()
	var out seen
	if a.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", a.Status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return out
}

const toBackend = "  - {name: all, match: {prefix: /}, route: {cluster: backend, timeout: 0s}}\n"

func TestRequest(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	g.cluster("backend", []string{backend(t, echo)})
	for name, test := range map[string]struct {
		request string
		status  int
		target  string   // that the backend sees
		host    string   // likewise
		header  []string // "name: value" that it sees, "name" that it doesn't
		reply   []string // the same of the response, and "body: ..." for all of the body
	}{
		"as it is": {
			request: "GET /a/b?c=%2F;d&&e HTTP/1.1\r\nHost: example.com:8080\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
			status:  200, target: "/a/b?c=%2F;d&&e", host: "example.com:8080", header: []string{"X-A: 1,2", "X-Forwarded-Proto: http", "Via"},
		},
		"absolute form": {
			request: "GET http://example.com/a HTTP/1.1\r\nHost: other\r\n\r\n",
			status:  200, target: "/a", host: "example.com",
		},
		"normalized path": {
			request: "GET /a/../b//c/%2e%2e/%64?e=/../f HTTP/1.1\r\nHost: h\r\n\r\n", status: 200, target: "/b/d?e=/../f",
		},
		"escaped slashes": {
			request: "GET /a%2Fb%5Cc?d=%2F HTTP/1.1\r\nHost: h\r\n\r\n", status: 307, reply: []string{"Location: /a/b/c?d=%2F", "body: "},
		},
		"escaped slashes of gRPC": {
			request: "POST /a%2Fb HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n",
			status:  200, reply: []string{"Grpc-Status: 13", "Location"},
		},
		"fragment":          {request: "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", status: 400},
		"asterisk":          {request: "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", status: 404},
		"CONNECT":           {request: "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", status: 404},
		"empty host":        {request: "GET / HTTP/1.1\r\nHost:\r\n\r\n", status: 400},
		"HTTP/1.0":          {request: "GET / HTTP/1.0\r\nHost: h\r\n\r\n", status: 426},
		"underscore":        {request: "GET / HTTP/1.1\r\nHost: h\r\nx_a: 1\r\n\r\n", status: 400, reply: []string{"body: Bad Request", "Connection: close"}},
		"too many headers":  {request: "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X-A: 1\r\n", 100) + "\r\n", status: 431},
		"too large headers": {request: "GET / HTTP/1.1\r\nHost: h\r\nX-A: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", status: 431},
		"hop-by-hop headers": {
			request: "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-a, keep-alive\r\nX-A: 1\r\nKeep-Alive: 1\r\nProxy-Connection: a\r\n" +
				"TE: gzip, trailers\r\nUpgrade: h2c\r\n\r\n",
			status: 200, header: []string{"X-A", "Keep-Alive", "Proxy-Connection", "Connection", "Te: trailers", "Upgrade"},
		},
		"forbidden nomination": {
			request: "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-forwarded-for\r\n\r\n", status: 400,
		},
		"headers of Envoy's": {
			request: "GET / HTTP/1.1\r\nHost: h\r\nX-Envoy-Max-Retries: 5\r\nX-Envoy-Internal: true\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 1\r\n" +
				"X-Forwarded-Client-Cert: a\r\nX-Envoy-External-Address: a\r\n\r\n",
			status: 200, header: []string{
				"X-Envoy-Max-Retries", "X-Envoy-Internal", "X-Envoy-Upstream-Rq-Timeout-Ms", "X-Forwarded-Client-Cert",
				"X-Envoy-External-Address: 127.0.0.1",
			},
			reply: []string{"Server", "X-Envoy-Upstream-Service-Time"},
		},
		"referer that is none": {
			request: "GET / HTTP/1.1\r\nHost: h\r\nReferer: /a\r\n\r\n", status: 200, header: []string{"Referer"},
		},
		"referer": {
			request: "GET / HTTP/1.1\r\nHost: h\r\nReferer: http://a/b\r\n\r\n", status: 200, header: []string{"Referer: http://a/b"},
		},
		"nothing of Go's": {
			request: "GET / HTTP/1.1\r\nHost: h\r\n\r\n", status: 200, header: []string{"User-Agent", "Accept-Encoding"},
		},
		"HEAD": {request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", status: 200, reply: []string{"body: "}},
		"upgrade that no route allows": {
			request: "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			status:  403, reply: []string{"Connection: close"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := g.raw(test.request)
			if err != nil {
				t.Fatal(err)
			}
			if got.StatusCode != test.status {
				t.Fatalf("got %s, want %d; %s", got.Status, test.status, got.body)
			}
			for _, want := range test.reply {
				if body, ok := strings.CutPrefix(want, "body: "); ok {
					if got.body != body {
						t.Errorf("got body %q, want %q", got.body, body)
					}
					continue
				}
				checkHeader(t, got.Header, want)
			}
			if len(test.header) == 0 && test.target == "" {
				return
			}
			seen := got.seen(t)
			if test.target != "" && seen.Target != test.target {
				t.Errorf("the backend sees %s, want %s", seen.Target, test.target)
			}
			if test.host != "" && seen.Host != test.host {
				t.Errorf("the backend sees host %s, want %s", seen.Host, test.host)
			}
			for _, want := range test.header {
				checkHeader(t, seen.Header, want)
			}
		})
	}
}

// checkHeader wants "name: value", or "name" not to be there.
func checkHeader(t *testing.T, h http.Header, want string) {
	t.Helper()
	name, value, there := strings.Cut(want, ": ")
	got, known := h[name]
	if name == "Connection" && there && value == "close" && len(got) == 0 {
		return // net/http takes it out of responses; see Response.Close
	}
	if known != there || strings.Join(got, ",") != value {
		t.Errorf("header %s is %q, want %q", name, got, want)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	g.cluster("backend", []string{backend(t, echo)})
	ids := map[string]bool{"mine": true}
	for range 3 {
		id := g.do(g.request(http.MethodGet, "/", nil, "X-Request-Id: mine")).seen(t).Header.Get("X-Request-Id")
		if len(id) != 36 || ids[id] {
			t.Errorf("x-request-id is %q, want a new UUID", id)
		}
		ids[id] = true
	}
}

// TestOfSidecar: what a sidecar isn't told to change, it doesn't.
func TestOfSidecar(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend, func(config *hcmv3.HttpConnectionManager) {
		config.UseRemoteAddress, config.GenerateRequestId = wrapperspb.Bool(false), wrapperspb.Bool(false)
	})
	g.cluster("backend", []string{backend(t, echo)})
	seen := g.do(g.request(http.MethodGet, "/", nil, "X-Request-Id: mine", "X-Forwarded-For: 192.0.2.1")).seen(t).Header
	if seen.Get("X-Request-Id") != "mine" || seen.Get("X-Forwarded-For") != "192.0.2.1" {
		t.Errorf("x-request-id is %q and x-forwarded-for %q, want those of the request", seen.Get("X-Request-Id"), seen.Get("X-Forwarded-For"))
	}
	for _, name := range []string{"X-Request-Id", "X-Forwarded-For", "X-Envoy-External-Address"} {
		if got := g.get("/").seen(t).Header.Get(name); got != "" {
			t.Errorf("%s is %q, want none", name, got)
		}
	}
}

// TestSidecar: without the settings of an edge proxy, what clients say of themselves stays.
func TestSidecar(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend, func(c *hcmv3.HttpConnectionManager) {
		c.UseRemoteAddress, c.GenerateRequestId = wrapperspb.Bool(false), wrapperspb.Bool(false)
		c.CommonHttpProtocolOptions, c.NormalizePath, c.MergeSlashes, c.PathWithEscapedSlashesAction = nil, nil, false, 0
	})
	g.cluster("backend", []string{backend(t, echo)})
	seen := g.do(g.request(http.MethodGet, "/a//../b%2Fc", nil, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "x_a: 1",
		"X-Envoy-Downstream-Service-Cluster: a", "X-Envoy-Retry-On: 5xx")).seen(t)
	if seen.Target != "/a//../b%2Fc" {
		t.Errorf("the backend sees %s", seen.Target)
	}
	for _, want := range []string{
		"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X_a: 1", "X-Request-Id", "X-Envoy-External-Address",
		"X-Envoy-Downstream-Service-Cluster: a", "X-Envoy-Retry-On",
	} {
		checkHeader(t, seen.Header, want)
	}
	if id := g.do(g.request(http.MethodGet, "/", nil, "X-Request-Id: mine")).seen(t).Header.Get("X-Request-Id"); id != "mine" {
		t.Errorf("x-request-id is %q", id)
	}
}

func TestForwardedFor(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	g.cluster("backend", []string{backend(t, echo)})
	got := g.do(g.request(http.MethodGet, "/", nil, "X-Forwarded-For: 192.0.2.1")).seen(t).Header.Get("X-Forwarded-For")
	first, own, _ := strings.Cut(got, ",")
	if first != "192.0.2.1" || own == "" {
		t.Errorf("x-forwarded-for is %q, want that of the client and an address", got)
	}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	g.cluster("backend", []string{backend(t, echo)})
	client := g.client(true)
	response, err := client.Do(g.request(http.MethodGet, "/a//b?c", nil, "X-A: 1"))
	if err != nil {
		t.Fatal(err)
	}
	got := g.read(response)
	if seen := got.seen(t); got.ProtoMajor != 2 || seen.Target != "/a/b?c" || seen.Host != g.address || seen.Header.Get("X-A") != "1" {
		t.Errorf("the backend sees %+v over %s", seen, got.Proto)
	}
	if _, err := client.Do(g.request(http.MethodGet, "/", nil, "x_a: 1")); err == nil || !strings.Contains(err.Error(), "stream error") {
		t.Errorf("a header with an underscore: got %v, want a reset of the stream", err)
	}
}

func TestLocalReplies(t *testing.T) {
	t.Parallel()
	g := newGateway(t, `
  - {match: {path: /direct}, directResponse: {status: 500}, responseHeadersToAdd: [{header: {key: x-a, value: b}}]}
  - {match: {path: /body}, directResponse: {status: 503, body: {inlineString: gone}}}
  - {match: {path: /redirect}, redirect: {hostRedirect: example.com, responseCode: FOUND}, responseHeadersToAdd: [{header: {key: x-a, value: b}}]}
  - {match: {path: /unknown}, route: {cluster: unknown, clusterNotFoundResponseCode: INTERNAL_SERVER_ERROR}, responseHeadersToAdd: [{header: {key: x-a, value: b}}]}
  - {match: {path: /unknown/grpc}, route: {cluster: unknown}}
  - {match: {path: /empty}, route: {cluster: empty}}
  - {match: {path: /refused}, route: {cluster: refused}}
`)
	g.cluster("empty", nil)
	g.cluster("refused", []string{refused(t)})
	for path, want := range map[string]struct {
		status int
		body   string // what it begins with
		header []string
		grpc   string // Grpc-Status of a gRPC request
	}{
		"/direct":       {500, "", []string{"X-A: b", "Content-Type"}, "2"},
		"/body":         {503, "gone", []string{"Content-Type: text/plain", "Content-Length: 4"}, "14"},
		"/redirect":     {302, "", []string{"Location: http://example.com/redirect", "X-A: b"}, "2"},
		"/nowhere":      {404, "", []string{"Content-Type"}, "12"},
		"/unknown":      {500, "", []string{"X-A: b"}, "2"},
		"/unknown/grpc": {503, "", nil, "14"},
		"/empty":        {503, "no healthy upstream", nil, "14"},
		"/refused": {
			503, "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: ",
			nil, "14",
		},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			got := g.get(path)
			if got.StatusCode != want.status || !strings.HasPrefix(got.body, want.body) || want.body == "" && got.body != "" {
				t.Errorf("got %s %q, want %d %q", got.Status, got.body, want.status, want.body)
			}
			for _, line := range want.header {
				checkHeader(t, got.Header, line)
			}
			for _, http2 := range []bool{false, true} {
				response, err := g.client(http2).Do(g.request(http.MethodPost, path, strings.NewReader(""), "Content-Type: application/grpc"))
				if err != nil {
					t.Fatal(err)
				}
				rpc := g.read(response)
				if rpc.StatusCode != 200 || rpc.Header.Get("Grpc-Status") != want.grpc || rpc.Header.Get("Content-Type") != "application/grpc" {
					t.Errorf("got %s %v for gRPC, want grpc-status %s", rpc.Status, rpc.Header, want.grpc)
				}
				if want.body != "" && !strings.HasPrefix(rpc.Header.Get("Grpc-Message"), want.body) || rpc.body != "" {
					t.Errorf("got grpc-message %q and body %q, want %q", rpc.Header.Get("Grpc-Message"), rpc.body, want.body)
				}
			}
		})
	}
}

func TestNoTable(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend, func(c *hcmv3.HttpConnectionManager) { c.GetRds().RouteConfigName = "other" })
	if got := g.get("/"); got.StatusCode != http.StatusNotFound {
		t.Errorf("got %s, want 404", got.Status)
	}
	if names := fmt.Sprint(g.manager.RouteNames()); names != "[other]" {
		t.Errorf("RouteNames: %s", names)
	}
}

func timeouts(headers, stream int64) option {
	return func(c *hcmv3.HttpConnectionManager) {
		if headers > 0 {
			c.RequestHeadersTimeout = &durationpb.Duration{Nanos: int32(headers * 1e6)}
		}
		if stream > 0 {
			c.StreamIdleTimeout = &durationpb.Duration{Nanos: int32(stream * 1e6)}
		}
	}
}
