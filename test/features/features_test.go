package features

import (
	"io"
	"maps"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc/grpclog"

	"github.com/gateway-apiserver/gateway-apiserver/test/script"
	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

func TestMain(m *testing.M) { standalone.Main(m) }

func TestFeatures(t *testing.T) {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) // that connections end is no news here
	t.Parallel()
	bin := filepath.Dir(standalone.BuildKubectl(t))
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	commands := script.Commands(false)
	maps.Copy(commands, map[string]func(*testscript.TestScript, bool, []string){
		"server":  cmdServer,
		"grpc":    cmdGRPC,
		"backend": cmdBackend,
	})
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
					t.Errorf("%s: %v", filepath.Base(e.WorkDir), err)
				}
			})
			return nil
		},
		Cmds: commands,
	})
}
