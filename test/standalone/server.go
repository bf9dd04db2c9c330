package standalone

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gateway-apiserver/gateway-apiserver/cmd/gateway-apiserver/app"
)

const (
	// readyTimeout is when a server that isn't ready is given up; the race detector makes it slow.
	readyTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
)

// Main is for TestMain. It makes the test binary double as gateway-apiserver, so that tests run it as a process of its
// own, with the race detector on if the tests have it.
func Main(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gateway-apiserver": func() {
			os.Exit(app.Run(genericapiserver.SetupSignalContext(), os.Args[1:], os.Stdout, os.Stderr))
		},
	})
}

// Server is a process, running or not any more.
type Server struct {
	// API is the URL of the Kubernetes API, and XDS the address of the xDS server, HOST:PORT.
	API, XDS string
	// Kubeconfig is the file of the administrator.
	Kubeconfig string

	cmd    *exec.Cmd
	stderr *log
	done   chan struct{} // closed when it has ended
}

var addresses = regexp.MustCompile(`API on (\S+), xDS on (\S+)\.\n`)

// Start starts a server on free ports, in the folder dir with its data in dir/data, and returns when it says that it is
// ready. The tests must have been run by Main.
func Start(dir string, flags ...string) (*Server, error) {
	path, err := exec.LookPath("gateway-apiserver")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	s := &Server{
		Kubeconfig: filepath.Join(data, "admin.kubeconfig"),
		cmd: exec.Command(path, append([]string{"standalone", "--data-dir", data,
			"--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--lint-xds"}, flags...)...),
		stderr: &log{},
		done:   make(chan struct{}),
	}
	s.cmd.Dir = dir
	s.cmd.Stderr = s.stderr
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan [][]byte, 1)
	go s.follow(stdout, ready)
	select {
	case found := <-ready:
		s.API, s.XDS = string(found[1]), string(found[2])
		return s, nil
	case <-s.done:
		return nil, fmt.Errorf("the server ended: %s", s.stderr)
	case <-time.After(readyTimeout):
		s.signal(syscall.SIGKILL)
		return nil, fmt.Errorf("the server is not ready: %s", s.stderr)
	}
}

// follow reads what the server prints until it ends, and sends the addresses that it finds there.
func (s *Server) follow(stdout io.Reader, ready chan<- [][]byte) {
	var out []byte
	buf := make([]byte, 4096)
	for {
		n, err := stdout.Read(buf)
		out = append(out, buf[:n]...)
		if found := addresses.FindSubmatch(out); found != nil {
			ready <- found
			_, _ = io.Copy(io.Discard, stdout)
			break
		}
		if err != nil {
			break
		}
	}
	_ = s.cmd.Wait() // the exit code is for Stop to judge
	close(s.done)
}

// Running says whether the server has not ended.
func (s *Server) Running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Log returns what the server has logged so far.
func (s *Server) Log() string { return s.stderr.String() }

// Stop ends the server with SIGTERM, and returns an error unless it ends well.
func (s *Server) Stop() error {
	if !s.signal(syscall.SIGTERM) {
		return fmt.Errorf("the server did not stop:\n%s", s.stderr)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the server ended with exit code %d:\n%s", code, s.stderr)
	}
	return s.check()
}

// Kill ends the server with SIGKILL, if it runs, and returns an error if it has logged what no server may log.
func (s *Server) Kill() error {
	if !s.signal(syscall.SIGKILL) {
		return errors.New("the server did not end")
	}
	return s.check()
}

// signal says whether the server has ended because of it, or before.
func (s *Server) signal(sig syscall.Signal) bool {
	_ = s.cmd.Process.Signal(sig) // fails for one that has ended
	select {
	case <-s.done:
		return true
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill()
		return false
	}
}

// check looks for what no server may log, whatever is done to it: faults of its own, and of the Envoy configuration that it
// publishes.
func (s *Server) check() error {
	for _, trouble := range []string{"DATA RACE", "panic:", "Observed a panic", "panicked: true", "Envoy configuration has a fault"} {
		if strings.Contains(s.Log(), trouble) {
			return fmt.Errorf("%s in the server's log:\n%s", trouble, s.stderr)
		}
	}
	return nil
}

// log collects what a process writes, to be read while it does.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
