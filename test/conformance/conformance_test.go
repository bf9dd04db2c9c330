package conformance

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/gateway-api/conformance/tests"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// replicas are the Envoys of each Gateway: none of them runs.
const replicas = 1

var (
	addressPool  = fleetv1alpha1.EnvoyFleetSpec{Addresses: &fleetv1alpha1.Addresses{Pool: []fleetv1alpha1.AddressRange{pool}}}
	provisioning = fleetv1alpha1.EnvoyFleetSpec{Provisioning: &fleetv1alpha1.Provisioning{
		ServiceType: corev1.ServiceTypeClusterIP,
		Replicas:    new(int32(replicas)),
	}}
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	code := m.Run()
	if err := outcomes.print(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestCluster(t *testing.T) { run(t, inCluster, startInCluster(t), addressPool) }

func TestProvisioned(t *testing.T) {
	run(t, provisioned, startInCluster(t, "--provisioning"), provisioning)
}

func TestStandalone(t *testing.T) { run(t, standalone, startStandalone(t), addressPool) }

// Every test that a table names is one of the suite, once.
func TestTables(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, test := range tests.ConformanceTests {
		known[test.ShortName] = true
	}
	for _, w := range ways {
		named := w.leftOut()
		slices.Sort(named)
		for i, test := range named {
			if !known[test] || i > 0 && test == named[i-1] {
				t.Errorf("%s: %s is no test of the suite, or is named twice", w, test)
			}
		}
	}
}
