package app

import (
	"context"
	"fmt"
	"io"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/manifests"
)

// defaultClass is the GatewayClass that a standalone server makes.
const defaultClass = "gateway-apiserver"

// welcome makes what every standalone server has, tells the user the next step, and follows the manifests.
func (s *standalone) welcome(ctx context.Context, out io.Writer) error {
	client, err := dynamic.NewForConfig(s.loopback)
	if err != nil {
		return err
	}
	if err := makeDefaults(ctx, client); err != nil {
		return err
	}
	if len(s.manifests) > 0 {
		follower, err := manifests.New(s.manifests, s.loopback)
		if err != nil {
			return fmt.Errorf("--manifests: %w", err)
		}
		go follower.Run(ctx)
		select {
		case <-follower.Synced():
		case <-ctx.Done():
			return nil
		}
	}
	s.sayReady(out)
	return nil
}

// sayReady tells the user the addresses and the next steps.
func (s *standalone) sayReady(out io.Writer) {
	xds := reachable(s.xdsListen.Addr().String())
	server, xdsServer, first := "", "", ""
	if xds != defaultXDS.String() {
		server, xdsServer = " --server "+xds, " --xds-server "+xds
	}
	if s.xds.secured() {
		first = fmt.Sprintf("  %s xds-cert --gateway NAMESPACE/NAME --data-dir %s --out DIR\n", os.Args[0], s.dir.path)
		server, xdsServer = server+" --cert-dir DIR", xdsServer+" --cert-dir DIR --out DIR"
	}
	fmt.Fprintf(out, `gateway-apiserver is ready: API on https://%[1]s, xDS on %[2]s.

Next, in another terminal:
  export KUBECONFIG=%[3]s
  kubectl get gateways,httproutes,grpcroutes --all-namespaces
What the Envoys of a Gateway receive, and the file to start one with:
%[7]s  %[4]s xds --gateway NAMESPACE/NAME%[5]s
  %[4]s bootstrap --gateway NAMESPACE/NAME%[6]s
`, reachable(s.apiListen.Addr().String()), xds, s.dir.in(kubeconfigFile), os.Args[0], server, xdsServer, first)
}

// makeDefaults makes the Namespace default and our GatewayClass, unless they exist.
func makeDefaults(ctx context.Context, client dynamic.Interface) error {
	for resource, obj := range map[schema.GroupVersionResource]map[string]any{
		{Version: "v1", Resource: "namespaces"}: {
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": metav1.NamespaceDefault},
		},
		{Group: gwv1.GroupName, Version: "v1", Resource: "gatewayclasses"}: {
			"apiVersion": schema.GroupVersion(gwv1.GroupVersion).String(), "kind": "GatewayClass", "metadata": map[string]any{"name": defaultClass},
			"spec": map[string]any{"controllerName": string(graph.ControllerName)},
		},
	} {
		_, err := client.Resource(resource).Create(ctx, &unstructured.Unstructured{Object: obj}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making %s: %w", resource.Resource, err)
		}
	}
	return nil
}
