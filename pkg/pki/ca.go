package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	caCertFile = "ca.crt"
	caKeyFile  = "ca.key"
	// certificateLife is how long issued certificates are valid. They are issued anew at every start.
	certificateLife = 365 * 24 * time.Hour
	// clockSkew is how far the clocks of clients may be behind.
	clockSkew = 5 * time.Minute
)

// CA signs certificates.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// LoadOrMake reads the CA that is kept in dir, or makes one and keeps it there.
func LoadOrMake(dir, name string) (*CA, error) {
	certPath, keyPath := filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile)
	_, err := os.Stat(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeCA(certPath, keyPath, name); err != nil {
			return nil, fmt.Errorf("making a certificate authority in %s: %w", dir, err)
		}
	}
	certs, err := cert.CertsFromFile(certPath)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	key, err := keyutil.PrivateKeyFromFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("reading the key of the certificate authority: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a key of type %T cannot sign", keyPath, key)
	}
	pem, err := cert.EncodeCertificates(certs[0])
	if err != nil {
		return nil, err
	}
	return &CA{cert: certs[0], key: signer, pem: pem}, nil
}

// makeCA writes the key last: a CA without a key, left by a process that died here, is made again.
func makeCA(certPath, keyPath, name string) error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	ca, err := cert.NewSelfSignedCACert(cert.Config{CommonName: name}, key)
	if err != nil {
		return err
	}
	certPEM, err := cert.EncodeCertificates(ca)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(certPath), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(certPath, certPEM, 0o644); err != nil {
		return err
	}
	part := keyPath + ".part"
	if err := os.WriteFile(part, keyPEM, 0o600); err != nil {
		return err
	}
	return os.Rename(part, keyPath)
}

// PEM is the CA's certificate, for those who are to trust it.
func (c *CA) PEM() []byte { return c.pem }

// IssueServer makes a certificate, with its key, for a server that is reached at the given names and addresses.
func (c *CA) IssueServer(name string, dnsNames []string, ips []net.IP) (certPEM, keyPEM []byte, err error) {
	return c.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    dnsNames,
		IPAddresses: ips,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// IssueClient makes a certificate, with its key, for a client: Kubernetes takes the common name for the user and the
// organizations for the groups.
func (c *CA) IssueClient(user string, groups ...string) (certPEM, keyPEM []byte, err error) {
	return c.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (c *CA) issue(template *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	// OpenSSL takes a certificate with the same subject and issuer for one that has signed itself, and refuses it.
	if template.Subject.String() == c.cert.Subject.String() {
		return nil, nil, fmt.Errorf("%s is the name of the certificate authority: its certificates need others", template.Subject)
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template.NotBefore, template.NotAfter = now.Add(-clockSkew), now.Add(certificateLife)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a certificate: %w", err)
	}
	issued, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	certPEM, err = cert.EncodeCertificates(issued)
	return certPEM, keyPEM, err
}

func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	return key, pem, err
}
