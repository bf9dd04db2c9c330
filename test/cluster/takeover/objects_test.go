package takeover

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

const (
	gateway  = "gateway.networking.k8s.io"
	gatewayX = "gateway.networking.x-k8s.io"
)

// definition is a CustomResourceDefinition of a release of the Gateway API.
type definition struct{ release, group, resource string }

// old has the newest CustomResourceDefinitions in which each kind is stored in another version than today, or under
// another name.
var old = []definition{
	{"v0.5.1", gateway, "referencepolicies"},
	{"v1.0.0", gateway, "gatewayclasses"}, {"v1.0.0", gateway, "gateways"}, {"v1.0.0", gateway, "httproutes"},
	{"v1.0.0", gateway, "grpcroutes"}, {"v1.0.0", gateway, "tlsroutes"}, {"v1.0.0", gateway, "tcproutes"},
	{"v1.0.0", gateway, "udproutes"}, {"v1.0.0", gateway, "referencegrants"}, {"v1.0.0", gateway, "backendtlspolicies"},
	{"v1.1.1", gateway, "backendlbpolicies"},
	{"v1.3.0", gatewayX, "xlistenersets"}, {"v1.3.0", gatewayX, "xbackendtrafficpolicies"},
	{"v1.6.3", gateway, "listenersets"}, {"v1.6.3", gatewayX, "xbackends"}, {"v1.6.3", gatewayX, "xmeshes"},
}

// current are those of today that replace some of old.
var current = []definition{
	{"v1.6.3", gateway, "gatewayclasses"}, {"v1.6.3", gateway, "gateways"}, {"v1.6.3", gateway, "httproutes"}, {"v1.6.3", gateway, "tlsroutes"},
}

// apply applies CustomResourceDefinitions.
func apply(t *testing.T, c *cluster.Cluster, definitions []definition) {
	t.Helper()
	for _, d := range definitions {
		out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "sigs.k8s.io/gateway-api@"+d.release).Output()
		if err != nil {
			t.Fatalf("downloading %s: %v", d.release, err)
		}
		var module struct{ Dir string }
		if err := json.Unmarshal(out, &module); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(module.Dir, "config", "crd", "experimental", d.group+"_"+d.resource+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.KubectlInput(t.Context(), string(data), "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range definitions {
		if strings.HasPrefix(d.resource, "vap_") {
			continue
		}
		if _, err := c.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=1m", "crd/"+d.resource+"."+d.group); err != nil {
			t.Fatal(err)
		}
	}
}

// kind is what the test makes of a kind, in its storage version.
type kind struct {
	schema.GroupVersionResource
	kind       string
	count      int
	namespaced bool
	status     func(*unstructured.Unstructured, int) map[string]any // of another controller
	spec       func(i int, namespace string) map[string]any
}

type m = map[string]any
type l = []any

const others = "example.com/controller"

func conditions(types ...string) l {
	var out l
	for _, t := range types {
		out = append(out, m{"type": t, "status": "True", "reason": "Fine", "message": "as it should be", "lastTransitionTime": "2024-01-01T00:00:00Z", "observedGeneration": int64(1)})
	}
	return out
}

func parentStatus(o *unstructured.Unstructured, _ int) m {
	parents, _, _ := unstructured.NestedSlice(o.Object, "spec", "parentRefs")
	return m{"parents": l{m{"parentRef": parents[0], "controllerName": others, "conditions": conditions("Accepted", "example.com/Special")}}}
}

func ancestorStatus(*unstructured.Unstructured, int) m {
	return m{"ancestors": l{m{"ancestorRef": m{"name": "gateway-1"}, "controllerName": others, "conditions": conditions("Accepted")}}}
}

func parentRefs(i int) l { return l{m{"name": fmt.Sprintf("gateway-%d", i%60)}} }

func backendRefs(i int) l {
	return l{m{"name": fmt.Sprintf("service-%d", i%7), "port": int64(80 + i%3)}}
}

