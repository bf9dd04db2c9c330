package definitions

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

var created = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func BenchmarkBuild(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		build(crd.ExperimentalChannel, created)
	}
}

// TestBuild compares the definitions with upstream's, in both channels. What is on top of these are versions that upstream has
// retired.
func TestBuild(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	module := strings.TrimSpace(string(out))
	for _, channel := range []crd.Channel{crd.ExperimentalChannel, crd.StandardChannel} {
		t.Run(string(channel), func(t *testing.T) {
			t.Parallel()
			ours := map[string]*apiextensionsv1.CustomResourceDefinition{}
			for _, d := range build(channel, created) {
				ours[d.Name] = d
			}
			files, err := filepath.Glob(filepath.Join(module, "config", "crd", string(channel), "gateway.networking.*.yaml"))
			if err != nil || len(files) < 8 {
				t.Fatalf("upstream's definitions: %v, %v", files, err)
			}
			for _, file := range files {
				upstream := read(t, file)
				if upstream.Kind != "CustomResourceDefinition" {
					continue
				}
				if d := ours[upstream.Name]; d != nil {
					compare(t, upstream, d)
				} else {
					t.Errorf("%s is missing", upstream.Name)
				}
			}
		})
	}
}

func read(t *testing.T, file string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func compare(t *testing.T, upstream, ours *apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(upstream)
	same := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s (-upstream +ours):\n%s", ours.Name, what, diff)
		}
	}
	same("annotations", upstream.Annotations, ours.Annotations)
	same("labels", upstream.Labels, ours.Labels)
	versions := map[string]apiextensionsv1.CustomResourceDefinitionVersion{}
	for _, v := range ours.Spec.Versions {
		versions[v.Name] = v
	}
	for _, v := range upstream.Spec.Versions {
		if !v.Served {
			continue
		}
		describe(v.Schema.OpenAPIV3Schema)
		v.Storage = versions[v.Name].Storage // they are stored in another one here
		if v.AdditionalPrinterColumns == nil {
			v.AdditionalPrinterColumns = versions[v.Name].AdditionalPrinterColumns // the default one is spelled out here
		}
		if v.Subresources != nil && v.Subresources.Status == nil {
			v.Subresources = nil // says the same
		}
		same(v.Name, v, versions[v.Name])
	}
	upstream.Spec.Versions, ours.Spec.Versions = nil, nil
	same("spec", upstream.Spec, ours.Spec)
}

// describe clears all descriptions.
func describe(s *apiextensionsv1.JSONSchemaProps) {
	if s == nil {
		return
	}
	s.Description = ""
	for name, p := range s.Properties {
		describe(&p)
		s.Properties[name] = p
	}
	if s.Items != nil {
		describe(s.Items.Schema)
	}
	if s.AdditionalProperties != nil {
		describe(s.AdditionalProperties.Schema)
	}
}

// TestServed holds that each kind and version has its place in the experimental channel, and that one version is stored.
func TestServed(t *testing.T) {
	t.Parallel()
	served := map[string]int{}
	for _, d := range build(crd.ExperimentalChannel, created) {
		if len(d.Status.StoredVersions) != 1 {
			t.Errorf("%s: stored versions %v", d.Name, d.Status.StoredVersions)
		}
		for _, v := range d.Spec.Versions {
			served[d.Spec.Group+"/"+v.Name+" "+d.Spec.Names.Kind]++
		}
	}
	for _, kind := range apis.DefinedKinds {
		for _, v := range kind {
			if n := served[v.GroupVersion().String()+" "+v.Kind]; n != 1 {
				t.Errorf("%v is in %d definitions", v.GroupVersionKind, n)
			}
		}
	}
}
