//go:build linux

package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/netns"
)

func TestMain(m *testing.M) {
	os.Exit(netns.Run(build, func() int {
		log.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
		code := m.Run()
		if err := outcomes.print(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		return code
	}))
}

// build builds what the tests run.
func build(ctx context.Context) error {
	programs := []cluster.Programs{cluster.Kubernetes, cluster.Server, cluster.Node, cluster.Echo}
	if os.Getenv(envoy) == "" {
		programs = append(programs, cluster.DataPlane)
	}
	_, err := cluster.Build(ctx, programs...)
	return err
}

func TestCluster(t *testing.T) { run(t, inCluster, startInCluster(t)) }

func TestStandalone(t *testing.T) { run(t, standalone, startStandalone(t)) }

func TestProvisioned(t *testing.T) { run(t, provisioned, startProvisioned(t)) }

func TestMesh(t *testing.T) { run(t, mesh, startMesh(t, mesh)) }

func TestProxyless(t *testing.T) { run(t, proxyless, startMesh(t, proxyless)) }

// Every test of the suite is run in some way, and every test that a table names is one of the suite.
func TestTables(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, test := range tests.ConformanceTests {
		known[test.ShortName] = true
	}
	anywhere := map[string]bool{}
	for _, w := range ways {
		for _, name := range namesOf(w.all()) {
			anywhere[name] = true
		}
		for name := range elsewhere[w] {
			if !known[name] {
				t.Errorf("%s: %s is no test of the suite", w, name)
			}
		}
	}
	for name := range statusOnly {
		if !known[name] {
			t.Errorf("%s is no test of the suite", name)
		}
	}
	for name := range known {
		if !anywhere[name] {
			t.Errorf("%s is run in no way", name)
		}
	}
}

// The page says how many tests are run.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ways {
		concerned := 0
		for _, test := range tests.ConformanceTests {
			if w.concerns(test) {
				concerned++
			}
		}
		row := regexp.MustCompile(fmt.Sprintf("(?m)^\\| `%s` \\|.*\\| %d of %d \\|$", w, len(w.all()), concerned))
		if !row.Match(page) {
			t.Errorf("docs/conformance.md has no row like %s", row)
		}
	}
	if total := fmt.Sprintf("of %d tests", len(tests.ConformanceTests)); !strings.Contains(string(page), total) {
		t.Errorf("docs/conformance.md doesn't say %s", total)
	}
}

// The short set has all that the whole one has, and is the same each time.
func TestShort(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		all, profiles := w.all(), w.profiles()
		chosen := short(all, profiles)
		if len(chosen) == len(all) && len(all) > 1 {
			t.Errorf("%s: it is all %d tests", w, len(all))
		}
		covered := map[string]bool{}
		for _, test := range chosen {
			for _, aspect := range aspects(test, profiles) {
				covered[aspect] = true
			}
		}
		for _, test := range all {
			for _, aspect := range aspects(test, profiles) {
				if !covered[aspect] {
					t.Errorf("%s: nothing of %s is in the short set", w, aspect)
				}
			}
		}
		t.Logf("%s: %d of %d: %v", w, len(chosen), len(all), namesOf(chosen))
	}
}

// All that a manifest uses is found, by whatever refers to it.
func TestGatewaysIn(t *testing.T) {
	t.Parallel()
	for manifest, name := range map[string]string{
		"tests/httproute-cross-namespace.yaml":     "backend-namespaces",                         // by a route in another namespace
		"tests/listenerset-protocol-conflict.yaml": "gateway-with-listenerset-protocol-conflict", // by ListenerSets
	} {
		gateways, err := gatewaysIn(manifest)
		want := sets.New(types.NamespacedName{Namespace: suite.InfrastructureNamespace, Name: name})
		if err != nil || !gateways.Equal(want) {
			t.Errorf("%s: uses %v (%v), want %v", manifest, gateways, err, want)
		}
	}
	for _, test := range tests.ConformanceTests {
		for _, manifest := range test.Manifests {
			if _, err := gatewaysIn(manifest); err != nil {
				t.Errorf("%s: %v", manifest, err)
			}
		}
	}
}
