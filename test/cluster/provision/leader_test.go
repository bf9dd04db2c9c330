package provision

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

const (
	pollInterval = 100 * time.Millisecond
	// patience is when something that was to become true is given up.
	patience = 90 * time.Second
)

const leaderGateway = `apiVersion: gateway-apiserver.dev/v1alpha1
kind: EnvoyFleet
metadata: {name: envoys, namespace: leader}
spec: {provisioning: {serviceType: ClusterIP, replicas: 1}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: leader}
spec:
  gatewayClassName: gateway-apiserver
  infrastructure: {parametersRef: {group: gateway-apiserver.dev, kind: EnvoyFleet, name: envoys}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
`

// When the leader dies, the next one goes on: with Gateways that nobody has provisioned, and with objects that have changed
// while nobody looked.
func TestLeaderDies(t *testing.T) { // not in parallel: the others need both replicas
	ctx := t.Context()
	kubectl := func(input string, args ...string) {
		t.Helper()
		if _, err := kube.KubectlInput(ctx, input, args...); err != nil {
			t.Fatal(err)
		}
	}
	services := kube.Clientset().CoreV1().Services("leader")
	exists := func(name string) {
		t.Helper()
		eventually(t, func(ctx context.Context) error {
			_, err := services.Get(ctx, name, metav1.GetOptions{})
			return err
		})
	}
	kubectl("", "create", "namespace", "leader")
	kubectl(fmt.Sprintf(leaderGateway, "before"), "apply", "-f", "-")
	exists("before-gateway-apiserver")

	victim := leader(t)
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	// Nobody looks until the lease of the dead leader has run out.
	kubectl("", "-n", "leader", "delete", "service", "before-gateway-apiserver")
	kubectl(fmt.Sprintf(leaderGateway, "after"), "apply", "-f", "-")
	exists("before-gateway-apiserver")
	exists("after-gateway-apiserver")
	if err := victim.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

// leader returns the replica that leads.
func leader(t *testing.T) (leader *cluster.Replica) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		for _, r := range installed.Replicas {
			config, err := r.Direct(ctx, kube.Admin)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			metrics, err := client.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
			if err != nil {
				return err
			}
			if strings.Contains(string(metrics), "\ngateway_apiserver_leader 1\n") {
				leader = r
				return nil
			}
		}
		return fmt.Errorf("no replica leads")
	})
	return leader
}

// eventually waits until check finds nothing wrong.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	var wrong error
	if wait.PollUntilContextTimeout(t.Context(), pollInterval, patience, true, func(ctx context.Context) (bool, error) {
		wrong = check(ctx)
		return wrong == nil, nil
	}) != nil {
		t.Fatal(wrong)
	}
}
