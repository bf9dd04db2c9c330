package crd_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// TestExamples holds that upstream's examples are valid, and that they pass through the typed objects unharmed: the
// defaulted object has everything that the file has.
func TestExamples(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, doc := range documents(t, "examples/standard", "examples/experimental") {
		seen[doc.GetKind()]++
		t.Run(doc.name(), func(t *testing.T) {
			t.Parallel()
			obj, err := decode(doc.Unstructured)
			if err != nil {
				t.Fatal(err)
			}
			if errs := crd.Lookup(doc.GroupVersionKind()).Validate(t.Context(), obj); len(errs) > 0 {
				t.Errorf("refused: %v", errs.ToAggregate())
			}
			typed, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
			if err != nil {
				t.Fatal(err)
			}
			if lost := missing(doc.Object["spec"], typed["spec"], "spec"); lost != nil {
				t.Errorf("lost %v:\n%s", lost, cmp.Diff(doc.Object["spec"], typed["spec"]))
			}
		})
	}
	for kind, least := range map[string]int{"GatewayClass": 1, "Gateway": 20, "HTTPRoute": 40, "GRPCRoute": 3, "ReferenceGrant": 2} {
		if seen[kind] < least {
			t.Errorf("%d examples of %s, expected %d or more", seen[kind], kind, least)
		}
	}
}

// TestInvalidExamples holds that what upstream calls invalid is refused, by strict decoding or by validation.
func TestInvalidExamples(t *testing.T) {
	t.Parallel()
	docs := documents(t, "hack/invalid-examples")
	if len(docs) < 30 {
		t.Errorf("%d documents, expected 30 or more", len(docs))
	}
	for _, doc := range docs {
		t.Run(doc.name(), func(t *testing.T) {
			t.Parallel()
			obj, err := decode(doc.Unstructured)
			if err != nil {
				return
			}
			if errs := crd.Lookup(doc.GroupVersionKind()).Validate(t.Context(), obj); len(errs) == 0 {
				t.Error("accepted")
			}
		})
	}
}

type document struct {
	*unstructured.Unstructured
	file string
}

func (d document) name() string {
	return strings.TrimSuffix(d.file, ".yaml") + "/" + d.GetKind() + "/" + d.GetName()
}

// documents returns the objects of the served kinds in folders of the Gateway API module. Older versions of a kind are
// read as v1, whose schema is the same.
func documents(t *testing.T, folders ...string) []document {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatalf("locating the Gateway API module: %v", err)
	}
	root := strings.TrimSpace(string(out))
	var docs []document
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for reader := yamlutil.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
				raw, err := reader.Read()
				if errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				obj := &unstructured.Unstructured{}
				if err := yaml.Unmarshal(raw, &obj.Object); err != nil {
					return err
				}
				gvk := gatewayVersion.WithKind(obj.GetKind())
				if obj.GroupVersionKind().Group != gvk.Group || crd.Lookup(gvk) == nil {
					continue
				}
				obj.SetGroupVersionKind(gvk)
				if obj.GetNamespace() == "" && crd.Lookup(gvk).Namespaced() {
					obj.SetNamespace("default")
				}
				file, err := filepath.Rel(root, path)
				if err != nil {
					return err
				}
				docs = append(docs, document{obj, file})
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return docs
}

var strictDecoder = serializer.NewCodecFactory(apis.Scheme, serializer.EnableStrict).UniversalDecoder()

// decode makes a typed object with defaults, as the server does; unknown fields are errors.
func decode(u *unstructured.Unstructured) (runtime.Object, error) {
	data, err := u.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return runtime.Decode(strictDecoder, data)
}

// missing returns the path of a value in want that got does not have, or nil. Empty lists are not missed: a typed
// object cannot tell them from absent ones.
func missing(want, got any, path string) any {
	switch want := want.(type) {
	case map[string]any:
		got, _ := got.(map[string]any)
		for key, value := range want {
			if lost := missing(value, got[key], path+"."+key); lost != nil {
				return lost
			}
		}
	case []any:
		got, _ := got.([]any)
		for i, value := range want {
			if i >= len(got) {
				return path
			}
			if lost := missing(value, got[i], path+"[]"); lost != nil {
				return lost
			}
		}
	default:
		if !cmp.Equal(normalized(want), normalized(got)) {
			return path
		}
	}
	return nil
}

// normalized makes the numbers of YAML and of typed objects comparable.
func normalized(value any) any {
	switch value := value.(type) {
	case int64:
		return float64(value)
	default:
		return value
	}
}
