package gatewayapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

type object = map[string]any

// GatewayName is the name of the Gateway that a run creates in its namespace.
const GatewayName = "bench"

const (
	// domain is reserved for examples (RFC 2606).
	domain = "bench.example.com"
	// secretName is the certificate of all listeners for HTTPS.
	secretName = "bench"
)

func convert(u *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into)
}

// create creates n objects by the run's clients, and hands each to created, if there is one, as it was answered.
func (r *run) create(ctx context.Context, kind schema.GroupVersionResource, n int, build func(i int) object, created func(i int, u *unstructured.Unstructured)) error {
	return r.each(ctx, n, func(ctx context.Context, i int) error {
		u, err := r.client.Resource(kind).Namespace(r.Namespace).Create(ctx, &unstructured.Unstructured{Object: build(i)}, metav1.CreateOptions{})
		if err == nil && created != nil {
			created(i, u)
		}
		return err
	})
}

// each does something n times by the run's clients.
func (r *run) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.Clients)
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(ctx, i)
		})
	}
	return group.Wait()
}

// patch applies a merge patch.
func (r *run) patch(ctx context.Context, kind schema.GroupVersionResource, name, patch string) (*unstructured.Unstructured, error) {
	return r.client.Resource(kind).Namespace(r.Namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
}

// gateway has a listener for HTTP, and lets ListenerSets of its namespace attach.
func (r *run) gateway() object {
	return object{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": object{"name": GatewayName},
		"spec": object{
			"gatewayClassName": r.Class,
			"listeners":        []any{object{"name": "http", "protocol": "HTTP", "port": int64(r.Port)}},
			"allowedListeners": object{"namespaces": object{"from": "Same"}},
		},
	}
}

func service(name string) object {
	return object{
		"apiVersion": "v1", "kind": "Service", "metadata": object{"name": name},
		"spec": object{"ports": []any{object{"name": "http", "port": int64(80)}}},
	}
}

// slice is where a service's endpoints are.
func slice(service string, port int64, addresses ...string) object {
	return object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata":    object{"name": service, "labels": object{"kubernetes.io/service-name": service}},
		"addressType": "IPv4",
		"ports":       []any{object{"name": "http", "port": port}},
		"endpoints":   endpoints(addresses...),
	}
}

func endpoints(addresses ...string) []any {
	var out []any
	for _, address := range addresses {
		out = append(out, object{"addresses": []any{address}})
	}
	return out
}

// somewhere is an address that nobody has, but that moves.
func somewhere(i int) string { return fmt.Sprintf("10.%d.%d.%d", 1+i/62500%250, i/250%250, 1+i%250) }

// host is that of a route.
func host(name string) string { return name + "." + domain }

// route forwards what is below a path to a service.
func route(name, hostname, path, service string, parent object) object {
	return object{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": object{"name": name},
		"spec": object{
			"parentRefs": []any{parent},
			"hostnames":  []any{hostname},
			"rules": []any{object{
				"matches":     []any{object{"path": object{"type": "PathPrefix", "value": path}}},
				"backendRefs": []any{object{"name": service, "port": int64(80)}},
			}},
		},
	}
}

// redirect answers without a backend.
func redirect(name string) object {
	out := route(name, host(name), "/", "", object{"name": GatewayName})
	out["spec"].(object)["rules"] = []any{object{"filters": []any{object{
		"type": "RequestRedirect", "requestRedirect": object{"hostname": "elsewhere." + domain, "statusCode": int64(302)},
	}}}}
	return out
}

// certificate is a Secret with a certificate for all hosts of the run, which signs itself.
func certificate() (object, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"*." + domain},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	encoded := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return object{
		"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": secretName}, "type": "kubernetes.io/tls",
		"data": object{"tls.crt": encoded("CERTIFICATE", der), "tls.key": encoded("PRIVATE KEY", pkcs8)},
	}, nil
}
