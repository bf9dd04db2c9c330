package standalone

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BuildKubectl builds kubectl from its Go module, beside the folder that the tests run in, and returns the binary. Go's
// build cache makes it quick after the first time, which "make kubectl" and "make verify" also are.
func BuildKubectl(t testing.TB) string {
	t.Helper()
	kubectl := filepath.Join(t.TempDir(), "kubectl")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", "kubectl"), "-trimpath", "-o", kubectl, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building kubectl: %v\n%s", err, out)
	}
	return kubectl
}
