package upstream

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// TestMain makes the test binary double as gateway-apiserver, so that each server is a process of its own, with the
// race detector on if the tests have it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gateway-apiserver": func() {
			os.Exit(app.Run(genericapiserver.SetupSignalContext(), os.Args[1:], os.Stdout, os.Stderr))
		},
	})
}

// startServer runs a standalone server on free ports until the test ends, and returns the administrator's kubeconfig.
func startServer(t *testing.T, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	data := filepath.Join(t.TempDir(), "data")
	cmd := exec.CommandContext(ctx, "gateway-apiserver", append([]string{"standalone", "--data-dir", data,
		"--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0"}, flags...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // that ctx ended is no news
		log := stderr.String()
		if code := cmd.ProcessState.ExitCode(); code != 0 || strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
			t.Errorf("the server ended with exit code %d:\n%s", code, log)
		}
	})
	late := time.AfterFunc(readyTimeout, cancel)
	defer late.Stop()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if strings.Contains(lines.Text(), "API on ") {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return filepath.Join(data, "admin.kubeconfig")
		}
	}
	t.Fatal("the server is not ready")
	return ""
}
