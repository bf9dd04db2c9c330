package robustness

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The variables that name the files by which a built program is influenced while it runs.
const (
	clockStep = "CLOCK_STEP" // seconds that the wall clock of a server is off
	diskDelay = "DISK_DELAY" // milliseconds that each fdatasync(2) of an etcd takes longer
)

//go:embed overlay/time.txt
var steppedTime string

//go:embed overlay/syscall.txt
var slowSyscall string

// overlay replaces files of the standard library in a build: one gets a line changed, and a file is added.
type overlay struct {
	pkg       string
	file      string
	old, new  string
	addedFile string
	added     string
}

var (
	// steppedClock has time.Now add something to the wall clock. Timers, timeouts and differences between instants use
	// the monotonic clock, as with a real step.
	steppedClock = overlay{
		pkg: "time", file: "time.go",
		old:       "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n",
		new:       "func Now() Time {\n\tsec, nsec, mono := steppedNow()\n",
		addedFile: "stepped.go", added: steppedTime,
	}
	// slowDisk has fdatasync(2) wait, by which etcd writes its log and bbolt its database.
	slowDisk = overlay{
		pkg: "syscall", file: "zsyscall_linux_" + build.Default.GOARCH + ".go",
		old:       "func Fdatasync(fd int) (err error) {\n",
		new:       "func Fdatasync(fd int) (err error) {\n\tslowDisk()\n",
		addedFile: "slowdisk.go", added: slowSyscall,
	}
)

// buildPrograms builds a server whose clock can be stepped and an etcd whose disk can be slow into bin/robustness of the
// repository, beside links to the other programs of a cluster in bin/cluster, and returns that folder.
func buildPrograms(ctx context.Context, cluster string) (string, error) {
	repository := filepath.Dir(filepath.Dir(cluster))
	bin := filepath.Join(repository, "bin", "robustness")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	kubectl := filepath.Join(bin, "kubectl")
	if err := os.Remove(kubectl); err != nil && !os.IsNotExist(err) {
		return "", err
	}
	if err := os.Symlink(filepath.Join(cluster, "kubectl"), kubectl); err != nil {
		return "", err
	}
	if err := steppedClock.build(ctx, repository, "./cmd/gateway-apiserver", bin); err != nil {
		return "", err
	}
	return bin, slowDisk.build(ctx, filepath.Join(repository, "test", "cluster", "kubernetes"), "./etcd", bin)
}

// build builds a program of the module in dir into the folder bin.
func (o overlay) build(ctx context.Context, dir, program, bin string) error {
	folder := filepath.Join(build.Default.GOROOT, "src", o.pkg)
	original := filepath.Join(folder, o.file)
	source, err := os.ReadFile(original)
	if err != nil {
		return err
	}
	if strings.Count(string(source), o.old) != 1 {
		return fmt.Errorf("%s is not what it was in the Go release that this was written for: it has no %q", original, o.old)
	}
	temporary, err := os.MkdirTemp("", "robustness-overlay-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	files := map[string]string{}
	for name, content := range map[string]string{
		o.file:      strings.Replace(string(source), o.old, o.new, 1),
		o.addedFile: o.added,
	} {
		files[filepath.Join(folder, name)] = filepath.Join(temporary, name)
		if err := os.WriteFile(filepath.Join(temporary, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	description, err := json.Marshal(map[string]any{"Replace": files})
	if err != nil {
		return err
	}
	file := filepath.Join(temporary, "overlay.json")
	if err := os.WriteFile(file, description, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-overlay="+file, "-o", bin+string(filepath.Separator), program)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s with another %s: %w\n%s", program, o.pkg, err, out)
	}
	return nil
}
