package graph

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// caCertificateKey is the key of a ConfigMap's data that holds CA certificates: "a single reference to a Kubernetes
// ConfigMap, with the CA certificate in a key named ca.crt".
const caCertificateKey = "ca.crt"

const certificateBlock = "CERTIFICATE"

// authorities are CA certificates in DER, in the order in which they were found, each once.
type authorities [][]byte

func (a *authorities) add(certificates ...[]byte) {
	for _, c := range certificates {
		known := false
		for _, k := range *a {
			known = known || bytes.Equal(k, c)
		}
		if !known {
			*a = append(*a, c)
		}
	}
}

// pem returns the certificates and nothing else: what isn't a certificate in a bundle, such as comments, goes nowhere.
func (a authorities) pem() []byte {
	var out bytes.Buffer
	for _, der := range a {
		// A bytes.Buffer takes everything.
		_ = pem.Encode(&out, &pem.Block{Type: certificateBlock, Bytes: der})
	}
	return out.Bytes()
}

// authority resolves a reference to a ConfigMap with CA certificates, of which "a single reference that includes multiple
// certificates" may have several.
func (g *Graph) authority(name types.NamespacedName) ([][]byte, error) {
	key := Key{Kind: KindConfigMap, Namespace: name.Namespace, Name: name.Name}
	config := g.configMaps[name]
	if config == nil {
		return nil, fmt.Errorf("%s does not exist", key)
	}
	bundle, ok := config.Data[caCertificateKey]
	if !ok {
		return nil, fmt.Errorf("%s has no data %q", key, caCertificateKey)
	}
	certificates, err := parseCertificates([]byte(bundle))
	if err != nil {
		return nil, fmt.Errorf("%s: data %q: %w", key, caCertificateKey, err)
	}
	return certificates, nil
}

// parseCertificates reads certificates in PEM. Text between them is allowed, as all readers of PEM do and many bundles
// have it; a block that can't be read is not, which package pem would skip.
func parseCertificates(bundle []byte) ([][]byte, error) {
	var certificates [][]byte
	blocks := bytes.Count(bundle, []byte("-----BEGIN"))
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != certificateBlock {
			return nil, fmt.Errorf("a PEM block is a %s, not a %s", block.Type, certificateBlock)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certificates)+1, err)
		}
		certificates = append(certificates, block.Bytes)
	}
	switch {
	case blocks != len(certificates):
		return nil, errors.New("a PEM block is malformed")
	case blocks == 0:
		return nil, errors.New("there is no certificate in PEM")
	}
	return certificates, nil
}

func (g *Graph) setConfigMap(name types.NamespacedName, config *corev1.ConfigMap, d *Dirty) {
	old := g.configMaps[name]
	put(g.configMaps, name, config)
	if sameAuthority(old, config) {
		return
	}
	g.refreshListeners(g.listenersByConfigMap[name], d)
	for policy := range g.tlsPoliciesByConfigMap[name] {
		g.refreshTLSPolicy(policy, d)
	}
	g.refreshXBackends(g.xbackendsByReference[Key{Kind: KindConfigMap, Namespace: name.Namespace, Name: name.Name}], d)
}

// sameAuthority compares what a caCertificateRef reads.
func sameAuthority(a, b *corev1.ConfigMap) bool {
	if a == nil || b == nil {
		return a == b
	}
	before, had := a.Data[caCertificateKey]
	after, has := b.Data[caCertificateKey]
	return had == has && before == after
}
