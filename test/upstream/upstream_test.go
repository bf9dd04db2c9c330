package upstream

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestUpstream(t *testing.T) {
	t.Parallel()
	suites, kubectl := buildSuites(t), buildKubectl(t)
	for _, channel := range []string{"experimental", "standard"} {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			kubeconfig := startServer(t, "--channel="+channel)
			suites := slices.DeleteFunc(slices.Clone(suites), func(s *suite) bool { return s.channel != channel })
			for _, s := range suites {
				s.start(t, kubeconfig)
			}
			t.Run("examples", func(t *testing.T) {
				checkExamples(t, client{kubectl, kubeconfig}, channel)
			})
			for _, s := range suites {
				t.Run(s.release, s.check)
			}
		})
	}
}

// buildKubectl builds kubectl from its Go module. Go's build cache makes it quick after the first time.
func buildKubectl(t *testing.T) string {
	t.Helper()
	kubectl := filepath.Join(t.TempDir(), "kubectl")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", "kubectl"), "-o", kubectl, ".").CombinedOutput(); err != nil {
		t.Fatalf("building kubectl: %v\n%s", err, out)
	}
	return kubectl
}
