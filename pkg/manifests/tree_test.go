package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// write writes files, by their paths in dir.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// object is a document.
func object(apiVersion, kind, name string) string {
	return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\n"
}

// contents lists what a tree holds, with the paths of files in dir.
func contents(t tree, dir string) []string {
	var out []string
	for _, d := range t.documents {
		out = append(out, strings.TrimPrefix(d.File, dir)+" "+documents.Title(d.Object))
	}
	for _, p := range t.problems {
		out = append(out, strings.TrimPrefix(p.File, dir)+"! "+strings.ReplaceAll(p.err.Error(), dir, ""))
	}
	for _, v := range t.vacant {
		out = append(out, strings.TrimPrefix(v, dir)+" vacant")
	}
	return out
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	route, gateway, namespace := object("gateway.networking.k8s.io/v1", "HTTPRoute", "r"), object("gateway.networking.k8s.io/v1", "Gateway", "g"), object("v1", "Namespace", "n")
	write(t, dir, map[string]string{
		"one/a.yaml":       route,
		"one/b.yml":        gateway,
		"one/c.json":       `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}`,
		"one/.hidden.yaml": namespace,
		"one/note.txt":     "not read",
		"one/x.yaml~":      "not read",
		"one/sub/d.yaml":   namespace,
		"two/again.yaml":   object("gateway.networking.k8s.io/v1beta1", "HTTPRoute", "r") + "---\n" + object("v1", "ConfigMap", "m"),
		"three/readme.md":  "no manifest",
	})
	if err := os.Symlink("nowhere", filepath.Join(dir, "two/lost.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "two/pipe.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := read([]string{filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "three"), filepath.Join(dir, "four")})
	want := []string{
		"/one/c.json Namespace n",
		"/two/again.yaml ConfigMap m",
		"/one/b.yml Gateway g",
		"/one/a.yaml HTTPRoute r",
		"/two/again.yaml! the object is already declared in /one/a.yaml, document 1, line 1; that one counts",
		"/two/lost.yaml! stat /two/lost.yaml: no such file or directory",
		"/two/pipe.yaml! not a regular file, but p---------",
		"/four! open /four: no such file or directory",
		"/three vacant",
	}
	if diff := cmp.Diff(want, contents(got, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The kubelet exchanges all files of a ConfigMap volume at once, by the link ..data.
func TestReadConfigMapVolume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"..v1/a.yaml": object("v1", "Namespace", "one"), "..v2/a.yaml": object("v1", "Namespace", "two")})
	for link, to := range map[string]string{"a.yaml": "..data/a.yaml", "..data": "..v1"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"/a.yaml Namespace one"}, contents(read([]string{dir}), dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	swapLink(t, dir, "..v2")
	if diff := cmp.Diff([]string{"/a.yaml Namespace two"}, contents(read([]string{dir}), dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// swapLink points ..data to another folder, as the kubelet does.
func swapLink(t *testing.T, dir, to string) {
	t.Helper()
	if err := os.Symlink(to, filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}
