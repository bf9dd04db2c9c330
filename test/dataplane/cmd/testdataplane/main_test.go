package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
)

func TestRefusedFlags(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no bootstrap":      {nil, "-c or --config-path is required"},
		"a flag of Envoy's": {[]string{"-c", "x", "--base-id", "1"}, "not defined: -base-id"},
		"an argument":       {[]string{"-c", "x", "y"}, `unexpected argument "y"`},
		"a level":           {[]string{"-c", "x", "-l", "loud"}, `unknown log level "loud"`},
		"no file":           {[]string{"--config-path", "/none.yaml"}, "/none.yaml"},
		"help":              {[]string{"--help"}, "help requested"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := run(t.Context(), test.args, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// It runs until it is told to end, whether or not there is an xDS server.
func TestRun(t *testing.T) {
	t.Parallel()
	b, err := bootstrap.New(bootstrap.Options{
		Gateway: "default/web", NodeID: "web",
		Server: bootstrap.Address{Host: "127.0.0.1", Port: freePort(t)},
		Admin:  bootstrap.Address{Host: "127.0.0.1", Port: freePort(t)},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := bootstrap.YAML(b)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var stderr bytes.Buffer
	go func() { ended <- run(ctx, []string{"-c", path, "--drain-time-s=1", "-l=debug"}, &stderr) }()
	url := fmt.Sprintf("http://127.0.0.1:%d/ready", b.GetAdmin().GetAddress().GetSocketAddress().GetPortValue())
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get(url)
		if err == nil {
			response.Body.Close()
			if response.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("without configuration, it says %s", response.Status)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !strings.Contains(stderr.String(), "level=INFO msg=Draining") {
		t.Errorf("it logged:\n%s", &stderr)
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}
