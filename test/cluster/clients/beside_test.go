package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
)

// ours selects what install has made.
const ours = "app.kubernetes.io/name=gateway-apiserver"

// bundleVersion is the annotation by which clients know which release of the Gateway API is installed.
const bundleVersion = "gateway.networking.k8s.io/bundle-version"

var definitionsResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// applyDefinitions installs the official CustomResourceDefinitions.
func applyDefinitions(t *testing.T) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "apply", "--server-side", "-k", filepath.Join(strings.TrimSpace(string(dir)), "config", "crd", "experimental"))
	kubectl(t, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
}

// registered describes our APIServices, a line for each: which object it is, where it points, and what kube-apiserver says.
func registered(ctx context.Context) (string, error) {
	return kube.Kubectl(ctx, "get", "apiservices", "-l", ours, "-o", `jsonpath={range .items[*]}{.metadata.name} `+
		`{.metadata.uid} to {.spec.service.namespace}/{.spec.service.name}{.metadata.labels.kube-aggregator\.kubernetes\.io/automanaged} `+
		`{.status.conditions[?(@.type=="Available")].status}{"\n"}{end}`)
}

// testRegistration has kube-apiserver, which registers CustomResourceDefinitions by APIServices, look at all of them again.
func testRegistration(t *testing.T) {
	before, err := registered(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, available := len(lines(before)), strings.Count(before, "to gateway-apiserver/gateway-apiserver True\n"); n < 5 || n != available {
		t.Fatalf("%d of %d APIServices are ours and available:\n%s", available, n, before)
	}
	same := func(ctx context.Context) string {
		after, err := registered(ctx)
		if err != nil {
			return err.Error()
		}
		return cmp.Diff(before, after)
	}
	kubectl(t, "annotate", "crd", "--all", "example.com/look=again")
	kubectl(t, "annotate", "apiservices", "-l", ours, "example.com/look=again")
	// What is queued before this one has been looked at when it is registered.
	if _, err := kube.KubectlInput(t.Context(), lastDefinition, "create", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "wait", "--for=create", "apiservice/v1.last.example.com", "--timeout=30s")
	kubectl(t, "delete", "crd", "lasts.last.example.com")
	if different := same(t.Context()); different != "" {
		t.Errorf("changed CustomResourceDefinitions change APIServices:\n%s", different)
	}
	// When it starts, it looks at all of them before it is ready.
	if err := kube.APIServer.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := kube.APIServer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, same)
}

const lastDefinition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lasts.last.example.com}
spec:
  group: last.example.com
  scope: Namespaced
  names: {plural: lasts, kind: Last}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object}}
