package aggregator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/script"
)

const secretGateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: %[1]s}
spec:
  gatewayClassName: gateway-apiserver
  listeners:
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: referenced}]}}
`

// Of all Secrets and ConfigMaps, a server reads those that something refers to, by name, and for as long: kube-apiserver's
// audit log is the witness.
func TestOnlyReferencedSecretsAreRead(t *testing.T) {
	t.Parallel()
	const namespace = "secrets"
	ctx := t.Context()
	kubectl := func(input string, args ...string) {
		t.Helper()
		if _, err := kube.KubectlInput(ctx, input, args...); err != nil {
			t.Fatal(err)
		}
	}
	kubectl("", "create", "namespace", namespace)
	for _, name := range []string{"referenced", "unreferenced"} {
		kubectl("", "-n", namespace, "create", "secret", "generic", name, "--from-literal=a=b")
	}
	kubectl(fmt.Sprintf(secretGateway, namespace), "create", "-f", "-")
	// Each replica watches the Secret for itself.
	if !script.Poll(func() bool { return watches(t, namespace).open == len(installed.Replicas) }) {
		t.Fatalf("a Secret that is referred to is not watched: %+v", watches(t, namespace))
	}
	kubectl("", "-n", namespace, "delete", "gateway", "web")
	if !script.Poll(func() bool { return watches(t, namespace).open == 0 }) {
		t.Fatalf("a Secret that is no longer referred to is watched: %+v", watches(t, namespace))
	}
	for _, event := range accesses(t) {
		switch at := event.ObjectRef; {
		case at.Namespace == installed.Namespace && at.Resource == "secrets": // its certificates
		case at.Namespace == metav1.NamespaceSystem && at.Name == "extension-apiserver-authentication":
		case at.Name == "" && at.Resource == "configmaps": // the parameters of an admission policy of another test
		case at.Name == "":
			t.Errorf("%s of all %s: %s", event.Verb, at.Resource, event.RequestURI)
		case at.Namespace == namespace && at.Name != "referenced":
			t.Errorf("%s of %s %s/%s, which nothing refers to", event.Verb, at.Resource, at.Namespace, at.Name)
		}
	}
}

// accesses are the audit events of what our replicas do with Secrets and ConfigMaps.
func accesses(t *testing.T) []auditv1.Event {
	t.Helper()
	log, err := os.ReadFile(kube.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	account := fmt.Sprintf("system:serviceaccount:%s:gateway-apiserver", installed.Namespace)
	var events []auditv1.Event
	for line := range bytes.Lines(log) {
		var event auditv1.Event
		if !bytes.HasSuffix(line, []byte("\n")) { // it is being written
			continue
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatal(err)
		}
		if event.User.Username == account {
			events = append(events, event)
		}
	}
	return events
}

type watched struct{ begun, open int }

// watches counts those of Secrets in a namespace.
func watches(t *testing.T, namespace string) watched {
	t.Helper()
	var w watched
	for _, event := range accesses(t) {
		if event.Verb != "watch" || event.ObjectRef.Resource != string(corev1.ResourceSecrets) || event.ObjectRef.Namespace != namespace {
			continue
		}
		switch event.Stage {
		case auditv1.StageResponseStarted:
			w.begun++
			w.open++
		case auditv1.StageResponseComplete:
			w.open--
		}
	}
	return w
}
