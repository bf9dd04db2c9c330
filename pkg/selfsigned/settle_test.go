package selfsigned

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

const day = 24 * time.Hour

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func config(clock *clocktesting.FakeClock) Config {
	c := Config{Namespace: "gateways", Service: "api", APIServiceNames: []string{"v1.example.com"}, Clock: clock}
	c.complete()
	return c
}

// theirs makes a CA as somebody else would.
func theirs(t *testing.T, name string, life time.Duration) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(pkix.Name{CommonName: name}, start, life)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func none() ([]*x509.Certificate, error) { return nil, nil }

// settled is what settle decides, and that it has nothing to add.
func settled(t *testing.T, c Config, secret *corev1.Secret, at time.Time, served *x509.Certificate, published ...*x509.Certificate) (*authority, *corev1.Secret) {
	t.Helper()
	get := func() ([]*x509.Certificate, error) { return published, nil }
	a, next, err := c.settle(secret, at, served, get)
	if err != nil {
		t.Fatal(err)
	}
	again, same, err := c.settle(next, at, served, get)
	if err != nil {
		t.Fatal(err)
	}
	if !apiequality.Semantic.DeepEqual(next, same) || !again.ca.Certificate().Equal(a.ca.Certificate()) || !again.since.Equal(a.since) {
		t.Errorf("decided anew what was settled: %v, %v", next, same)
	}
	return a, next
}

func trusted(t *testing.T, secret *corev1.Secret, want ...*x509.Certificate) {
	t.Helper()
	got, err := cert.ParseCertsPEM(secret.Data["ca.crt"])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, (*x509.Certificate).Equal) {
		t.Errorf("trusted are %v, want %v", subjects(got), subjects(want))
	}
}

func subjects(certs []*x509.Certificate) (all []string) {
	for _, c := range certs {
		all = append(all, c.Subject.String())
	}
	return all
}

func put(t *testing.T, secret *corev1.Secret, ca *pki.CA) *corev1.Secret {
	t.Helper()
	keyPEM, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	secret = secret.DeepCopy()
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data["tls.crt"], secret.Data["tls.key"] = ca.PEM(), keyPEM
	return secret
}

// TestSettle goes through the life of a Secret.
func TestSettle(t *testing.T) {
	t.Parallel()
	c := config(clocktesting.NewFakeClock(start))

	first, secret := settled(t, c, &corev1.Secret{}, start, nil)
	trusted(t, secret, first.ca.Certificate())
	if !first.alone || !first.since.Equal(start) {
		t.Errorf("a new CA: alone %t, since %v", first.alone, first.since)
	}

	// Two thirds of its life are over.
	later := start.Add(c.CALife/3*2 - day)
	if same, _ := settled(t, c, secret, later, first.ca.Certificate()); !same.ca.Certificate().Equal(first.ca.Certificate()) {
		t.Error("replaced too early")
	}
	later = later.Add(2 * day)
	second, secret := settled(t, c, secret, later, first.ca.Certificate())
	if second.ca.Certificate().Equal(first.ca.Certificate()) || !second.since.Equal(later) || second.alone {
		t.Errorf("an old CA: replaced by %v since %v, alone %t", second.ca.Certificate().Subject, second.since, second.alone)
	}
	trusted(t, secret, second.ca.Certificate(), first.ca.Certificate())

	// The last certificates of the first run out, but for those of a replica that was cut off.
	later = later.Add(c.overlap())
	_, late := settled(t, c, secret, later, first.ca.Certificate())
	trusted(t, late, second.ca.Certificate(), first.ca.Certificate())
	_, secret = settled(t, c, secret, later, second.ca.Certificate())
	trusted(t, secret, second.ca.Certificate())

	// Somebody puts another CA there: what is served, and what the APIServices trust, is still trusted.
	own := theirs(t, "own", 20*365*day)
	third, secret := settled(t, c, put(t, secret, own), later, second.ca.Certificate(), second.ca.Certificate(), first.ca.Certificate())
	if !third.ca.Certificate().Equal(own.Certificate()) || !third.since.Equal(later) {
		t.Errorf("put there: %v since %v", third.ca.Certificate().Subject, third.since)
	}
	// The second is in ca.crt, and the first in APIServices only.
	trusted(t, secret, own.Certificate(), second.ca.Certificate(), first.ca.Certificate())

	// It is never replaced, but what it was the successor of expires.
	later = own.Certificate().NotAfter.Add(-day)
	_, secret = settled(t, c, secret, later, own.Certificate())
	trusted(t, secret, own.Certificate())

	// The Secret is gone.
	fourth, secret := settled(t, c, &corev1.Secret{}, later, own.Certificate())
	trusted(t, secret, fourth.ca.Certificate(), own.Certificate())
	_, secret = settled(t, c, secret, later.Add(2*day), own.Certificate())
	trusted(t, secret, fourth.ca.Certificate()) // the other has expired
}

