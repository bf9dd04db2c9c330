package upstream

import (
	"slices"
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

func TestMain(m *testing.M) { standalone.Main(m) }

func TestUpstream(t *testing.T) {
	t.Parallel()
	suites, kubectl := buildSuites(t), standalone.BuildKubectl(t)
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

// startServer runs a standalone server until the test ends, and returns the administrator's kubeconfig.
func startServer(t *testing.T, flags ...string) string {
	t.Helper()
	server, err := standalone.Start(t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server.Kubeconfig
}
