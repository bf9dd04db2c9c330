package provision

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"

	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/oauth"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/client"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

const tokenGateways = `apiVersion: gateway-apiserver.dev/v1alpha1
kind: EnvoyFleet
metadata: {name: envoys, namespace: tokens}
spec: {provisioning: {serviceType: ClusterIP, replicas: 1}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: one, namespace: tokens}
spec:
  gatewayClassName: gateway-apiserver
  infrastructure: {parametersRef: {group: gateway-apiserver.dev, kind: EnvoyFleet, name: envoys}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: two, namespace: tokens}
spec:
  gatewayClassName: gateway-apiserver
  infrastructure: {parametersRef: {group: gateway-apiserver.dev, kind: EnvoyFleet, name: envoys}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
`

// The Envoys of a Gateway read its configuration with the token that their Pods are given, and no other Gateway's. The server is
// verified by the CA that they are given.
func TestToken(t *testing.T) {
	t.Parallel()
	if _, err := kube.Kubectl(t.Context(), "create", "namespace", "tokens"); err != nil {
		t.Fatal(err)
	}
	if _, err := kube.KubectlInput(t.Context(), tokenGateways, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	ours := []string{identity.Audience}
	for name, test := range map[string]struct {
		account   string
		audiences []string
		gateway   string
		want      codes.Code
	}{
		"its own Gateway":        {"one-gateway-apiserver", ours, "tokens/one", codes.OK},
		"another Gateway":        {"one-gateway-apiserver", ours, "tokens/two", codes.PermissionDenied},
		"another account":        {"default", ours, "tokens/one", codes.PermissionDenied},
		"for the kube-apiserver": {"one-gateway-apiserver", nil, "tokens/one", codes.Unauthenticated},
		"for somebody else":      {"one-gateway-apiserver", []string{"example.com"}, "tokens/one", codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eventually(t, func(ctx context.Context) error {
				token, err := kube.Clientset().CoreV1().ServiceAccounts("tokens").CreateToken(ctx, test.account,
					&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: test.audiences}}, metav1.CreateOptions{})
				if err != nil {
					return err // it isn't there yet
				}
				for _, replica := range installed.Replicas {
					listeners, err := read(ctx, replica.XDS, token.Status.Token, test.gateway)
					if status.Code(err) != test.want || err == nil && listeners != 1 {
						return fmt.Errorf("%s: %d listeners, %w", replica.Name, listeners, err)
					}
				}
				return nil
			})
		})
	}
}

// read returns how many listeners a node of a Gateway gets that shows a token.
func read(ctx context.Context, address, token, gateway string) (int, error) {
	config, err := kube.Clientset().CoreV1().ConfigMaps("tokens").Get(ctx, "one-gateway-apiserver", metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM([]byte(config.Data["ca.crt"])) {
		return 0, fmt.Errorf("no CA in %v", config.Data)
	}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: authority, ServerName: "gateway-apiserver-xds." + installed.Namespace + ".svc",
		})),
		grpc.WithPerRPCCredentials(oauth.TokenSource{TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})}))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	node, err := bootstrap.Node(gateway, "test")
	if err != nil {
		return 0, err
	}
	snapshot, err := client.Fetch(ctx, conn, client.Query{Node: node})
	return len(snapshot.Listeners), err
}
