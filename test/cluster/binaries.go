package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"
)

const (
	repositoryModule  = "github.com/gateway-apiserver/gateway-apiserver"
	kubernetesVersion = "v1.36.3" // as in kubernetes/go.mod
	oldKubectlVersion = "v1.27.16"
)

// Build builds programs into bin/cluster of the repository and returns that folder:
//
//   - Kubernetes: kube-apiserver, kube-controller-manager, kubectl and etcd;
//   - Server: gateway-apiserver, with the race detector if the tests have it;
//   - DataPlane: testdataplane, which stands for Envoy, likewise;
//   - Clients: kubectl127 and gwctl;
//   - Node: what package node runs Pods with, and the cluster's DNS, coredns;
//   - Echo: echo-basic and echo-advanced-standin, the images of upstream's conformance suite.
//
// Go's build cache makes it quick after the first time, which takes minutes.
func Build(ctx context.Context, programs ...Programs) (string, error) {
	repository, err := goCommand(ctx, ".", false, "list", "-m", "-f", "{{.Dir}}", repositoryModule)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(repository, "bin", "cluster")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	// Packages are tested in parallel, and a binary that runs can't be written.
	unlock, err := lockedfile.MutexAt(filepath.Join(bin, ".lock")).Lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	for _, p := range programs {
		for _, build := range p {
			dir := filepath.Join(repository, build.dir)
			args := append([]string{"build", "-trimpath", "-o", bin + string(filepath.Separator)}, build.args...)
			if _, err := goCommand(ctx, dir, build.cgo, args...); err != nil {
				return "", err
			}
		}
	}
	return bin, nil
}

// Programs are what Build can build.
type Programs []struct {
	dir  string // of the module, in the repository
	cgo  bool
	args []string
}

var (
	Kubernetes = Programs{
		{dir: "test/cluster/kubernetes", args: []string{"-ldflags", versionFlags(kubernetesVersion), "tool", "./etcd"}},
	}
	Server    = Programs{{dir: ".", cgo: race, args: append(raceFlag, "./cmd/gateway-apiserver")}}
	DataPlane = Programs{{dir: ".", cgo: race, args: append(raceFlag, "./test/dataplane/cmd/testdataplane")}}
	Clients   = Programs{
		{dir: "test/cluster/kubectl127", args: []string{"-ldflags", versionFlags(oldKubectlVersion), "."}},
		{dir: "test/cluster/gwctl", args: []string{"tool"}},
	}
	Node = Programs{
		{dir: "test/cluster", args: []string{"./node/containerinit"}},
		{dir: "test/cluster/coredns", args: []string{"."}},
	}
	Echo = Programs{
		{dir: "test/conformance", args: []string{"sigs.k8s.io/gateway-api/conformance/echo-basic"}},
		{dir: "test/cluster", args: []string{"./echo-advanced-standin"}},
	}
)

// versionFlags stamps what hack/lib/version.sh of Kubernetes stamps and clients see.
func versionFlags(version string) string {
	var flags []string
	numbers := strings.Split(strings.TrimPrefix(version, "v"), ".")
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags, "-X "+pkg+".gitVersion="+version, "-X "+pkg+".gitMajor="+numbers[0], "-X "+pkg+".gitMinor="+numbers[1])
	}
	return strings.Join(flags, " ")
}

func goCommand(ctx context.Context, dir string, cgo bool, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	if !cgo {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(bytes.TrimSpace(out)), err
}
