package scale

import (
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/crowd"
	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

// TestMain makes the test binary double as the server, and as a crowd.
func TestMain(m *testing.M) {
	crowd.Main()
	standalone.Main(m)
}

// TestScenarios runs all of them with small numbers: each establishes what it would measure. Their figures mean nothing here.
func TestScenarios(t *testing.T) {
	t.Parallel()
	binary, err := exec.LookPath("gateway-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Scenarios {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			b := &Bench{Binary: binary, Dir: t.TempDir(), Sizes: Small(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
			rows, err := b.Run(t.Context(), regexp.MustCompile("^"+s.Name+"$"))
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) == 0 {
				t.Error("there is no figure")
			}
			for _, r := range rows {
				if r.Figure == "" || (r.Target == "") != (r.Verdict == "") || (r.Target == "") != (s.Name == "peers") {
					t.Errorf("%+v: want a figure, a target and a verdict", r)
				}
			}
			left, err := os.ReadDir(b.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(left) > 0 {
				t.Errorf("it leaves %v behind", left)
			}
		})
	}
}