`

// discover returns what discovery says of the Gateway API: resources by group version.
func discover(t *testing.T) map[string][]metav1.APIResource {
	t.Helper()
	found, err := discovered()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func discovered() (map[string][]metav1.APIResource, error) {
	client, err := discovery.NewDiscoveryClientForConfig(kube.Admin)
	if err != nil {
		return nil, err
	}
	_, lists, err := client.ServerGroupsAndResources()
	found := map[string][]metav1.APIResource{}
	for _, list := range lists {
		if strings.HasPrefix(list.GroupVersion, "gateway.networking.") {
			found[list.GroupVersion] = append(found[list.GroupVersion], list.APIResources...)
		}
	}
	return found, err
}

// testDiscovery compares discovery with that without CustomResourceDefinitions, and looks for everything in OpenAPI.
func testDiscovery(t *testing.T, alone map[string][]metav1.APIResource) {
	eventually(t, func(context.Context) string { // kube-apiserver has just started
		beside, err := discovered()
		if err != nil {
			return err.Error()
		}
		return cmp.Diff(alone, beside)
	})
	eventually(t, func(ctx context.Context) string {
		v2, err := schemas(ctx, "/openapi/v2")
		if err != nil {
			return err.Error()
		}
		for groupVersion, resources := range alone {
			v3, err := schemas(ctx, "/openapi/v3/apis/"+groupVersion)
			if err != nil {
				return err.Error()
			}
			for _, resource := range resources {
				gvk := schema.FromAPIVersionAndKind(groupVersion, resource.Kind)
				if !strings.Contains(resource.Name, "/") && !(v2[gvk] && v3[gvk]) {
					return fmt.Sprintf("%s: in OpenAPI v2 %t, v3 %t", gvk, v2[gvk], v3[gvk])
				}
			}
		}
		return ""
	})
}

// schemas returns the kinds that have a schema in an OpenAPI document.
func schemas(ctx context.Context, path string) (map[schema.GroupVersionKind]bool, error) {
	body, err := kube.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	type definition struct {
		Kinds []schema.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
	}
	var document struct {
		Definitions map[string]definition                   // v2
		Components  struct{ Schemas map[string]definition } // v3
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	found := map[schema.GroupVersionKind]bool{}
	for _, all := range []map[string]definition{document.Definitions, document.Components.Schemas} {
		for _, d := range all {
			for _, kind := range d.Kinds {
				found[kind] = true
			}
		}
	}
	return found, nil
}

// testDefinitions does what Istio does before it starts to watch the Gateway API: it follows the metadata of all
// CustomResourceDefinitions, and looks at the release that they are of.
func testDefinitions(t *testing.T) {
	client, err := metadata.NewForConfig(kube.Admin)
	if err != nil {
		t.Fatal(err)
	}
	informers := metadatainformer.NewSharedInformerFactory(client, 0)
	definitions := informers.ForResource(definitionsResource)
	definitions.Informer()
	ctx, cancel := context.WithCancel(t.Context())
	informers.Start(ctx.Done())
	defer informers.Shutdown()
	defer cancel()
	informers.WaitForCacheSync(ctx.Done())
	for _, name := range []string{"gateways", "gatewayclasses", "httproutes", "grpcroutes", "referencegrants", "tlsroutes", "backendtlspolicies"} {
		found, err := definitions.Lister().Get(name + ".gateway.networking.k8s.io")
		if err != nil {
			t.Fatal(err)
		}
		if version := found.(*metav1.PartialObjectMetadata).Annotations[bundleVersion]; version != "v1.6.3" {
			t.Errorf("%s: %s is %q", name, bundleVersion, version)
		}
	}
}

// testBreakGlass deletes the APIServices, which gives the CustomResourceDefinitions back, and installs them again.
func testBreakGlass(t *testing.T) {
	const namespace = "break-glass"
	if err := makeNamespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	gateway := func(name string) (string, error) {
		manifest := strings.ReplaceAll(gatewayManifest, "NAME", name)
		return kube.KubectlInput(t.Context(), manifest, "create", "-n", namespace, "-f", "-", "-o", "jsonpath="+programmedReason)
	}
	if reason, err := gateway("served"); err != nil || reason != "Programmed" {
		t.Fatalf("the server says %q, %v", reason, err)
	}
	kubectl(t, "delete", "apiservices", "-l", ours)
	read := func(ctx context.Context) (string, error) {
		return kube.Kubectl(ctx, "get", "gateways", "-n", namespace, "-o", "name")
	}
	eventually(t, func(ctx context.Context) string {
		if names, err := read(ctx); err != nil || names != "" {
			return fmt.Sprintf("the CustomResourceDefinition has %q: %v", names, err)
		}
		return ""
	})
	// The status is the default in the CustomResourceDefinition: nobody looks after it.
	var reason string
	eventually(t, func(context.Context) (why string) {
		var err error
		if reason, err = gateway("defined"); err != nil {
			why = err.Error()
		}
		return why
	})
	if reason != "Pending" {
		t.Errorf("want a Gateway that nobody looks after, have one that is %q", reason)
	}

	again := []string{"install", "--etcd=" + installed.Etcd.URL, "--etcd-secret=gateway-apiserver-etcd", "--service-port=" + strconv.Itoa(installed.Service.Port)}
	if _, err := installed.Command(t.Context(), again...); err == nil || !strings.Contains(err.Error(), "1 gateways.gateway.networking.k8s.io") {
		t.Errorf("install hides the object of a CustomResourceDefinition: %v", err)
	}
	if _, err := installed.Command(t.Context(), append(again, "--hide-objects")...); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string {
		if names, err := read(ctx); err != nil || names != "gateway.gateway.networking.k8s.io/served\n" {
			return fmt.Sprintf("the server has %q: %v", names, err)
		}
		return ""
	})
	if reason, err := gateway("again"); err != nil || reason != "Programmed" {
		t.Errorf("the server says %q, %v", reason, err)
	}
}

const programmedReason = `{.status.conditions[?(@.type=="Programmed")].reason}`

const gatewayManifest = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: NAME}
spec:
  gatewayClassName: gateway-apiserver
  listeners:
  - {name: http, port: 80, protocol: HTTP}
`
