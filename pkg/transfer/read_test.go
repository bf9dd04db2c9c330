package transfer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}", "a.json": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`,
		"notes.txt": "not read", "sub/c.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Read([]string{dir, "-", filepath.Join(dir, "sub", "c.yaml")}, strings.NewReader("{apiVersion: v1, kind: ConfigMap, metadata: {name: stdin}}"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range found {
		got = append(got, d.Object.GetName())
	}
	if diff := cmp.Diff([]string{"a", "b", "stdin", "c"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if found, err := Read([]string{dir, filepath.Join(dir, "notes.txt"), "missing"}, nil); found != nil || err == nil ||
		!strings.Contains(err.Error(), "notes.txt, document 1: want an object") || !strings.Contains(err.Error(), "missing: no such file") {
		t.Errorf("read %v, %v", found, err)
	}
}
