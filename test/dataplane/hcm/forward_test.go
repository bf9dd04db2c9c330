package hcm_test

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestForward(t *testing.T) {
	t.Parallel()
	g := newGateway(t, `
  - match: {prefix: /changed/}
    route: {cluster: backend, prefixRewrite: /new/, hostRewriteLiteral: example.com}
    requestHeadersToAdd: [{header: {key: x-a, value: b}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD}]
    requestHeadersToRemove: [x-gone]
    responseHeadersToAdd: [{header: {key: x-c, value: d}}]
    responseHeadersToRemove: [x-secret]
  - match: {prefix: /weighted}
    route: {weightedClusters: {clusters: [
      {name: none, weight: 0},
      {name: backend, weight: 1, hostRewriteLiteral: weighted.example.com, responseHeadersToAdd: [{header: {key: x-w, value: w}}]}]}}
`+toBackend)
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Secret", "1")
		w.Header().Set("Server", "backend")
		w.Header().Set("Keep-Alive", "1")
		w.Header()["X-Multi"] = []string{"a", "b"}
		echo(w, r)
	})
	g.cluster("backend", []string{address})
	g.cluster("backend2", []string{address}, http2Cluster)

	got := g.do(g.request(http.MethodGet, "/changed/a?b", nil, "X-A: a", "X-Gone: 1"))
	seen := got.seen(t)
	if seen.Target != "/new/a?b" || seen.Host != "example.com" {
		t.Errorf("the backend sees %s of %s", seen.Target, seen.Host)
	}
	for _, want := range []string{"X-A: b", "X-Gone", "X-Envoy-Original-Path"} {
		checkHeader(t, seen.Header, want)
	}
	for _, want := range []string{"X-C: d", "X-Secret", "Server: backend", "Keep-Alive", "X-Multi: a,b", "X-Envoy-Upstream-Service-Time"} {
		checkHeader(t, got.Header, want)
	}
	got = g.get("/weighted")
	if host := got.seen(t).Host; host != "weighted.example.com" || got.Header.Get("X-W") != "w" {
		t.Errorf("weighted: host %s, header %v", host, got.Header)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend+"")
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		_, _ = w.Write(data)
	})
	large := strings.Repeat("0123456789", 100<<10)
	for name, settings := range map[string]string{"HTTP/1.1": "", "HTTP/2": http2Cluster} {
		g.cluster("backend", []string{address}, settings)
		for _, http2 := range []bool{false, true} {
			for _, body := range []string{"", "a", large} {
				for _, length := range []bool{false, true} {
					var reader io.Reader = strings.NewReader(body)
					want := fmt.Sprint(len(body))
					if !length && body != "" {
						reader, want = io.MultiReader(reader), "-1"
					}
					response, err := g.client(http2).Do(g.request(http.MethodPost, "/", reader))
					if err != nil {
						t.Fatal(err)
					}
					got := g.read(response)
					if got.body != body || got.Header.Get("X-Length") != want {
						t.Errorf("%s, %s, %d bytes: got %d bytes and length %s, want length %s", name, response.Proto, len(body), len(got.body),
							got.Header.Get("X-Length"), want)
					}
				}
			}
		}
	}
}

// flaky answers with the status codes that it is given, one after the other, and then with 200; 0 resets the connection.
func flaky(t *testing.T, codes ...int) (address string, tries *atomic.Int32, bodies *sync.Map) {
	t.Helper()
	tries, bodies = &atomic.Int32{}, &sync.Map{}
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		n := int(tries.Add(1))
		data, _ := io.ReadAll(r.Body) // the gateway may give up a try
		bodies.Store(n, string(data))
		switch {
		case n > len(codes):
			_, _ = io.WriteString(w, "done")
		case codes[n-1] == 0:
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, "no", codes[n-1])
		}
	}), tries, bodies
}

func TestRetries(t *testing.T) {
	t.Parallel()
	const policy = `
  - {match: {prefix: /}, route: {cluster: backend, timeout: 0s, retryPolicy: {retryOn: %q, numRetries: 2, retriableStatusCodes: [503],
     retryBackOff: {baseInterval: 0.001s}}}}
`
	const all = "connect-failure,reset,retriable-status-codes"
	for name, test := range map[string]struct {
		retryOn string
		codes   []int
		status  int
		tries   int32
		body    string
	}{
		"status":                   {all, []int{503, 503}, 200, 3, "a"},
		"too often":                {all, []int{503, 503, 503}, 503, 3, "a"},
		"another status":           {all, []int{500}, 500, 1, "a"},
		"reset":                    {all, []int{0, 0}, 200, 3, "a"},
		"reset, no condition":      {"retriable-status-codes", []int{0}, 503, 1, "a"},
		"status, no condition":     {"reset", []int{503}, 503, 1, "a"},
		"as large as is kept":      {all, []int{503}, 200, 2, strings.Repeat("a", 32<<10)},
		"larger than what is kept": {all, []int{503}, 503, 1, strings.Repeat("a", 32<<10+1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, fmt.Sprintf(policy, test.retryOn))
			address, tries, bodies := flaky(t, test.codes...)
			g.cluster("backend", []string{address})
			got := g.do(g.request(http.MethodPost, "/", strings.NewReader(test.body)))
			if got.StatusCode != test.status || tries.Load() != test.tries {
				t.Errorf("got %s %q after %d tries, want %d after %d", got.Status, got.body, tries.Load(), test.status, test.tries)
			}
			for i := range tries.Load() {
				if body, _ := bodies.Load(int(i) + 1); body != test.body {
					t.Errorf("try %d got a body of %d bytes", i+1, len(body.(string)))
				}
			}
		})
	}
}

