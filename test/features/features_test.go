package features

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

func TestMain(m *testing.M) { standalone.Main(m) }

func TestFeatures(t *testing.T) {
	t.Parallel()
	bin := filepath.Dir(standalone.BuildKubectl(t))
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
