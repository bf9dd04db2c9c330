package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

func leaf(t *testing.T, certPEM, keyPEM []byte) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func TestCA(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pki")
	ca, err := pki.LoadOrMake(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	again, err := pki.LoadOrMake(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ca.PEM(), again.PEM()) {
		t.Error("the CA was made anew")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())

	certPEM, keyPEM, err := again.IssueServer("server", []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if _, err := leaf(t, certPEM, keyPEM).Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("server certificate for %s: %v", name, err)
		}
	}

	if _, _, err := again.IssueServer("test", nil, nil); err == nil {
		t.Error("a server certificate has the name of the CA: OpenSSL would take it for self-signed")
	}

	certPEM, keyPEM, err = again.IssueClient("admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	client := leaf(t, certPEM, keyPEM)
	if _, err := client.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("client certificate: %v", err)
	}
	if _, err := client.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("a client certificate can be used by a server")
	}
	if client.Subject.CommonName != "admin" || len(client.Subject.Organization) != 1 {
		t.Errorf("subject %v", client.Subject)
	}

	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: %v, %v", info.Mode(), err)
	}
}

func TestMakeAgainAfterDyingHalfway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), []byte("left behind"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.LoadOrMake(dir, "test"); err != nil {
		t.Fatal(err)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := pki.LoadOrMake(dir, "test"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.LoadOrMake(dir, "test"); err == nil {
		t.Error("a damaged key was replaced or accepted")
	}
}

func TestIssue(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ca, err := pki.NewCA(pkix.Name{CommonName: "ca"}, now, 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	request := pki.Request{Subject: pkix.Name{CommonName: "leaf"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	certPEM, keyPEM, err := ca.Issue(request, now, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := leaf(t, certPEM, keyPEM).NotAfter, now.Add(24*time.Hour); !got.Equal(want) {
		t.Errorf("valid until %v, want %v", got, want)
	}

	// With the same key, and for longer than the CA is valid.
	request.KeyPEM = keyPEM
	again, sameKey, err := ca.Issue(request, now, 72*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(keyPEM, sameKey) {
		t.Error("the key was replaced")
	}
	if got, want := leaf(t, again, keyPEM).NotAfter, ca.Certificate().NotAfter; !got.Equal(want) {
		t.Errorf("valid until %v, want %v as the CA", got, want)
	}
}

func TestParseCA(t *testing.T) {
	t.Parallel()
	ca, err := pki.NewCA(pkix.Name{CommonName: "ca"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := pki.ParseCA(ca.PEM(), keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	if !parsed.Certificate().Equal(ca.Certificate()) {
		t.Errorf("%v is another CA than %v", parsed.Certificate().Subject, ca.Certificate().Subject)
	}
	certPEM, keyPEM, err := ca.IssueServer("server", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pki.ParseCA(certPEM, keyPEM); err == nil {
		t.Error("a server's certificate was taken for a CA's")
	}
}

// Who has the same CA has the same secrets.
func TestDerive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	derive := func(dir, purpose string) string {
		t.Helper()
		ca, err := pki.LoadOrMake(dir, "test")
		if err != nil {
			t.Fatal(err)
		}
		secret, err := ca.Derive(purpose)
		if err != nil || len(secret) != 32 {
			t.Fatalf("%d bytes, %v", len(secret), err)
		}
		return string(secret)
	}
	first := derive(dir, "one")
	if derive(dir, "one") != first {
		t.Error("the same CA has another secret")
	}
	if derive(dir, "two") == first || derive(t.TempDir(), "one") == first {
		t.Error("another purpose, or another CA, has the same secret")
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	ca, err := pki.NewCA(pkix.Name{CommonName: "ca"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	request := pki.Request{
		Subject: pkix.Name{CommonName: "node"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/a"}},
	}
	dir := filepath.Join(t.TempDir(), "node")
	first, err := ca.Keep(dir, request, time.Now(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, pki.KeyFile)); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	renewed, err := ca.Keep(dir, request, time.Now(), 2*time.Minute)
	if err != nil || !renewed.NotAfter.After(first.NotAfter) || !first.PublicKey.(*ecdsa.PublicKey).Equal(renewed.PublicKey) {
		t.Errorf("renewed until %v (%v), with the same key or not", renewed, err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, pki.CertFile), filepath.Join(dir, pki.KeyFile))
	if err != nil || !pair.Leaf.Equal(renewed) {
		t.Errorf("on disk is %v, %v", pair.Leaf, err)
	}
	other := request
	other.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/b"}}
	if _, err := ca.Keep(dir, other, time.Now(), time.Minute); !errors.Is(err, pki.ErrOther) {
		t.Errorf("somebody else's key gets a certificate: %v", err)
	}
	// Without its key, it is made again, for whomever.
	if err := os.Remove(filepath.Join(dir, pki.KeyFile)); err != nil {
		t.Fatal(err)
	}
	if made, err := ca.Keep(dir, other, time.Now(), time.Minute); err != nil || made.PublicKey.(*ecdsa.PublicKey).Equal(renewed.PublicKey) {
		t.Errorf("made again: %v", err)
	}
}
