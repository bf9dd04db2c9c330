package gatewayapi

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/plane"
	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

func TestMain(m *testing.M) { standalone.Main(m) }

// TestScenarios runs all of them against a standalone server with small numbers, and looks for what they leave behind.
func TestScenarios(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := standalone.Start(dir, "--lint-xds=false")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", server.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	// The scenarios run in parallel, and the server ends after them.
	for i, tt := range []struct {
		scenario, name, backend string
		want                    []string // figures
	}{
		{"attached-routes", "attached", "", []string{
			"attachedRoutes when the last create returns: 12 of 12", "most attachedRoutes ever said: 12 of 12",
		}},
		{"route-propagation", "redirects", "", []string{"neither 404 nor success: 0 of "}},
		{"route-propagation", "backend", "127.0.0.1", []string{"a new route reaches a backend", "neither 404 nor success: 0 of "}},
		{"route-scale", "routes", "", []string{"routes created: 12 by 4 clients", "status after the response to its update"}},
		{"listenerset-scale", "sets", "", []string{"ListenerSets created: 2 by 4 clients", "routes of ListenerSets created: 32 by 4 clients"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := Options{
				Class: "gateway-apiserver", Namespace: tt.name, Port: int32(freePort(t)), Routes: 12, ListenerSets: 2, Clients: 4,
				Churn: time.Second, Patience: time.Minute, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Backend: tt.backend,
			}
			if tt.scenario == "route-propagation" {
				o.Address = "127.0.0.1"
				runDataPlane(t, filepath.Join(dir, "envoy-"+strconv.Itoa(i)+".yaml"), server.XDS, tt.name+"/"+GatewayName)
			}
			rows, err := Run(t.Context(), config, scenarioNamed(t, tt.scenario), o)
			if err != nil {
				t.Fatal(err)
			}
			got := text(rows)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%s\nwant %q in it", got, want)
				}
			}
			nothingIsLeft(t, config, tt.name)
		})
	}
}

func scenarioNamed(t *testing.T, name string) Scenario {
	t.Helper()
	for _, s := range Scenarios {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no scenario %s", name)
	return Scenario{}
}

func text(rows []report.Row) string {
	var out strings.Builder
	for _, r := range rows {
		out.WriteString(r.What + ": " + r.Figure + "\n")
	}
	return out.String()
}

func nothingIsLeft(t *testing.T, config *rest.Config, namespace string) {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.Resource(namespaces).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range list.Items {
		if ns.GetName() == namespace {
			t.Errorf("the namespace %s is left", namespace)
		}
	}
}

// freePort returns a port of loopback that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// runDataPlane runs a data plane for a Gateway that there needn't be yet, until the test ends.
func runDataPlane(t *testing.T, path, xds, gateway string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "gateway-apiserver", "bootstrap", "--xds-server", xds, "--gateway", gateway,
		"--admin-address", "127.0.0.1:"+strconv.Itoa(freePort(t)))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := bootstrap.Read(path, bootstrap.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plane.New(config, plane.Options{
		DrainTime: time.Second, GracePeriod: time.Second, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}
