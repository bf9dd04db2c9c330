package dataplane_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/plane"
	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

func TestMain(m *testing.M) { standalone.Main(m) }

// patience is when something that is waited for is given up.
const patience = 30 * time.Second

// scene is a server, and a data plane for the Gateway web in the namespace default.
type scene struct {
	t         *testing.T
	dir       string
	manifests string
	server    *standalone.Server
	admin     string // the URL of the data plane's administration interface
}

// play starts both, with objects in files of the folder of manifests, and waits until the data plane has its configuration.
func play(t *testing.T, files map[string]string) *scene {
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
	s.run()
	return s
}

// apply has the server follow a file of objects, which it may know in another form, and waits until it has, if it runs.
func (s *scene) apply(name, objects string) {
	s.t.Helper()
	running := s.server != nil && s.server.Running()
	followed := func() int { return strings.Count(s.server.Log(), `"Applied manifests"`) }
	before := 0
	if running {
		before = followed()
	}
	// In one step, so that it is never read half written.
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(objects), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path, filepath.Join(s.manifests, name)); err != nil {
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

// run runs a data plane with the bootstrap that the server's command prints, until the test ends.
func (s *scene) run() {
	s.t.Helper()
	print := exec.CommandContext(s.t.Context(), "gateway-apiserver", "bootstrap", "--gateway", "default/web", "--xds-server", s.server.XDS,
		"--admin-address", "127.0.0.1:"+freePort(s.t))
	var stderr bytes.Buffer
	print.Stderr = &stderr
	data, err := print.Output()
	if err != nil {
		s.t.Fatalf("%v: %s", err, &stderr)
	}
	path := filepath.Join(s.dir, "envoy.yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
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
	s.admin = "http://" + p.AdminAddress().String()
	s.becomes("200 LIVE", request{url: s.admin + "/ready"})
}

// freePort returns a port of loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// backend answers requests with its name and the path that it was asked for, and returns its port.
func backend(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name, " ", r.URL) })}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// request is a request to a URL, for a host if it is another one than that of the URL.
type request struct {
	url, host string
	tls       *tls.Config
}

// send returns the answer as "200 text", on a connection of its own.
func (r request) send(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return "", err
	}
	req.Host = r.host
	transport := &http.Transport{TLSClientConfig: r.tls, DisableKeepAlives: true}
	response, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, body)), nil
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
