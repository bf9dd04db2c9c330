package graphtest

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

func randomXBackend(c *choices, meta metav1.ObjectMeta) *gwxv1alpha1.XBackend {
	b := &gwxv1alpha1.XBackend{ObjectMeta: meta, Spec: gwxv1alpha1.BackendSpec{
		Type: gwxv1alpha1.BackendTypeExternalHostname,
		Port: gwxv1alpha1.BackendPort{Port: gwxv1alpha1.PortNumber(pick(c, servicePorts...))},
		ExternalHostname: &gwxv1alpha1.ExternalHostnameBackend{
			Hostname: pick[gwv1.PreciseHostname](c, "a.example.com", "a.example.com", "b.example.com", "localhost"),
		},
		Protocol: maybe(c, gwxv1alpha1.BackendProtocolHTTP, gwxv1alpha1.BackendProtocolHTTP11, gwxv1alpha1.BackendProtocolHTTP2,
			gwxv1alpha1.BackendProtocolH2C, gwxv1alpha1.BackendProtocolMCP, gwxv1alpha1.BackendProtocolTCP),
	}}
	if c.flip(2) {
		b.Spec.TLS = randomBackendTLS(c)
	}
	return b
}

func randomBackendTLS(c *choices) *gwxv1alpha1.BackendTLS {
	tls := &gwxv1alpha1.BackendTLS{Mode: pick(c,
		gwxv1alpha1.BackendTLSModeClientAndServer, gwxv1alpha1.BackendTLSModeServerOnly, gwxv1alpha1.BackendTLSModeNone,
	)}
	if tls.Mode == gwxv1alpha1.BackendTLSModeClientAndServer {
		tls.ClientCertificateRef = &gwv1.SecretObjectReference{Name: "c", Namespace: maybe[gwv1.Namespace](c, "app", "infra")}
	}
	if c.flip(2) {
		tls.Validation = randomValidation(c)
	}
	return tls
}

func randomXMesh(c *choices, meta metav1.ObjectMeta) *gwxv1alpha1.XMesh {
	meta.CreationTimestamp = randomAge(c)
	mesh := &gwxv1alpha1.XMesh{ObjectMeta: meta, Spec: gwxv1alpha1.MeshSpec{
		ControllerName: pick(c, graph.ControllerName, graph.ControllerName, "example.com/other"),
	}}
	if c.flip(4) {
		mesh.Spec.ParametersRef = &gwv1.ParametersReference{Kind: "ConfigMap", Name: "p"}
	}
	return mesh
}
