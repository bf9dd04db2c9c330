package scale

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	readyTimeout = 2 * time.Minute
	stopTimeout  = time.Minute
	// poll is how often it is looked whether the server is ready. No figure depends on it.
	poll = 10 * time.Millisecond
)

// server is a standalone server, running or ended.
type server struct {
	dynamic.Interface
	http *http.Client // with the certificate of the administrator
	api  string       // URL
	xds  string       // HOST:PORT

	binary, dir string
	flags       []string
	pki         string // directory with the certificate of xDS clients; "" if xDS is plaintext
	cmd         *exec.Cmd
	ended       chan struct{}
}

var addresses = regexp.MustCompile(`API on https://(\S+), xDS on (\S+)\.\n`)

// start starts a server with its data below dir, and returns when it is ready.
func start(ctx context.Context, binary, dir string, flags ...string) (*server, error) {
	s := &server{binary: binary, dir: dir, flags: flags}
	if err := s.exec("127.0.0.1:0", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.kill())
	}
	return s, nil
}

// exec starts the process.
func (s *server) exec(api, xds string) error {
	out, err := os.Create(s.file("stdout"))
	if err != nil {
		return err
	}
	defer out.Close()
	log, err := os.OpenFile(s.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(s.binary, "standalone", "--data-dir", s.file("data"), "--listen", api, "--xds-listen", xds)
	s.cmd.Args = append(s.cmd.Args, s.flags...)
	s.cmd.Stdout, s.cmd.Stderr = out, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // end looks at how
	}()
	return nil
}

func (s *server) pid() int { return s.cmd.Process.Pid }

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }

// ready waits until the server says that it is, and connects to it.
func (s *server) ready(ctx context.Context) error {
	if err := wait.PollUntilContextTimeout(ctx, poll, readyTimeout, true, func(context.Context) (bool, error) {
		select {
		case <-s.ended:
			return false, fmt.Errorf("the server ended: %s", s.tail())
		default:
		}
		out, err := os.ReadFile(s.file("stdout"))
		if err != nil {
			return false, err
		}
		found := addresses.FindSubmatch(out)
		if found == nil {
			return false, nil
		}
		s.api, s.xds = string(found[1]), string(found[2])
		return true, nil
	}); err != nil {
		return fmt.Errorf("the server is not ready: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.file("data/admin.kubeconfig"))
	if err != nil {
		return err
	}
	config.QPS = -1 // unlimited
	if s.http, err = rest.HTTPClientFor(config); err != nil {
		return err
	}
	s.Interface, err = dynamic.NewForConfigAndClient(config, s.http)
	return err
}

// certify issues a certificate for the nodes of a Gateway, which clients show from then on.
func (s *server) certify(ctx context.Context, gateway string) error {
	s.pki = s.file("pki")
	out, err := exec.CommandContext(ctx, s.binary, "xds-cert", "--data-dir", s.file("data"), "--gateway", namespace+"/"+gateway, "--out", s.pki).CombinedOutput()
	if err != nil {
		return fmt.Errorf("issuing a certificate: %w: %s", err, out)
	}
	return nil
}

// tail is the end of the server's log.
func (s *server) tail() string {
	log, err := os.ReadFile(s.file("log"))
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-4096):])
}

// stop ends the server as an operator does, and looks whether that went well.
func (s *server) stop() error {
	if err := s.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the server ended with exit code %d: %s", code, s.tail())
	}
	if log := s.tail(); strings.Contains(log, "panic") {
		return fmt.Errorf("the server panicked: %s", log)
	}
	return nil
}

func (s *server) kill() error { return s.signal(syscall.SIGKILL) }

func (s *server) signal(sig syscall.Signal) error {
	_ = s.cmd.Process.Signal(sig) // fails if it has ended
	select {
	case <-s.ended:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(errors.New("the server does not end"), s.cmd.Process.Kill())
	}
}

// close kills the server, if it runs, and removes its data.
func (s *server) close() error { return errors.Join(s.kill(), os.RemoveAll(s.dir)) }
