package graph

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/yaml"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// ourClass is the GatewayClass that most tests start from.
const ourClass = `
kind: GatewayClass
metadata: {name: ours}
spec: {controllerName: gateway-apiserver.dev/controller}
`

// parse decodes a manifest of documents separated by "---", as a user would write them. A namespace that is left out is
// "default".
func parse(t testing.TB, manifest string) []metav1.Object {
	t.Helper()
	var objects []metav1.Object
	for doc := range strings.SplitSeq(manifest, "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(doc), &meta); err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
		obj := newObject(Kind(meta.Kind))
		if obj == nil {
			t.Fatalf("kind %q in %s", meta.Kind, doc)
		}
		if err := yaml.UnmarshalStrict([]byte(doc), obj); err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
		if obj.GetNamespace() == "" && !slices.Contains([]Kind{KindGatewayClass, KindNamespace, KindMesh}, Kind(meta.Kind)) {
			obj.SetNamespace("default")
		}
		objects = append(objects, obj)
	}
	return objects
}

func parseOne[T metav1.Object](t testing.TB, manifest string) T {
	t.Helper()
	objects := parse(t, manifest)
	if len(objects) != 1 {
		t.Fatalf("%d objects in %s", len(objects), manifest)
	}
	return objects[0].(T)
}

func newObject(kind Kind) metav1.Object {
	switch kind {
	case KindGatewayClass:
		return &gwv1.GatewayClass{}
	case KindGateway:
		return &gwv1.Gateway{}
	case KindListenerSet:
		return &gwv1.ListenerSet{}
	case KindHTTPRoute:
		return &gwv1.HTTPRoute{}
	case KindGRPCRoute:
		return &gwv1.GRPCRoute{}
	case KindTLSRoute:
		return &gwv1.TLSRoute{}
	case KindTCPRoute:
		return &gwv1.TCPRoute{}
	case KindUDPRoute:
		return &gwv1.UDPRoute{}
	case KindReferenceGrant:
		return &gwv1.ReferenceGrant{}
	case KindNamespace:
		return &corev1.Namespace{}
	case KindService:
		return &corev1.Service{}
	case KindSecret:
		return &corev1.Secret{}
	case KindEndpointSlice:
		return &discoveryv1.EndpointSlice{}
	case KindBackendTrafficPolicy:
		return &gwxv1alpha1.XBackendTrafficPolicy{}
	case KindConfigMap:
		return &corev1.ConfigMap{}
	case KindEnvoyFleet:
		return &fleetv1alpha1.EnvoyFleet{}
	case KindBackendTLSPolicy:
		return &gwv1.BackendTLSPolicy{}
	case KindBackend:
		return &gwxv1alpha1.XBackend{}
	case KindMesh:
		return &gwxv1alpha1.XMesh{}
	}
	return nil
}

// grantTo returns a manifest that lets Gateways of the namespace default refer to objects of a kind in the namespace granted.
func grantTo(kind Kind) string {
	return `
kind: ReferenceGrant
metadata: {name: g, namespace: granted}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}]
  to: [{group: "", kind: ` + string(kind) + `}]
`
}

// graphOf builds a graph from manifests.
func graphOf(t testing.TB, manifests ...string) *Graph {
	t.Helper()
	g := New()
	for _, m := range manifests {
		apply(t, g, m)
	}
	return g
}

// apply applies a manifest and returns what became dirty over all of it.
func apply(t testing.TB, g *Graph, manifest string) Dirty {
	t.Helper()
	var d Dirty
	for _, obj := range parse(t, manifest) {
		d.Merge(g.Apply(obj))
	}
	return d
}

func name(namespaced string) types.NamespacedName {
	namespace, name, _ := strings.Cut(namespaced, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func key(kind Kind, namespaced string) Key {
	n := name(namespaced)
	return Key{kind, n.Namespace, n.Name}
}

// reason is the reason of a problem, or empty for none.
func reason(p *Problem) string {
	if p == nil {
		return ""
	}
	return p.Reason
}

type keyPair struct{ chain, key []byte }

// keyPairs are two certificates with their keys, three that Envoys reject, and the first with the key of the second.
var keyPairs = sync.OnceValue(func() (pairs struct{ a, b, rsa1024, p224, ed25519, mixed keyPair }) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	rsa1024, _ := rsa.GenerateKey(rand.Reader, 1024)
	pairs.a = selfSigned(p256, &p256.PublicKey)
	pairs.b = selfSigned(p384, &p384.PublicKey)
	pairs.p224 = selfSigned(p224, &p224.PublicKey)
	pairs.rsa1024 = selfSigned(rsa1024, &rsa1024.PublicKey)
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	pairs.ed25519 = selfSigned(private, public)
	pairs.mixed = keyPair{pairs.a.chain, pairs.b.key}
	return pairs
})

func selfSigned(private, public any) keyPair {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "example.com"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Unix(1<<33, 0),
	}
	pair, err := newKeyPair(template, public, private)
	if err != nil {
		panic(err)
	}
	return pair
}

// newKeyPair is a certificate that is signed with its own key.
func newKeyPair(template *x509.Certificate, public, private any) (keyPair, error) {
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return keyPair{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{
		chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, nil
}

func tlsSecret(namespaced string, pair keyPair) *corev1.Secret {
	n := name(namespaced)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.Namespace, Name: n.Name},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{corev1.TLSCertKey: pair.chain, corev1.TLSPrivateKeyKey: pair.key},
	}
}