// kinds are 1,000 objects.
func kinds() []kind {
	v1alpha2 := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: gateway, Version: "v1alpha2", Resource: resource}
	}
	v1beta1 := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: gateway, Version: "v1beta1", Resource: resource}
	}
	x := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: gatewayX, Version: "v1alpha1", Resource: resource}
	}
	v1 := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: gateway, Version: "v1", Resource: resource}
	}
	return []kind{
		{v1beta1("gatewayclasses"), "GatewayClass", 6, false, func(*unstructured.Unstructured, int) m {
			return m{"conditions": conditions("Accepted", "example.com/Known")}
		}, func(i int, _ string) m {
			return m{"controllerName": []string{"gateway-apiserver.dev/controller", others}[i%2], "description": "a class"}
		}},
		{v1beta1("gateways"), "Gateway", 60, true, func(_ *unstructured.Unstructured, i int) m {
			return m{
				"addresses": l{m{"type": "IPAddress", "value": "192.0.2.1"}}, "conditions": conditions("Accepted", "Programmed", "example.com/Billed"),
				"listeners": l{m{"name": "http", "attachedRoutes": int64(i), "supportedKinds": l{m{"group": gateway, "kind": "HTTPRoute"}}, "conditions": conditions("Ready", "example.com/Open")}},
			}
		}, func(i int, _ string) m {
			return m{"gatewayClassName": fmt.Sprintf("class-%d", i%6), "listeners": l{m{"name": "http", "port": int64(80), "protocol": "HTTP", "hostname": "*.example.com"}}}
		}},
		{v1beta1("httproutes"), "HTTPRoute", 360, true, parentStatus, func(i int, _ string) m {
			return m{"parentRefs": parentRefs(i), "hostnames": l{fmt.Sprintf("host-%d.example.com", i)}, "rules": l{
				m{"matches": l{m{"path": m{"type": "PathPrefix", "value": fmt.Sprintf("/%d", i)}}}, "backendRefs": backendRefs(i), "timeouts": m{"request": "10s"}},
				m{"filters": l{m{"type": "RequestHeaderModifier", "requestHeaderModifier": m{"set": l{m{"name": "x", "value": "1"}}}}}, "backendRefs": backendRefs(i + 1)},
			}}
		}},
		{v1alpha2("grpcroutes"), "GRPCRoute", 100, true, parentStatus, func(i int, _ string) m {
			return m{"parentRefs": parentRefs(i), "rules": l{m{"matches": l{m{"method": m{"service": "foo.Bar", "method": fmt.Sprintf("M%d", i)}}}, "backendRefs": backendRefs(i)}}}
		}},
		{v1alpha2("tlsroutes"), "TLSRoute", 70, true, parentStatus, func(i int, _ string) m {
			// Without hostnames, which today's rules ask for.
			spec := m{"parentRefs": parentRefs(i), "rules": l{m{"backendRefs": backendRefs(i)}}}
			if i%3 > 0 {
				spec["hostnames"] = l{fmt.Sprintf("tls-%d.example.com", i)}
			}
			return spec
		}},
		{v1alpha2("tcproutes"), "TCPRoute", 70, true, parentStatus, func(i int, _ string) m {
			return m{"parentRefs": parentRefs(i), "rules": l{m{"backendRefs": backendRefs(i)}}}
		}},
		{v1alpha2("udproutes"), "UDPRoute", 60, true, parentStatus, func(i int, _ string) m {
			return m{"parentRefs": parentRefs(i), "rules": l{m{"backendRefs": backendRefs(i)}}}
		}},
		{v1beta1("referencegrants"), "ReferenceGrant", 70, true, nil, func(i int, _ string) m {
			return m{"from": l{m{"group": gateway, "kind": "HTTPRoute", "namespace": "space-1"}}, "to": l{m{"group": "", "kind": "Service", "name": fmt.Sprintf("service-%d", i)}}}
		}},
		{v1alpha2("backendtlspolicies"), "BackendTLSPolicy", 60, true, ancestorStatus, func(i int, _ string) m {
			return m{"targetRef": m{"group": "", "kind": "Service", "name": fmt.Sprintf("service-%d", i)}, "tls": m{"hostname": "backend.example.com", "caCertRefs": l{m{"group": "", "kind": "ConfigMap", "name": "ca"}}}}
		}},
		{v1alpha2("backendlbpolicies"), "BackendLBPolicy", 30, true, ancestorStatus, func(i int, _ string) m {
			return m{"targetRefs": l{m{"group": "", "kind": "Service", "name": fmt.Sprintf("service-%d", i)}}, "sessionPersistence": m{"sessionName": "s", "type": "Cookie", "absoluteTimeout": "1h", "cookieConfig": m{"lifetimeType": "Permanent"}}}
		}},
		{x("xbackendtrafficpolicies"), "XBackendTrafficPolicy", 30, true, ancestorStatus, func(i int, _ string) m {
			return m{"targetRefs": l{m{"group": "", "kind": "Service", "name": fmt.Sprintf("other-%d", i)}}, "sessionPersistence": m{"sessionName": "s", "type": "Header"}}
		}},
		{x("xlistenersets"), "XListenerSet", 30, true, nil, func(i int, _ string) m {
			return m{"parentRef": m{"group": gateway, "kind": "Gateway", "name": fmt.Sprintf("gateway-%d", i)}, "listeners": l{m{"name": "x", "port": int64(8080 + i), "protocol": "HTTP"}}}
		}},
		{v1("listenersets"), "ListenerSet", 30, true, nil, func(i int, _ string) m {
			return m{"parentRef": m{"group": gateway, "kind": "Gateway", "name": fmt.Sprintf("gateway-%d", i)}, "listeners": l{m{"name": "x", "port": int64(9080 + i), "protocol": "HTTP"}}}
		}},
		{x("xbackends"), "XBackend", 14, true, nil, func(i int, _ string) m {
			return m{"type": "ExternalHostname", "externalHostname": m{"hostname": fmt.Sprintf("backend-%d.example.com", i)}, "port": m{"port": int64(443), "protocol": "HTTP"}}
		}},
		{x("xmeshes"), "XMesh", 10, false, nil, func(i int, _ string) m {
			return m{"controllerName": others, "description": fmt.Sprintf("mesh %d", i)}
		}},
	}
}