// TestSettleRoot holds that those who trust a root go on to find it beside the intermediate CA that signs.
func TestSettleRoot(t *testing.T) {
	t.Parallel()
	c := config(clocktesting.NewFakeClock(start))
	root, other := theirs(t, "root", 10*365*day), theirs(t, "other", 10*365*day)
	between := intermediate(t, root)
	secret := put(t, &corev1.Secret{Data: map[string][]byte{"ca.crt": slices.Concat(other.PEM(), root.PEM())}}, between)
	a, secret := settled(t, c, secret, start, nil)
	trusted(t, secret, between.Certificate(), other.Certificate(), root.Certificate())
	_, secret = settled(t, c, secret, start.Add(c.overlap()), nil)
	trusted(t, secret, between.Certificate(), root.Certificate())

	_, certPEM, _, err := issue(a.ca, pki.Request{Subject: pkix.Name{CommonName: "leaf"}, DNSNames: []string{"leaf"}}, start, day)
	if err != nil {
		t.Fatal(err)
	}
	for _, trust := range []*pki.CA{root, between} {
		if err := verify(certPEM, trust.PEM(), "leaf", start); err != nil {
			t.Errorf("for those who trust %s: %v", trust.Certificate().Subject, err)
		}
	}
}

// intermediate makes a CA that root vouches for.
func intermediate(t *testing.T, root *pki.CA) *pki.CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	rootKeyPEM, err := root.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	rootKey, err := keyutil.ParsePrivateKeyPEM(rootKeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		Subject: pkix.Name{CommonName: "intermediate"}, SerialNumber: big.NewInt(2),
		NotBefore: start.Add(-day), NotAfter: root.Certificate().NotAfter,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, root.Certificate(), key.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, err := cert.EncodeCertificates(certificate)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.ParseCA(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// verify is what a client does that trusts roots.
func verify(chainPEM, rootsPEM []byte, name string, at time.Time) error {
	chain, err := cert.ParseCertsPEM(chainPEM)
	if err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(rootsPEM)
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: name, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

func TestSettleRefuses(t *testing.T) {
	t.Parallel()
	c := config(clocktesting.NewFakeClock(start))
	one, other := theirs(t, "one", day), theirs(t, "other", day)
	leafPEM, leafKey, err := one.IssueServer("leaf", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	unreadable := errors.New("the APIServices cannot be read")
	tests := []struct {
		name      string
		data      map[string][]byte
		published func() ([]*x509.Certificate, error)
		want      string
	}{
		{name: "key of another", data: map[string][]byte{"tls.crt": other.PEM(), "tls.key": put(t, &corev1.Secret{}, one).Data["tls.key"]}, published: none, want: "tls.crt and tls.key"},
		{name: "no key", data: map[string][]byte{"tls.crt": one.PEM()}, published: none, want: "tls.crt and tls.key"},
		{name: "no CA", data: map[string][]byte{"tls.crt": leafPEM, "tls.key": leafKey}, published: none, want: "not that of a certificate authority"},
		{name: "unreadable bundle", data: map[string][]byte{"ca.crt": []byte("CA")}, published: none, want: "ca.crt"},
		// Not to know what is trusted would be to forget it.
		{name: "APIServices", published: func() ([]*x509.Certificate, error) { return nil, unreadable }, want: unreadable.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := c.settle(&corev1.Secret{Data: tt.data}, start, nil, tt.published)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}