func TestRetryElsewhere(t *testing.T) {
	t.Parallel()
	g := newGateway(t, `
  - {match: {prefix: /}, route: {cluster: backend, timeout: 0s, retryPolicy: {retryOn: connect-failure, numRetries: 1, retryBackOff: {baseInterval: 0.001s}}}}
`)
	g.cluster("backend", []string{refused(t), backend(t, echo)})
	for range 4 {
		if got := g.get("/"); got.StatusCode != http.StatusOK {
			t.Errorf("got %s %s", got.Status, got.body)
		}
	}
}

func TestRetryLimit(t *testing.T) {
	t.Parallel()
	g := newGateway(t, `
  - {match: {prefix: /}, route: {cluster: backend, timeout: 0s, retryPolicy: {retryOn: retriable-status-codes, retriableStatusCodes: [503], numRetries: 1, retryBackOff: {baseInterval: 0.001s}}}}
`)
	address, tries, _ := flaky(t, 503)
	g.cluster("backend", []string{address}, "circuitBreakers: {thresholds: [{maxRetries: 0}]}")
	if got := g.get("/"); got.StatusCode != http.StatusServiceUnavailable || tries.Load() != 1 {
		t.Errorf("got %s after %d tries, want the first response", got.Status, tries.Load())
	}
}

// stuck never answers. gone waits until requests that have come are given up.
func stuck(t *testing.T) (address string, gone func()) {
	t.Helper()
	var mu sync.Mutex
	changed, running := sync.NewCond(&mu), 0
	count := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		running += n
		changed.Broadcast()
	}
	address = backend(t, func(w http.ResponseWriter, r *http.Request) {
		count(1)
		defer count(-1)
		_ = http.NewResponseController(w).EnableFullDuplex() // in HTTP/2, it is
		if r.URL.Path == "/started" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush() // it can
		}
		_, _ = io.Copy(io.Discard, r.Body) // until it ends, which is when the context can
		<-r.Context().Done()
	})
	return address, func() {
		mu.Lock()
		defer mu.Unlock()
		for running > 0 {
			changed.Wait()
		}
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		action, path string
		options      option
		status       int
		body         string
	}{
		"request": {action: "timeout: 0.05s", status: 504, body: "upstream request timeout"},
		"try": {
			action: "timeout: 0s, retryPolicy: {numRetries: 0, perTryTimeout: 0.05s}", status: 504, body: "upstream request timeout",
		},
		"all tries": {
			action: "timeout: 0s, retryPolicy: {retryOn: reset, numRetries: 2, perTryTimeout: 0.02s, retryBackOff: {baseInterval: 0.001s}}",
			status: 504, body: "upstream request timeout",
		},
		"idle":                  {action: "timeout: 0s", options: timeouts(0, 50), status: 504, body: "stream timeout"},
		"idle by route":         {action: "timeout: 0s, idleTimeout: 0.05s", status: 504, body: "stream timeout"},
		"duration":              {action: "timeout: 0s, maxStreamDuration: {maxStreamDuration: 0.05s}", status: 504, body: "downstream duration timeout"},
		"request, in response":  {action: "timeout: 0.3s", path: "/started", status: 200},
		"idle, in response":     {action: "timeout: 0s", path: "/started", options: timeouts(0, 300), status: 200},
		"duration, in response": {action: "timeout: 0s, maxStreamDuration: {maxStreamDuration: 0.3s}", path: "/started", status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options []option
			if test.options != nil {
				options = append(options, test.options)
			}
			g := newGateway(t, "  - {match: {prefix: /}, route: {cluster: backend, "+test.action+"}}\n", options...)
			address, gone := stuck(t)
			for _, settings := range []string{"", http2Cluster} {
				g.cluster("backend", []string{address}, settings)
				for _, http2 := range []bool{false, true} {
					response, err := g.client(http2).Do(g.request(http.MethodGet, cmp.Or(test.path, "/"), nil))
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(response.Body)
					_ = response.Body.Close() // what went wrong, reading has said
					if response.StatusCode != test.status || string(body) != test.body || (err != nil) != (test.path != "") {
						t.Errorf("got %s %q %v, want %d %q", response.Status, body, err, test.status, test.body)
					}
					gone()
				}
			}
		})
	}
}

