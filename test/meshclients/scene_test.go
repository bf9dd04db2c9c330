package meshclients

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

// scene is a server with the objects of all scenarios, and the backends that their routes lead to.
type scene struct {
	server   *standalone.Server
	backends *backends
}

// services are those of each scenario's namespace, with the names of the backends that are their endpoints.
var services = []struct {
	name     string
	backends []string
}{
	{"app", []string{"app"}},
	{"v1", []string{"v1"}},
	{"v2", []string{"v2"}},
	{"twins", []string{"castor", "pollux"}},
	{"deserted", nil},
}

// play starts a server with the objects of the scenarios.
func play(t *testing.T, scenarios []*scenario) *scene {
	t.Helper()
	s := &scene{backends: &backends{tries: map[string]int{}}}
	dir := t.TempDir()
	s.store(t, dir, scenarios)
	var err error
	if s.server, err = standalone.Start(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t) })
	return s
}

// store has a server of its own store the objects. That one doesn't look for faults in what it publishes: it publishes nearly all of
// it after each write.
func (s *scene) store(t *testing.T, dir string, scenarios []*scenario) {
	t.Helper()
	server, err := standalone.Start(dir, "--lint-xds=false")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	config, err := clientcmd.BuildConfigFromFlags("", server.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1 // no limit
	config.WarningHandler = rest.NoWarnings{}
	writer, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]int{}
	for _, service := range services {
		for _, name := range service.backends {
			ports[name] = s.backends.serve(t, name)
		}
	}
	for i, sc := range scenarios {
		write(t, writer, sc.name, parse(t, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", sc.name)))
		for j, service := range services {
			objects := serviceAt(service.name, fmt.Sprintf("10.96.%d.%d", i, j+1))
			for _, name := range service.backends {
				objects += endpointSlice(service.name, name, ports[name])
			}
			write(t, writer, sc.name, parse(t, objects))
		}
		write(t, writer, sc.name, sc.objects)
	}
}

// end ends the server, and fails the test if a client has rejected what it was sent.
func (s *scene) end(t *testing.T) {
	if err := s.server.Stop(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(s.server.Log()) {
		if strings.Contains(line, "rejected") {
			t.Errorf("a client rejected its configuration: %s", line)
		}
	}
}

// bootstrap returns what the command of that name prints with flags.
func (s *scene) bootstrap(t *testing.T, flags ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "gateway-apiserver", append([]string{"bootstrap", "--xds-server", s.server.XDS}, flags...)...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return string(out)
}

// serviceAt is a Service of two ports that speaks HTTP/2, as gRPC demands, and has an address by which sidecars know it.
func serviceAt(name, address string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s}
spec:
  clusterIP: %s
  ports:
  - {name: first, port: 80, appProtocol: kubernetes.io/h2c}
  - {name: second, port: 81, appProtocol: kubernetes.io/h2c}
`, name, address)
}

// endpointSlice adds a port of 127.0.0.1 to a Service's endpoints.
func endpointSlice(service, name string, port int) string {
	return fmt.Sprintf(`
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[2]s, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: first, port: %[3]d}, {name: second, port: %[3]d}]
endpoints: [{addresses: [127.0.0.1]}]
`, service, name, port)
}

func parse(t *testing.T, objects string) []*unstructured.Unstructured {
	t.Helper()
	docs, problems := documents.Parse("objects", []byte(objects))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var parsed []*unstructured.Unstructured
	for _, doc := range docs {
		parsed = append(parsed, doc.Object)
	}
	return parsed
}

// write creates objects one after the other, in a namespace unless they name another.
func write(t *testing.T, writer dynamic.Interface, namespace string, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, o := range objects {
		resource, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
		var target dynamic.ResourceInterface = writer.Resource(resource)
		if o.GetKind() != "Namespace" {
			if o.GetNamespace() == "" {
				o.SetNamespace(namespace)
			}
			target = writer.Resource(resource).Namespace(o.GetNamespace())
		}
		if _, err := target.Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatalf("%s in %s: %v", documents.Title(o), namespace, err)
		}
	}
}
