package aggregator

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gateway-apiserver/gateway-apiserver/test/script"
)

// features are the scripts of the standalone server that say what kubectl and the statuses have to do, and that don't
// start their server in another way.
var features = []string{
	"api-apply", "api-describe-explain", "api-get", "api-metadata", "api-patch", "api-server-side-apply", "api-unknown-fields",
	"api-validation", "api-wait-watch",
	"convert-backendtlspolicy", "convert-xlistenerset",
	"fleet-columns", "fleet-explain", "fleet-validation",
	"status-attached-routes", "status-backend", "status-backend-grant", "status-certificate", "status-certificate-grant",
	"status-dry-run", "status-foreign", "status-warnings", "status-written-by-clients",
	"version-apply", "version-explain",
	"xds-endpoints", "xds-https", "xds-weights",
}

// TestFeatures runs scripts that were written for the standalone server, with kubectl against kube-apiserver. They take
// turns, each in a cluster without objects, before the other tests start.
func TestFeatures(t *testing.T) {
	var files []string
	for _, feature := range features {
		files = append(files, filepath.Join("..", "..", "features", "testdata", feature+".txtar"))
	}
	commands := script.Commands(true)
	commands["server"] = cmdServer
	testscript.RunT(turns{t}, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			if err := setup(e); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(e.WorkDir, gatewayClassFile), []byte(gatewayClass), 0o600)
		},
		Cmds: commands,
	})
}

const (
	gatewayClassFile = "the-gatewayclass.yaml"
	gatewayClass     = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: gateway-apiserver}
spec: {controllerName: gateway-apiserver.dev/controller}
`
)

// turns keeps scripts from running in parallel.
type turns struct{ *testing.T }

func (turns) Parallel() {}

func (turns) Verbose() bool { return testing.Verbose() }

func (s turns) Run(name string, run func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { run(turns{t}) })
}

// cmdServer has "server start" empty the cluster, but for what it is made of and what a standalone server starts with.
func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] != "start" {
		ts.Fatalf("usage: server start")
	}
	kubectl := func(args ...string) string {
		ts.Check(ts.Exec("kubectl", args...))
		return ts.ReadFile("stdout")
	}
	kubectl("delete", "gateway-api", "--all", "--all-namespaces")
	// All at once: the namespace controller takes five seconds before it begins with one.
	namespaces := strings.Fields(kubectl("get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}"))
	namespaces = slices.DeleteFunc(namespaces, func(name string) bool {
		return name == "default" || name == installed.Namespace || strings.HasPrefix(name, "kube-")
	})
	if len(namespaces) > 0 {
		kubectl(append([]string{"delete", "namespaces"}, namespaces...)...)
	}
	kubectl("delete", "secrets,endpointslices", "--all")
	kubectl("delete", "services", "--field-selector=metadata.name!=kubernetes")
	kubectl("delete", "configmaps", "--field-selector=metadata.name!=kube-root-ca.crt")
	kubectl("create", "-f", gatewayClassFile)
}
