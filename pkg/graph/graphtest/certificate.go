package graphtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync"
	"time"
)

// keyPair is a certificate with its key, both in PEM.
type keyPair struct{ chain, key []byte }

// keyPairs are two that work, one whose halves don't belong together, and one that isn't there.
var keyPairs = sync.OnceValue(func() []keyPair {
	a, b := newKeyPair(elliptic.P256(), "*.example.com"), newKeyPair(elliptic.P384(), "a.example.com", "example.org")
	return []keyPair{a, b, {a.chain, b.key}, {}}
})

func newKeyPair(curve elliptic.Curve, names ...string) keyPair {
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "example.com"},
		DNSNames:     names,
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Unix(1<<33, 0),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return keyPair{
		chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}
}
