package takeover

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// newest are CustomResourceDefinitions of one release, with its policy for changes of them, and one of an old release.
var newest = []definition{
	{"v0.5.1", gateway, "referencepolicies"},
	{"v1.3.0", gatewayX, "xlistenersets"},
	{"v1.6.3", gateway, "gatewayclasses"}, {"v1.6.3", gateway, "gateways"}, {"v1.6.3", gateway, "httproutes"},
	{"v1.6.3", gateway, "listenersets"}, {"v1.6.3", gatewayX, "xmeshes"}, {"v1.6.3", gateway, "vap_safeupgrades"},
}

const some = `
apiVersion: v1
kind: Namespace
metadata: {name: space}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a, namespace: space}
spec: {hostnames: [a.example.com]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: b, namespace: space}
spec: {hostnames: [b.example.com]}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: ReferencePolicy
metadata: {name: a, namespace: space}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: x}], to: [{group: "", kind: Secret}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: a, namespace: space}
spec: {parentRef: {name: g}, listeners: [{name: a, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XListenerSet
metadata: {name: a, namespace: space}
spec: {parentRef: {name: g}, listeners: [{name: b, port: 81, protocol: HTTP}]}
`

// full are a quota that has no room left, and a policy that would not admit what is there. They apply to our server too.
const full = `
apiVersion: v1
kind: ResourceQuota
metadata: {name: full, namespace: space}
spec: {hard: {count/httproutes.gateway.networking.k8s.io: "2"}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: nothing}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [gateway.networking.k8s.io], apiVersions: ["*"], operations: [CREATE], resources: [httproutes]}]}
  validations: [{expression: "false"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: nothing}
spec: {policyName: nothing, validationActions: [Deny]}
`

const mesh = `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XMesh
metadata: {name: m}
spec: {controllerName: example.com/controller}
`

// fleet is of a kind that only gateway-apiserver has.
const fleet = `
apiVersion: gateway-apiserver.dev/v1alpha1
kind: EnvoyFleet
metadata: {name: edge, namespace: space}
`

// TestRefusals tests what the commands refuse, that they say how to go on, and that it helps.
func TestRefusals(t *testing.T) {
	c := cluster.Start(t)
	apply(t, c, newest)
	kubectlInput(t, c, some, "apply", "-f", "-")
	i, err := c.Install(t.Context(), cluster.InstallOptions{Flags: []string{"--register=false"}})
	if err != nil {
		t.Fatal(err)
	}
	move := &mover{T: t, cluster: c, Installation: i}
	testPermission(t, c, move)

	move.refused("--skip-unserved", "takeover")
	kubectl(t, c, "delete", "referencepolicies.v1alpha2."+gateway, "-n", "space", "a")
	move.refused("XListenerSet space/a: gateway-apiserver stores this and ListenerSet space/a as one object", "takeover")
	kubectl(t, c, "delete", "xlistenersets."+gatewayX, "-n", "space", "a")
	if out := kubectl(t, c, "get", "httproutes", "-A", "-o", "name"); strings.Count(out, "\n") != 2 {
		t.Errorf("clients see %q before the APIServices change", out)
	}

	direct, err := i.Replicas[0].Direct(t.Context(), c.Admin)
	if err != nil {
		t.Fatal(err)
	}
	server := dynamic.NewForConfigOrDie(unlimited(direct)).Resource(schema.GroupVersionResource{Group: gatewayX, Version: "v1alpha1", Resource: "xmeshes"})
	if _, err := server.Create(t.Context(), object(t, mesh), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kubectlInput(t, c, full, "apply", "-f", "-")
	move.refused("XMesh m: it is only in gateway-apiserver, and was not moved there: --extra=keep", "takeover")

	testConflicts(t, c, move)
	testBreakGlass(t, c, move)

	kubectl(t, c, "delete", "crd", "xmeshes."+gatewayX)
	move.refused("no CustomResourceDefinition, or none whose storage version it serves (xmeshes."+gatewayX+")", "handback")
	apply(t, c, newest[6:7])
	kubectl(t, c, "delete", "validatingadmissionpolicybinding", "nothing")
	move.run("handback", "--dry-run")
	kubectl(t, c, "label", "-n", "space", "httproute", "b", "handed=back")
	kubectlInput(t, c, fleet, "apply", "-f", "-")
	move.says("the envoyfleets.gateway-apiserver.dev stay with gateway-apiserver", "handback")
	if out := kubectl(t, c, "get", "xmeshes,httproutes,listenersets", "-A", "-o", "name"); strings.Count(out, "\n") != 4 {
		t.Errorf("after the handback clients see %q", out)
	}
	if out := kubectl(t, c, "get", "crds,apiservices", "-o", "yaml"); strings.Contains(out, "name: takeover") || strings.Contains(out, "v1alpha1.gateway-apiserver.dev") {
		t.Error("the side door is open, or EnvoyFleets are registered")
	}
	// What clients wrote to the server is in the CustomResourceDefinitions now, so another takeover has no conflicts.
	move.run("takeover")
	if out := kubectl(t, c, "get", "-n", "space", "httproute", "b", "-o", "jsonpath={.metadata.labels.handed}"); out != "back" {
		t.Errorf("after a handback and a takeover b has the label %q", out)
	}
	kubectl(t, c, "get", "-n", "space", "envoyfleet", "edge")
}

// says runs a command that has to tell something.
func (m *mover) says(what, command string, flags ...string) {
	m.Helper()
	out, err := m.Command(m.Context(), append([]string{command, "--server=https://" + m.Service.Addr(), "--settle=2s"}, flags...)...)
	if err != nil || !strings.Contains(out, what) {
		m.Fatalf("%s %v: want %q, got %v\n%s", command, flags, what, err, out)
	}
}

// refused runs a command that has to fail, and to say why.
func (m *mover) refused(why, command string, flags ...string) {
	m.Helper()
	out, err := m.Command(m.Context(), append([]string{command, "--server=https://" + m.Service.Addr(), "--settle=2s"}, flags...)...)
	if err == nil {
		m.Fatalf("%s %v was not refused:\n%s", command, flags, out)
	}
	if !strings.Contains(out+err.Error(), why) {
		m.Fatalf("%s %v: want %q, got %v\n%s", command, flags, why, err, out)
	}
}

// testPermission tests that only who has the permission can say who an object is.
func testPermission(t *testing.T, c *cluster.Cluster, move *mover) {
	t.Helper()
	editor, err := c.User("editor")
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "create", "clusterrolebinding", "editor", "--clusterrole=admin", "--user=editor")
	kubectl(t, c, "create", "clusterrole", "gateways", "--verb=get,list,create,update,delete", "--resource=httproutes."+gateway)
	kubectl(t, c, "create", "clusterrolebinding", "gateways", "--clusterrole=gateways", "--user=editor")
	kubeconfig, err := c.WriteKubeconfig("editor", editor)
	if err != nil {
		t.Fatal(err)
	}
	move.refused("may not move objects", "takeover", "--kubeconfig="+kubeconfig)

	direct, err := move.Replicas[0].Direct(t.Context(), editor)
	if err != nil {
		t.Fatal(err)
	}
	direct.Wrap(func(next http.RoundTripper) http.RoundTripper { return keeping{next} })
	o := object(t, `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: forged, uid: forged, generation: 7, creationTimestamp: "2001-01-01T00:00:00Z"}, spec: {}}`)
	routes := dynamic.NewForConfigOrDie(direct).Resource(httpRoutesV1).Namespace("space")
	if _, err := routes.Create(t.Context(), o, metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "takeover") {
		t.Errorf("an object with an identity of its own: %v", err)
	}
}

