package accept_test

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

//go:embed testdata/specs.yaml
var ownSpecs []byte

var readSeeds = sync.OnceValues(func() (map[string][]map[string]any, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return nil, fmt.Errorf("locating the Gateway API module: %w", err)
	}
	specs := map[string][]map[string]any{}
	if err := read(ownSpecs, specs); err != nil {
		return nil, err
	}
	for _, folder := range []string{"examples/standard", "examples/experimental"} {
		root := filepath.Join(strings.TrimSpace(string(out)), folder)
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".yaml" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return read(data, specs)
		})
		if err != nil {
			return nil, err
		}
	}
	return specs, nil
})

// seeds returns valid specs of every kind: upstream's examples, and some that use what these don't.
func seeds(t testing.TB) map[string][]map[string]any {
	t.Helper()
	specs, err := readSeeds()
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

// read adds the specs of the objects in a file.
func read(data []byte, specs map[string][]map[string]any) error {
	for reader := yamlutil.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		object := &unstructured.Unstructured{}
		if err == nil {
			err = yaml.Unmarshal(doc, &object.Object)
		}
		if err != nil {
			return err
		}
		if spec, ok := object.Object["spec"].(map[string]any); ok {
			specs[object.GetKind()] = append(specs[object.GetKind()], spec)
		}
	}
}
