// Package readme follows the section "In a cluster" of README.md word by word: it runs its commands in a shell, and looks
// for the lines that it promises in what they print. The one thing that is added is what a cluster with a network has and
// this one doesn't: where replicas are reached.
package readme

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

const repository = "../../.."

// The ways to install, by what is in their commands.
const (
	external = `--etcd="$ETCD"`
	embedded = "--etcd=embedded"
)

func TestInCluster(t *testing.T) {
	steps := read(t)
	kube := cluster.Start(t)
	if _, err := cluster.Build(t.Context(), cluster.Server); err != nil {
		t.Fatal(err)
	}
	etcd, err := kube.StartEtcd(t.Context(), "external-etcd")
	if err != nil {
		t.Fatal(err)
	}
	dir := workDir(t, etcd)
	for _, test := range []struct{ way, other string }{{external, embedded}, {embedded, external}} {
		installed, err := kube.Expect()
		if err != nil {
			t.Fatal(err)
		}
		r := &reader{kube: kube, etcd: etcd, installed: installed, dir: dir}
		installs := 0
		for _, s := range steps {
			if strings.Contains(s.commands, test.other) {
				continue
			}
			together, ctx := errgroup.WithContext(t.Context())
			together.Go(func() error { return r.follow(ctx, s) })
			if strings.Contains(s.commands, test.way) {
				installs++
				together.Go(func() error { return installed.Host(ctx, test.way == embedded) })
			}
			if err := together.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		if installs != 1 {
			t.Errorf("the section installs %d times with %s", installs, test.way)
		}
		if left, err := kube.Kubectl(t.Context(), "get", "apiservices", "-l", "app.kubernetes.io/name=gateway-apiserver", "-o", "name"); err != nil || left != "" {
			t.Errorf("after the section there are %s: %v", left, err)
		}
		if err := installed.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// step is a block of commands, and the lines that the README promises of what they print.
type step struct {
	commands string
	promised []string
}

var block = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// read returns the steps of the section.
func read(t *testing.T) []step {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(readme), "\n## In a cluster\n")
	if !found {
		t.Fatal("README.md has no section \"In a cluster\"")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var steps []step
	for _, b := range block.FindAllStringSubmatch(section, -1) {
		switch language, text := b[1], b[2]; {
		case language == "sh":
			steps = append(steps, step{commands: text})
		case language == "text" && len(steps) > 0:
			steps[len(steps)-1].promised = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		default:
			t.Fatalf("a block that is neither commands nor what they print: %s", b[0])
		}
	}
	return steps
}

// workDir is a folder that is as a clone after "make build", with the certificates for etcd that an administrator has.
func workDir(t *testing.T, etcd *cluster.Etcd) string {
	t.Helper()
	dir := t.TempDir()
	artifacts, err := filepath.Abs(filepath.Join(repository, "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"artifacts": artifacts, "ca.crt": etcd.CA, "tls.crt": etcd.Cert, "tls.key": etcd.Key} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// reader follows the README.
type reader struct {
	kube      *cluster.Cluster
	etcd      *cluster.Etcd
	installed *cluster.Installation
	dir       string
}

// follow runs the commands of a step, and looks for what is promised.
func (r *reader) follow(ctx context.Context, s step) error {
	if err := r.network(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", s.commands)
	cmd.Dir = r.dir
	cmd.Env = []string{
		"PATH=" + r.kube.Bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + r.kube.Dir, "KUBECONFIG=" + r.kube.Kubeconfig,
		"ETCD=" + r.etcd.URL, "IMAGE=registry.example.com/gateway-apiserver:v1",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w:\n%s", s.commands, err, out)
	}
	rest := string(out)
	for _, line := range s.promised {
		if line == "..." {
			continue
		}
		_, after, found := strings.Cut("\n"+rest, "\n"+line+"\n")
		if !found {
			return fmt.Errorf("%s\nprints no line (or not in this order)\n%s\nbut\n%s", s.commands, line, out)
		}
		rest = after
	}
	return nil
}

// network makes bin/gateway-apiserver, which adds to commands where the Service and the replicas are reached.
func (r *reader) network() error {
	var servers strings.Builder
	for _, replica := range r.installed.Replicas {
		fmt.Fprintf(&servers, " --server=https://%s", replica.Addr)
	}
	script := fmt.Sprintf(`#!/bin/sh
case $1 in
install) set -- "$@" --service-port=%d ;;
doctor) set -- "$@"%s ;;
esac
exec %s/gateway-apiserver "$@"
`, r.installed.Service.Port, servers.String(), r.kube.Bin)
	return os.WriteFile(filepath.Join(r.dir, "bin", "gateway-apiserver"), []byte(script), 0o700)
}