// keeping asks for the identity to be kept.
type keeping struct{ http.RoundTripper }

func (k keeping) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Gateway-Apiserver-Keep-Identity", "true")
	return k.RoundTripper.RoundTrip(req)
}

var httpRoutesV1 = schema.GroupVersionResource{Group: gateway, Version: "v1", Resource: "httproutes"}

// testConflicts stops a takeover when the APIServices have changed, and writes to both sides then.
func testConflicts(t *testing.T, c *cluster.Cluster, move *mover) {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		out, err := move.Command(ctx, "takeover", "--server=https://"+move.Service.Addr(), "--settle=10m", "--extra=keep")
		ended <- fmt.Errorf("%w\n%s", err, out) // it doesn't end by itself
	}()
	switched := func(ctx context.Context) (bool, error) {
		select {
		case err := <-ended:
			return false, err
		default:
		}
		out, err := c.Kubectl(ctx, "get", "crd", "httproutes."+gateway, "-o", "jsonpath={.spec.versions[*].schema.openAPIV3Schema.description}")
		return strings.Contains(out, "catching up"), err
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, 2*time.Minute, true, switched); err != nil {
		t.Fatal(err)
	}
	kill()
	<-ended
	kubectl(t, c, "delete", "lease", "-n", move.Namespace, "gateway-apiserver-takeover")

	client := dynamic.NewForConfigOrDie(unlimited(c.Admin))
	door := client.Resource(schema.GroupVersionResource{Group: gateway, Version: "takeover", Resource: "httproutes"}).Namespace("space")
	routes := client.Resource(httpRoutesV1).Namespace("space")
	// Route a has another spec on both sides; of b, the spec has changed on the old side, and labels on the new one.
	for _, write := range []struct {
		to    dynamic.ResourceInterface
		name  string
		patch string
	}{
		{door, "a", `{"spec":{"hostnames":["old.example.com"]}}`}, {routes, "a", `{"spec":{"hostnames":["new.example.com"]}}`},
		{door, "b", `{"spec":{"hostnames":["old.example.com"]}}`}, {routes, "b", `{"metadata":{"labels":{"new":"yes"}}}`},
	} {
		if _, err := write.to.Patch(t.Context(), write.name, types.MergePatchType, []byte(write.patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	move.refused(`HTTPRoute space/a: it was changed on both sides (spec.hostnames[0]): the CustomResourceDefinition has it as "kubectl get -n space httproutes.takeover.`+gateway+` a -o yaml" shows`, "takeover", "--extra=keep")
	if out := kubectl(t, c, "get", "-n", "space", "httproutes.takeover."+gateway, "a", "-o", "jsonpath={.spec.hostnames[0]}"); out != "old.example.com" {
		t.Errorf("the old side has %q", out)
	}
	move.refused("run \"gateway-apiserver takeover\" to its end first", "handback")
	move.run("takeover", "--extra=keep", "--on-conflict=crds")
	for name, want := range map[string]string{"a": "old.example.com", "b": "old.example.com yes"} {
		if out := kubectl(t, c, "get", "-n", "space", "httproute", name, "-o", "jsonpath={.spec.hostnames[0]} {.metadata.labels.new}"); strings.TrimSpace(out) != want {
			t.Errorf("%s has %q, want %q", name, out, want)
		}
	}
}

// testBreakGlass deletes the APIServices, with which clients see the objects as they were before the takeover, and takes
// over again. What clients wrote to the server is neither lost nor brought back without a word.
func testBreakGlass(t *testing.T, c *cluster.Cluster, move *mover) {
	t.Helper()
	route := func(name, patch string) {
		t.Helper()
		kubectl(t, c, "patch", "-n", "space", "httproute", name, "--type=merge", "-p", patch)
	}
	hostname := func(want, name string) {
		t.Helper()
		if out := kubectl(t, c, "get", "-n", "space", "httproute", name, "-o", "jsonpath={.spec.hostnames[0]}"); out != want {
			t.Errorf("%s has %q, want %q", name, out, want)
		}
	}
	breakGlass := func() {
		t.Helper()
		kubectl(t, c, "delete", "apiservices", "-l", "app.kubernetes.io/name=gateway-apiserver")
		served := func(ctx context.Context) (bool, error) {
			out, err := c.Kubectl(ctx, "get", "-n", "space", "httproute", "a", "-o", "jsonpath={.spec.hostnames[0]}")
			return err == nil && out == "old.example.com", nil
		}
		if err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, time.Minute, true, served); err != nil {
			t.Fatal(err)
		}
	}
	route("a", `{"spec":{"hostnames":["acknowledged.example.com"]}}`)
	kubectl(t, c, "delete", "-n", "space", "listenersets."+gateway, "a")
	breakGlass()
	route("b", `{"spec":{"hostnames":["after.example.com"]}}`)

	const changed = "HTTPRoute space/a: it was changed in gateway-apiserver after the takeover, and not in the CustomResourceDefinitions (spec.hostnames[0]): if gateway-apiserver has the current objects"
	move.refused(changed, "takeover", "--extra=keep", "--dry-run")
	move.refused("ListenerSet space/a: it was deleted in gateway-apiserver after the takeover", "takeover", "--extra=keep", "--dry-run")
	move.refused(changed, "takeover", "--extra=keep")
	hostname("old.example.com", "a")
	if out := kubectl(t, c, "get", "crds", "-o", "yaml"); strings.Contains(out, "name: takeover") {
		t.Error("the side door is open, though the server may be registered again without a move")
	}

	// The label of b, which the first takeover kept, is not in the CustomResourceDefinitions.
	move.refused("HTTPRoute space/b: it was changed on both sides after the takeover", "takeover", "--extra=keep", "--dry-run")

	move.run("takeover", "--extra=keep", "--on-conflict=server")
	hostname("acknowledged.example.com", "a")
	hostname("old.example.com", "b")
	if out := kubectl(t, c, "get", "listenersets."+gateway, "-A", "-o", "name"); out != "" {
		t.Errorf("what clients had deleted is back: %s", out)
	}

	route("a", `{"spec":{"hostnames":["again.example.com"]}}`)
	breakGlass()
	route("b", `{"spec":{"hostnames":["b.example.com"]}}`)
	move.run("takeover", "--extra=keep", "--on-conflict=crds")
	hostname("old.example.com", "a")
	hostname("b.example.com", "b")
	if out := kubectl(t, c, "get", "listenersets."+gateway, "-A", "-o", "name"); out == "" {
		t.Error("what the CustomResourceDefinitions have was not taken over")
	}

	// What clients wrote to the CustomResourceDefinitions only is no conflict.
	breakGlass()
	route("b", `{"spec":{"hostnames":["after.example.com"]}}`)
	move.run("takeover", "--extra=keep")
	hostname("after.example.com", "b")
}

func kubectl(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	return kubectlInput(t, c, "", args...)
}

func kubectlInput(t *testing.T, c *cluster.Cluster, input string, args ...string) string {
	t.Helper()
	out, err := c.KubectlInput(t.Context(), input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = o.UnmarshalJSON(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}
