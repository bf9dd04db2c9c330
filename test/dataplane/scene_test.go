package dataplane_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/plane"
	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

func TestMain(m *testing.M) { standalone.Main(m) }

// patience is when something that is waited for is given up.
const patience = 30 * time.Second

// scene is a server, and its data planes.
type scene struct {
	t         *testing.T
	dir       string
	manifests string
	server    *standalone.Server
	planes    int
	added     string // to the bootstraps
}

// play starts a server, with objects in files of the folder of manifests, and a data plane for the Gateway web in the namespace
// default, and waits until that has its configuration.
func play(t *testing.T, files map[string]string) *scene {
	t.Helper()
	s := set(t, files)
	s.run("--gateway", "default/web")
	return s
}

// set starts a server only.
func set(t *testing.T, files map[string]string) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir()}
	s.manifests = filepath.Join(s.dir, "manifests")
	if err := os.Mkdir(s.manifests, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, objects := range files {
		s.apply(name, objects)
	}
	s.serve()
	t.Cleanup(func() {
		if err := s.server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// apply has the server follow a file of objects, which it may know in another form, and waits until it has, if it runs.
func (s *scene) apply(name, objects string) {
	s.t.Helper()
	s.followed(name, func() error {
		// In one step, so that it is never read half written.
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, []byte(objects), 0o600); err != nil {
			return err
		}
		return os.Rename(path, filepath.Join(s.manifests, name))
	})
}

// remove removes a file of objects, which the server then deletes.
func (s *scene) remove(name string) {
	s.t.Helper()
	s.followed(name, func() error { return os.Remove(filepath.Join(s.manifests, name)) })
}

// followed changes a file, and waits until the server has followed, if it runs.
func (s *scene) followed(name string, change func() error) {
	s.t.Helper()
	running := s.server != nil && s.server.Running()
	followed := func() int {
		log := s.server.Log()
		return strings.Count(log, `"Applied manifests"`) + strings.Count(log, `"Deleted an object whose manifest is gone"`)
	}
	before := 0
	if running {
		before = followed()
	}
	if err := change(); err != nil {
		s.t.Fatal(err)
	}
	if running {
		s.eventually(func() error {
			if followed() == before {
				return fmt.Errorf("the server doesn't follow %s:\n%s", name, s.server.Log())
			}
			return nil
		})
	}
}

// eventually waits until there is no error.
func (s *scene) eventually(check func() error) {
	s.t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	s.t.Fatal(err)
}

// serve starts the server, at the address of the last one if there was one.
func (s *scene) serve() {
	s.t.Helper()
	flags := []string{"--manifests", s.manifests}
	if s.server != nil {
		flags = append(flags, "--xds-listen", s.server.XDS)
	}
	server, err := standalone.Start(s.dir, flags...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = server
}

// run runs a data plane with the bootstrap that the server's command prints with these flags, until the test ends.
func (s *scene) run(flags ...string) {
	s.t.Helper()
	print := exec.CommandContext(s.t.Context(), "gateway-apiserver", append([]string{"bootstrap", "--xds-server", s.server.XDS,
		"--admin-address", "127.0.0.1:" + freePort(s.t)}, flags...)...)
	var stderr bytes.Buffer
	print.Stderr = &stderr
	data, err := print.Output()
	if err != nil {
		s.t.Fatalf("%v: %s", err, &stderr)
	}
	s.planes++
	path := filepath.Join(s.dir, fmt.Sprintf("envoy-%d.yaml", s.planes))
	if err := os.WriteFile(path, append(data, s.added...), 0o600); err != nil {
		s.t.Fatal(err)
	}
	config, err := bootstrap.Read(path, bootstrap.Identity{})
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := plane.New(config, plane.Options{
		DrainTime: time.Second, GracePeriod: time.Second, Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-ended
	})
	s.becomes("200 LIVE", request{url: "http://" + p.AdminAddress().String() + "/ready"})
}

// freePort returns a port of loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return portOf(l)
}

// backend answers requests with its name and the path that it was asked for, and returns its port.
func backend(t *testing.T, name string) string { return record(t, name).port }

// recorder is a backend that keeps what it was asked.
type recorder struct {
	port string

	mu   sync.Mutex
	seen []received
}

// received is a request as a backend saw it.
type received struct {
	method, host, url, body string
	header                  http.Header
}

// record starts a recorder that answers with its name and the path that it was asked for.
func record(t *testing.T, name string) *recorder {
	t.Helper()
	return recordWith(t, func(w http.ResponseWriter, r received) { fmt.Fprint(w, name, " ", r.url) })
}

// recordWith starts a recorder that answers so.
func recordWith(t *testing.T, answer func(http.ResponseWriter, received)) *recorder {
	t.Helper()
	out := &recorder{}
	s := httptest.NewServer(out.handler(answer))
	t.Cleanup(s.Close)
	out.port = portOf(s.Listener)
	return out
}

func (b *recorder) handler(answer func(http.ResponseWriter, received)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // who asked has gone
		}
		got := received{r.Method, r.Host, r.URL.String(), string(body), r.Header}
		b.mu.Lock()
		b.seen = append(b.seen, got)
		b.mu.Unlock()
		answer(w, got)
	})
}

// requests returns what the backend was asked since it was last called.
func (b *recorder) requests() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.seen
	b.seen = nil
	return out
}

// one returns the one request that the backend was asked since it was last called.
func (b *recorder) one(t *testing.T) received {
	t.Helper()
	got := b.requests()
	if len(got) != 1 {
		t.Fatalf("the backend has seen %d requests, want 1: %v", len(got), got)
	}
	return got[0]
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// request is a request to a URL, for a host if it is another one than that of the URL.
type request struct {
	url, host    string
	method, body string // GET and none, if they are empty
	header       http.Header
	tls          *tls.Config
}

// response is the answer to a request.
type response struct {
	status int
	header http.Header
	body   string
}

// do returns the answer, on a connection of its own.
func (r request) do(ctx context.Context) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Host = r.host
	maps.Copy(req.Header, r.header)
	transport := &http.Transport{TLSClientConfig: r.tls, DisableKeepAlives: true}
	answer, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	return &response{answer.StatusCode, answer.Header, string(body)}, nil
}

// send returns the answer as "200 text".
func (r request) send(ctx context.Context) (string, error) {
	answer, err := r.do(ctx)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", answer.status, answer.body)), nil
}

// ask sends a request, which has to be answered.
func (s *scene) ask(r request) *response {
	s.t.Helper()
	answer, err := r.do(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// answers sends a request, which has to be answered so.
func (s *scene) answers(want string, r request) {
	s.t.Helper()
	if err := r.wants(s.t.Context(), want); err != nil {
		s.t.Fatal(err)
	}
}

// becomes sends a request until it is answered so.
func (s *scene) becomes(want string, r request) {
	s.t.Helper()
	s.eventually(func() error { return r.wants(s.t.Context(), want) })
}

func (r request) wants(ctx context.Context, want string) error {
	if got, err := r.send(ctx); err != nil || got != want {
		return fmt.Errorf("%s of %s answered %q (%v), want %q", r.url, r.host, got, err, want)
	}
	return nil
}
