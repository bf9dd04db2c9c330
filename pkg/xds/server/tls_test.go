package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

// trusted is the authority of all tests, and other one that nobody trusts.
var trusted, other = sync.OnceValue(newAuthority), sync.OnceValue(newAuthority)

func newAuthority() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// issue returns a certificate with which a client may read what URIs say, or, without any, the certificate of a server.
func (a *authority) issue(lifetime time.Duration, uris ...string) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			panic(err)
		}
		template.URIs, template.ExtKeyUsage = append(template.URIs, u), []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.key.Public(), a.key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

// secured has a server speak TLS, and its clients prove who they are by a certificate.
func secured(c *Config) {
	c.TLS = &tls.Config{Certificates: []tls.Certificate{trusted().issue(time.Hour)}, ClientCAs: trusted().pool, ClientAuth: tls.VerifyClientCertIfGiven}
	c.Authenticator = identity.FirstOf{identity.Certificates{}}
}

// authenticated has a server ask whom a function says, over plaintext.
func authenticated(f func(context.Context) (*identity.Identity, error)) func(*Config) {
	return func(c *Config) { c.Authenticator = authenticatorFunc(f) }
}

type authenticatorFunc func(context.Context) (*identity.Identity, error)

func (f authenticatorFunc) Authenticate(ctx context.Context) (*identity.Identity, error) {
	return f(ctx)
}

// as returns a client's view of a server over a connection of its own, with a certificate, if one is given.
func (s *testServer) as(t *testing.T, certificates ...tls.Certificate) *testServer {
	t.Helper()
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: trusted().pool, Certificates: certificates})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &testServer{Server: s.Server, cache: s.cache, addr: s.addr, conn: conn}
}

// with returns a client's view of a server with a certificate for some grants.
func (s *testServer) with(t *testing.T, uris ...string) *testServer {
	t.Helper()
	return s.as(t, trusted().issue(time.Hour, uris...))
}

const trustDomain = "spiffe://" + identity.TrustDomain

// plain returns a client's view of a server over a connection of its own, without TLS.
func (s *testServer) plain(t *testing.T) *testServer {
	t.Helper()
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &testServer{Server: s.Server, cache: s.cache, addr: s.addr, conn: conn}
}
