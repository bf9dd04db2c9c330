package pki

import (
	"crypto"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	// certificateLife is how long certificates of IssueServer and IssueClient are valid. They are issued anew at every start.
	certificateLife = 365 * 24 * time.Hour
	// clockSkew is how far the clocks of clients may be behind: what client-go allows for its own certificates, too.
	clockSkew = time.Hour
)

// CA signs certificates.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
	// chain is what those who trust only another CA, further up, need besides what it signs. It is empty for a CA that
	// has signed itself.
	chain []byte
}

// NewCA makes a CA that is valid from now on for a life. Give each its own subject.
func NewCA(subject pkix.Name, now time.Time, life time.Duration) (*CA, error) {
	key, _, err := newKey()
	if err != nil {
		return nil, err
	}
	ca := &CA{key: key, cert: &x509.Certificate{
		Subject:   subject,
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:     true,
	}}
	ca.cert, err = ca.sign(ca.cert, key.Public())
	if err != nil {
		return nil, err
	}
	ca.pem, err = cert.EncodeCertificates(ca.cert)
	return ca, err
}

// ParseCA reads a CA from PEM: its certificate, followed by those up to the root if it is not one itself, and its key.
func ParseCA(certPEM, keyPEM []byte) (*CA, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	if !pair.Leaf.IsCA || pair.Leaf.KeyUsage != 0 && pair.Leaf.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("the certificate of %s is not that of a certificate authority", pair.Leaf.Subject)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", pair.PrivateKey)
	}
	ca := &CA{cert: pair.Leaf, key: signer}
	if ca.pem, err = cert.EncodeCertificates(ca.cert); err != nil {
		return nil, err
	}
	for _, der := range pair.Certificate {
		parent, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		if string(parent.RawSubject) != string(parent.RawIssuer) {
			ca.chain = append(ca.chain, pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der})...)
		}
	}
	return ca, nil
}

// PEM is the CA's certificate, for those who are to trust it.
func (c *CA) PEM() []byte { return c.pem }

// Certificate is the same, parsed. It must not be changed.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// KeyPEM is the CA's private key.
func (c *CA) KeyPEM() ([]byte, error) { return keyutil.MarshalPrivateKeyToPEM(c.key) }

// Derive returns 32 bytes that only who has the CA's private key can know (HKDF with SHA-256, RFC 5869): a secret that all who share
// the CA share too, another one for each purpose.
func (c *CA) Derive(purpose string) ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, key, nil, purpose, sha256.Size)
}

// IssueServer makes a certificate, with its key, for a server that is reached at the given names and addresses.
func (c *CA) IssueServer(name string, dnsNames []string, ips []net.IP) (certPEM, keyPEM []byte, err error) {
	return c.Issue(Request{
		Subject: pkix.Name{CommonName: name}, DNSNames: dnsNames, IPs: ips,
		Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, time.Now(), certificateLife)
}

// IssueClient makes a certificate, with its key, for a client: Kubernetes takes the common name for the user and the
// organizations for the groups.
func (c *CA) IssueClient(user string, groups ...string) (certPEM, keyPEM []byte, err error) {
	return c.Issue(Request{
		Subject: pkix.Name{CommonName: user, Organization: groups},
		Usages:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, time.Now(), certificateLife)
}

// A Request says whom a certificate is for.
type Request struct {
	Subject  pkix.Name
	DNSNames []string
	IPs      []net.IP
	URIs     []*url.URL
	Usages   []x509.ExtKeyUsage
	// KeyPEM is the private key, if there is one already.
	KeyPEM []byte
}

// Issue makes a certificate, with its key, that is valid from now on for a life, but not longer than the CA.
func (c *CA) Issue(r Request, now time.Time, life time.Duration) (certPEM, keyPEM []byte, err error) {
	// OpenSSL takes a certificate with the same subject and issuer for one that has signed itself, and refuses it.
	if r.Subject.String() == c.cert.Subject.String() {
		return nil, nil, fmt.Errorf("%s is the name of the certificate authority: its certificates need others", r.Subject)
	}
	key, keyPEM, err := r.key()
	if err != nil {
		return nil, nil, err
	}
	notAfter := now.Add(life)
	if c.cert.NotAfter.Before(notAfter) {
		notAfter = c.cert.NotAfter
	}
	issued, err := c.sign(&x509.Certificate{
		Subject: r.Subject, DNSNames: r.DNSNames, IPAddresses: r.IPs, URIs: r.URIs,
		NotBefore: now.Add(-clockSkew), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: r.Usages,
	}, key.Public())
	if err != nil {
		return nil, nil, err
	}
	certPEM, err = cert.EncodeCertificates(issued)
	return append(certPEM, c.chain...), keyPEM, err
}

func (r *Request) key() (crypto.Signer, []byte, error) {
	if r.KeyPEM == nil {
		return newKey()
	}
	key, err := keyutil.ParsePrivateKeyPEM(r.KeyPEM)
	if err != nil {
		return nil, nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, errors.New("the private key cannot sign")
	}
	return signer, r.KeyPEM, nil
}

// sign makes a certificate for a public key.
func (c *CA) sign(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, maxSerial)
	if err != nil {
		return nil, err
	}
	template.SerialNumber, template.BasicConstraintsValid = serial, true
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, public, c.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
