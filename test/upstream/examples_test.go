package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// checkExamples applies the examples and the invalid examples of the release that this project builds on. What a channel
// has no field for is among the examples of the other one only.
func checkExamples(t *testing.T, c client, channel string) {
	examples, invalid := []string{"examples/standard"}, []string{"hack/invalid-examples/standard"}
	if channel == "experimental" {
		examples = append(examples, "examples/experimental")
		invalid = append(invalid, "hack/invalid-examples/experimental")
	}
	dir := moduleDir(t, "sigs.k8s.io/gateway-api")
	accepted, refused := readManifests(t, dir, examples), readManifests(t, dir, invalid)
	c.createNamespaces(t, append(accepted.namespaces, refused.namespaces...))
	// The refused ones come first: where kubectl finds an object of the same name, it doesn't create but patches.
	for _, dryRun := range []string{"server", "none"} {
		c.checkRefused(t, refused, "--dry-run="+dryRun)
	}
	c.checkAccepted(t, accepted, "--dry-run=server")
	c.checkAccepted(t, accepted, "--dry-run=server", "--server-side")
	c.checkAccepted(t, accepted)
	t.Logf("%d files with %d objects accepted, %d files with %d objects refused",
		len(accepted.files), accepted.objects, len(refused.files), refused.objects)
}

func moduleDir(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// manifests are what folders and all below them hold.
type manifests struct {
	folders, files []string
	objects        int
	namespaces     []string // that objects are in
}

func readManifests(t *testing.T, dir string, folders []string) manifests {
	t.Helper()
	var all manifests
	for _, folder := range folders {
		folder = filepath.Join(dir, folder)
		all.folders = append(all.folders, folder)
		if err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			all.files = append(all.files, path)
			return all.read(path)
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func (m *manifests) read(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if object.Object == nil {
			continue // comments between separators
		}
		m.objects++
		if object.GetNamespace() != "" {
			m.namespaces = append(m.namespaces, object.GetNamespace())
		}
	}
}

// client is a kubectl and whom it talks to.
type client struct{ kubectl, kubeconfig string }

// apply applies all files of folders and returns what kubectl wrote. It fails with an *exec.ExitError.
func (c client) apply(t *testing.T, folders []string, flags ...string) (stdout, stderr string, err error) {
	t.Helper()
	args := append([]string{"apply", "--recursive"}, flags...)
	for _, folder := range folders {
		args = append(args, "--filename", folder)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), c.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "HOME="+filepath.Dir(c.kubeconfig))
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func (c client) createNamespaces(t *testing.T, names []string) {
	t.Helper()
	var documents strings.Builder
	for _, name := range names {
		fmt.Fprintf(&documents, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n---\n", name)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "namespaces.yaml"), []byte(documents.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, err := c.apply(t, []string{dir}); err != nil {
		t.Fatalf("namespaces: %v\n%s", err, stderr)
	}
}

// checkAccepted applies examples: kubectl writes a line for each object.
func (c client) checkAccepted(t *testing.T, m manifests, flags ...string) {
	t.Helper()
	stdout, stderr, err := c.apply(t, m.folders, flags...)
	if applied := strings.Count(stdout, "\n"); err != nil || applied != m.objects {
		t.Errorf("kubectl apply %q: %v; %d of %d objects accepted\n%s", flags, err, applied, m.objects, stderr)
	}
}

// refusal is how kubectl says that the server found an object invalid, not that it doesn't know its kind, for instance.
var refusal = regexp.MustCompile(`(?m)^Error from server \(Invalid\): error when creating "(.+?)": `)

// checkRefused applies invalid examples: kubectl writes an error for each file.
func (c client) checkRefused(t *testing.T, m manifests, flags ...string) {
	t.Helper()
	stdout, stderr, err := c.apply(t, m.folders, flags...)
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	var refused []string
	for _, match := range refusal.FindAllStringSubmatch(stderr, -1) {
		refused = append(refused, match[1])
	}
	for _, file := range m.files {
		if !slices.Contains(refused, file) {
			t.Errorf("kubectl apply %q: %s was not refused as invalid", flags, file)
		}
	}
	if stdout != "" || len(refused) != m.objects {
		t.Errorf("kubectl apply %q: %d of %d objects refused, accepted:\n%s\n%s", flags, len(refused), m.objects, stdout, stderr)
	}
}
