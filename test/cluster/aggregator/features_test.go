package aggregator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gateway-apiserver/gateway-apiserver/test/script"
)

// TestFeatures runs scripts that were written for the standalone server, with kubectl against kube-apiserver. They take
// turns, each in a cluster without objects, before the other tests start.
func TestFeatures(t *testing.T) {
	files, err := filepath.Glob("../../features/testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if pick := os.Getenv("PICK"); pick != "" {
		var f []string
		for _, x := range files {
			if ok, _ := filepath.Match(pick, filepath.Base(x)); ok {
				f = append(f, x)
			}
		}
		files = f
	}
	commands := script.Commands(true)
	commands["server"] = cmdServer
	testscript.RunT(turns{t}, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		ContinueOnError:     false,
		Setup:               setup,
		Cmds:                commands,
	})
}

const gatewayClass = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: gateway-apiserver}
spec: {controllerName: gateway-apiserver.dev/controller}
`

// turns keeps scripts from running in parallel.
type turns struct{ *testing.T }

func (turns) Parallel() {}

func (s turns) Run(name string, run func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { run(turns{t}) })
}

func (s turns) Verbose() bool { return testing.Verbose() }

// cmdServer has "server start" empty the cluster: the server runs. Scripts that do more with it aren't for clusters.
func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] != "start" {
		ts.Fatalf("usage: server start")
	}
	ts.Check(ts.Exec("kubectl", "delete", "gateway-api", "--all", "--all-namespaces", "--timeout=30s"))
	ts.Check(ts.Exec("kubectl", "get", "namespaces", "-o", "name"))
	for _, namespace := range strings.Fields(ts.ReadFile("stdout")) {
		switch name := strings.TrimPrefix(namespace, "namespace/"); {
		case name == "default" || name == installed.Namespace || strings.HasPrefix(name, "kube-"):
		default:
			ts.Check(ts.Exec("kubectl", "delete", namespace, "--timeout=30s"))
		}
	}
	ts.Check(ts.Exec("kubectl", "delete", "secrets,endpointslices", "--all"))
	ts.Check(ts.Exec("kubectl", "delete", "services", "--field-selector=metadata.name!=kubernetes"))
	ts.Check(ts.Exec("kubectl", "delete", "configmaps", "--field-selector=metadata.name!=kube-root-ca.crt"))
	ts.Check(ts.Exec("kubectl", "create", "-f", ts.MkAbs("gatewayclass.yaml")))
}
