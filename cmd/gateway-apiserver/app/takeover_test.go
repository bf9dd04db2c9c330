package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// TestMoveServer tests that takeover and handback refuse an address that is none of a server by TLS, and say what to do.
func TestMoveServer(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"takeover", "handback"} {
		for _, server := range []string{"", "127.0.0.1:8443", "http://127.0.0.1:8443", "https://", "https://127.0.0.1:8443/apis"} {
			_, stderr, code := run(t, command, "--server="+server)
			if code != 1 || !strings.Contains(stderr, "want https://HOST:PORT") || !strings.Contains(stderr, "port-forward service/gateway-apiserver") {
				t.Errorf("%s --server=%s: exit code %d: %s", command, server, code, stderr)
			}
		}
	}
}

// TestMoveDirect tests that credentials for kube-apiserver are only sent to a server that is what it says.
func TestMoveDirect(t *testing.T) {
	t.Parallel()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, []byte("authorities"), 0o600); err != nil {
		t.Fatal(err)
	}
	kube := &rest.Config{Host: "https://kube", APIPath: "/k8s", BearerToken: "token", TLSClientConfig: rest.TLSClientConfig{Insecure: true, CAFile: "kube.crt", ServerName: "kube"}}
	c := newMoveCommand()
	c.server, c.caFile = "https://127.0.0.1:8443", ca
	got, err := c.direct(t.Context(), kube, "here")
	if err != nil {
		t.Fatal(err)
	}
	if got.Host != c.server || got.APIPath != "" || got.BearerToken != "token" {
		t.Errorf("got %v", got)
	}
	if tls := got.TLSClientConfig; tls.Insecure || tls.CAFile != "" || string(tls.CAData) != "authorities" || tls.ServerName != "gateway-apiserver.here.svc" {
		t.Errorf("got %v", tls)
	}
	c.tlsServerName = "other"
	if got, err := c.direct(t.Context(), kube, "here"); err != nil || got.ServerName != "other" {
		t.Errorf("got %v (%v)", got, err)
	}
	c.caFile = filepath.Join(t.TempDir(), "missing")
	if _, err := c.direct(t.Context(), kube, "here"); err == nil || !strings.Contains(err.Error(), "--certificate-authority") {
		t.Errorf("without the file: %v", err)
	}
}
