package features

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gateway-apiserver/gateway-apiserver/cmd/gateway-apiserver/app"
)

// TestMain makes the test binary double as gateway-apiserver, so that scripts run it as a process of its own, with the
// race detector on if the tests have it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gateway-apiserver": func() {
			os.Exit(app.Run(genericapiserver.SetupSignalContext(), os.Args[1:], os.Stdout, os.Stderr))
		},
	})
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	bin := buildKubectl(t)
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("REPO", repository)
			e.Setenv("KUBECONFIG", filepath.Join(e.WorkDir, "data", "admin.kubeconfig"))
			r := &run{}
			e.Values[runKey{}] = r
			e.Defer(func() {
				if err := r.end(); err != nil {
					t.Error(err)
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server":  cmdServer,
			"refused": cmdRefused,
			"kubectl": cmdKubectl,
			"holds":   cmdHolds,
			"becomes": cmdBecomes,
			"printed": cmdPrinted,
			"serves":  cmdServes,
			"cert":    cmdCert,
			"fill":    cmdFill,
			"tick":    cmdTick,
			"grpc":    cmdGRPC,
			"backend": cmdBackend,
		},
	})
}

// buildKubectl builds kubectl from its Go module. Go's build cache makes it quick after the first time.
func buildKubectl(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	build := exec.CommandContext(context.Background(), "go", "build", "-C", filepath.Join("..", "kubectl"), "-o", filepath.Join(bin, "kubectl"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building kubectl: %v\n%s", err, out)
	}
	return bin
}
