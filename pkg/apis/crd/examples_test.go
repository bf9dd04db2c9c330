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
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// TestExamples holds that upstream's examples are valid, and that they pass through the typed objects unharmed: the
// defaulted object has everything that the file has. Those of experimental features use what is standard by now.
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
			for _, channel := range channels {
				if errs := rules(channel, obj).Validate(t.Context(), obj); len(errs) > 0 {
					t.Errorf("refused by the %s channel: %v", channel, errs.ToAggregate())
				}
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
	for kind, least := range map[string]int{
		"GatewayClass": 1, "Gateway": 20, "HTTPRoute": 40, "GRPCRoute": 3, "ReferenceGrant": 2,
		"TLSRoute": 3, "TCPRoute": 3, "ListenerSet": 1, "BackendTLSPolicy": 1,
	} {
		if seen[kind] < least {
			t.Errorf("%d examples of %s, expected %d or more", seen[kind], kind, least)
		}
	}
}

// TestInvalidExamples holds that what upstream calls invalid is refused, by strict decoding or by validation.
func TestInvalidExamples(t *testing.T) {
	t.Parallel()
	docs := documents(t, "hack/invalid-examples")
	if len(docs) < 36 {
		t.Errorf("%d documents, expected 36 or more", len(docs))
	}
	for _, doc := range docs {
		t.Run(doc.name(), func(t *testing.T) {
			t.Parallel()
			obj, err := decode(doc.Unstructured)
			if err != nil {
				return
			}
			for _, channel := range channels {
				// The standard schema has no pattern for the values of headers.
				valid := channel == crd.StandardChannel && doc.file == "hack/invalid-examples/experimental/httproute/invalid-header-value.yaml"
				if errs := rules(channel, obj).Validate(t.Context(), obj); (len(errs) == 0) != valid {
					t.Errorf("%s channel: %v, expected to be valid: %v", channel, errs.ToAggregate(), valid)
				}
			}
		})
	}
}

var channels = []crd.Channel{crd.ExperimentalChannel, crd.StandardChannel}

// rules returns the rules for objects of the kind and version of obj.
func rules(channel crd.Channel, obj runtime.Object) *crd.Rules {
	gvk := obj.GetObjectKind().GroupVersionKind()
	return crd.NewRules(channel, gvk, hub(gvk).GroupVersionKind)
}

// hub returns the hub of a kind and version if that has the hub's Go types, else the version itself.
func hub(of schema.GroupVersionKind) apis.Version {
	for _, kind := range apis.DefinedKinds {
		at := slices.IndexFunc(kind, func(v apis.Version) bool { return v.GroupVersionKind == of })
		if at < 0 {
			continue
		}
		if reflect.TypeOf(specOf(kind[at].New())) == reflect.TypeOf(specOf(kind.Hub().New())) {
			return kind.Hub()
		}
		return kind[at]
	}
	panic(of.String() + " is not served")
}

type document struct {
	*unstructured.Unstructured
	file string
}

func (d document) name() string {
	return strings.TrimSuffix(d.file, ".yaml") + "/" + d.GetKind() + "/" + d.GetName()
}

// documents returns the Gateway API objects in folders of the Gateway API module.
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
			file, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			objects, err := parseYAML(data)
			for _, obj := range objects {
				docs = append(docs, document{obj, file})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return docs
}

// parseYAML returns the Gateway API objects in data, in the default namespace if they say no other.
func parseYAML(data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for reader := yamlutil.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		raw, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(raw, &obj.Object); err != nil {
			return nil, err
		}
		s := crd.Lookup(obj.GroupVersionKind())
		if s == nil {
			continue
		}
		if obj.GetNamespace() == "" && s.Namespaced() {
			obj.SetNamespace("default")
		}
		objects = append(objects, obj)
	}
}

var strictDecoder = serializer.NewCodecFactory(apis.Scheme, serializer.EnableStrict).UniversalDeserializer()

// decode makes a typed object of its own version, with defaults; unknown fields are errors.
func decode(u *unstructured.Unstructured) (runtime.Object, error) {
	data, err := u.MarshalJSON()
	if err != nil {
		return nil, err
	}
	obj, err := runtime.Decode(strictDecoder, data)
	if err != nil {
		return nil, err
	}
	apis.Scheme.Default(obj)
	return obj, nil
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