const namespaces = 8

func namespaceOf(i int) string { return fmt.Sprintf("space-%d", i%namespaces) }

// populate makes all objects, as several clients would.
func populate(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	client := dynamic.NewForConfigOrDie(unlimited(c.Admin))
	for i := range namespaces {
		if _, err := c.Kubectl(t.Context(), "create", "namespace", namespaceOf(i)); err != nil {
			t.Fatal(err)
		}
	}
	var owners []*unstructured.Unstructured
	for _, k := range kinds() {
		group, ctx := errgroup.WithContext(t.Context())
		group.SetLimit(24)
		made := make([]*unstructured.Unstructured, k.count)
		for i := range k.count {
			group.Go(func() (err error) {
				made[i], err = k.make(ctx, client, i, owners)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if k.kind == "Gateway" {
			owners = made
			own(t, client, made)
		}
	}
}

// make makes an object, and changes it in ways that depend on i.
func (k kind) make(ctx context.Context, client dynamic.Interface, i int, owners []*unstructured.Unstructured) (*unstructured.Unstructured, error) {
	random := rand.New(rand.NewPCG(uint64(i), 7))
	var resource dynamic.ResourceInterface = client.Resource(k.GroupVersionResource)
	namespace := ""
	if k.namespaced {
		namespace = namespaceOf(i)
		resource = client.Resource(k.GroupVersionResource).Namespace(namespace)
	}
	name := fmt.Sprintf("%s-%d", map[string]string{"Gateway": "gateway", "GatewayClass": "class"}[k.kind], i)
	if name[0] == '-' {
		name = fmt.Sprintf("%s-%d", k.Resource, i)
	}
	o := &unstructured.Unstructured{Object: m{"spec": k.spec(i, namespace)}}
	o.SetAPIVersion(k.GroupVersion().String())
	o.SetKind(k.kind)
	o.SetName(name)
	o.SetGenerateName([]string{"", "generated-"}[i%2])
	if random.IntN(2) == 0 {
		o.SetLabels(map[string]string{"app": fmt.Sprint("app-", i%5), "example.com/x": ""})
		o.SetAnnotations(map[string]string{"example.com/note": "Ä \n \" <&>", "kubectl.kubernetes.io/last-applied-configuration": "{}\n"})
	}
	if random.IntN(4) == 0 {
		o.SetFinalizers([]string{"example.com/hold", "example.com/hold-too"})
	}
	if len(owners) > 0 && k.namespaced && random.IntN(3) == 0 {
		owner := owners[i%namespaces] // of the same namespace
		controller := true
		o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(), Controller: &controller}})
	}
	created, err := resource.Create(ctx, o, metav1.CreateOptions{FieldManager: "kubectl-create"})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", k.kind, name, err)
	}
	if random.IntN(3) == 0 {
		applied := &unstructured.Unstructured{Object: m{}}
		applied.SetAPIVersion(o.GetAPIVersion())
		applied.SetKind(k.kind)
		applied.SetName(name)
		applied.SetLabels(map[string]string{"gitops": "yes"})
		if created, err = resource.Apply(ctx, name, applied, metav1.ApplyOptions{FieldManager: "gitops", Force: true}); err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.kind, name, err)
		}
	}
	if k.status != nil && random.IntN(2) == 0 {
		created.Object["status"] = k.status(created, i)
		if created, err = resource.UpdateStatus(ctx, created, metav1.UpdateOptions{FieldManager: "controller"}); err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.kind, name, err)
		}
	}
	if len(o.GetFinalizers()) > 0 && random.IntN(3) == 0 && k.kind != "Gateway" && k.kind != "GatewayClass" {
		if err := resource.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.kind, name, err)
		}
	}
	return created, nil
}

// own makes objects of other kinds that belong to Gateways, so that the garbage collector looks for these.
func own(t *testing.T, client dynamic.Interface, owners []*unstructured.Unstructured) {
	t.Helper()
	for _, owner := range owners[:namespaces] {
		o := &unstructured.Unstructured{Object: m{"apiVersion": "v1", "kind": "ConfigMap"}}
		o.SetName("owned-by-" + owner.GetName())
		o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID()}})
		if _, err := client.Resource(configMaps).Namespace(owner.GetNamespace()).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