// TestTimeoutOfRequest: the time starts when the request has come.
func TestTimeoutOfRequest(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "  - {match: {prefix: /}, route: {cluster: backend, timeout: 1s}}\n")
	g.cluster("backend", []string{backend(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body) // what is missing, the test sees
		_, _ = w.Write(data)
	})})
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "a")
		time.Sleep(1200 * time.Millisecond) // it is what is tested
		_, _ = io.WriteString(w, "b")
		_ = w.Close() // a pipe's can't fail
	}()
	if got := g.do(g.request(http.MethodPost, "/", r)); got.StatusCode != http.StatusOK || got.body != "ab" {
		t.Errorf("got %s %q", got.Status, got.body)
	}
}

func TestIdleRequest(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend, timeouts(0, 50))
	address, gone := stuck(t)
	g.cluster("backend", []string{address})
	got, err := g.raw("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\na")
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != http.StatusRequestTimeout || got.body != "stream timeout" || !got.Close {
		t.Errorf("got %s %q, close %v; want 408", got.Status, got.body, got.Close)
	}
	gone()
}

func TestRequestHeadersTimeout(t *testing.T) {
	t.Parallel()
	// One could begin as HTTP/2 does.
	for _, start := range []string{"GET / HTTP/1.1\r\nHost: h\r\n", "P", "PRI * HTTP/1.1\r\n"} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, toBackend, timeouts(50, 0))
			got, err := g.raw(start)
			if err != nil {
				t.Fatal(err)
			}
			if got.StatusCode != http.StatusRequestTimeout || got.body != "request header timeout" {
				t.Errorf("got %s %q, want 408", got.Status, got.body)
			}
		})
	}
}

func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	address, gone := stuck(t)
	g.cluster("backend", []string{address})
	for _, request := range []string{
		"GET /started HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /started HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\na",
	} {
		conn := g.dial()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		gone()
	}
}

func TestBrokenResponse(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	g.cluster("backend", []string{backend(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush() // it can
		panic(http.ErrAbortHandler)
	})})
	for _, http2 := range []bool{false, true} {
		response, err := g.client(http2).Do(g.request(http.MethodGet, "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close() // see err
		if err == nil || string(body) != "a" {
			t.Errorf("%s: got %q, %v; want an error after the first byte", response.Proto, body, err)
		}
	}
}

func TestMirrors(t *testing.T) {
	t.Parallel()
	g := newGateway(t, `
  - match: {prefix: /}
    route: {cluster: backend, timeout: 0s, prefixRewrite: /new, hostRewriteLiteral: example.com, requestMirrorPolicies: [
      {cluster: mirror, disableShadowHostSuffixAppend: true},
      {cluster: refused, disableShadowHostSuffixAppend: true},
      {cluster: unknown, disableShadowHostSuffixAppend: true}]}
`)
	large := strings.Repeat("0123456789", 20<<10)
	mirrored := make(chan string, 1)
	g.cluster("backend", []string{backend(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body) // what is missing, the test sees
		_, _ = fmt.Fprint(w, len(data))
	})})
	g.cluster("mirror", []string{backend(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body) // likewise
		w.WriteHeader(http.StatusTeapot)
		mirrored <- fmt.Sprint(r.Method, " ", r.Host, " ", r.RequestURI, " ", len(data))
	})})
	g.cluster("refused", []string{refused(t)})
	for _, body := range []string{"", large} {
		got := g.do(g.request(http.MethodPost, "/", strings.NewReader(body)))
		if want := fmt.Sprint(len(body)); got.StatusCode != http.StatusOK || got.body != want {
			t.Errorf("got %s %q, want %s", got.Status, got.body, want)
		}
		if got, want := <-mirrored, fmt.Sprint("POST example.com /new ", len(body)); got != want {
			t.Errorf("mirrored: %s, want %s", got, want)
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	address, gone := stuck(t)
	g.cluster("backend", []string{address})
	conn := g.dial()
	if _, err := io.WriteString(conn, "GET /started HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	g.manager.Close()
	gone()
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	g.cluster("backend", []string{backend(t, echo)})
	client := g.client(false)
	for _, draining := range []bool{false, true} {
		if draining {
			g.manager.Drain()
		}
		response, err := client.Do(g.request(http.MethodGet, "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := g.read(response); got.StatusCode != http.StatusOK || got.Close != draining {
			t.Errorf("draining %v: got %s, close %v", draining, got.Status, got.Close)
		}
	}
}

// TestEarlyReply: a client that sends a large body can read an answer that came before it was sent.
func TestEarlyReply(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "")
	body := strings.Repeat("a", 8<<20)
	conn := g.dial()
	go func() {
		_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body) // it needn't get all of it
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.read(response); got.StatusCode != http.StatusNotFound || !got.Close {
		t.Errorf("got %s, close %v", got.Status, got.Close)
	}
}
