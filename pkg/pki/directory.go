package pki

import (
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/durable"
)

const (
	caCertFile = "ca.crt"
	caKeyFile  = "ca.key"
	// caLife is how long a CA in a directory is valid.
	caLife = 10 * 365 * 24 * time.Hour
)

// LoadOrMake reads the CA that is kept in dir, or makes one and keeps it there.
func LoadOrMake(dir, name string) (*CA, error) {
	certPath, keyPath := filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile)
	_, err := os.Stat(keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeCA(certPath, keyPath, name); err != nil {
			return nil, fmt.Errorf("making a certificate authority in %s: %w", dir, err)
		}
	}
	return Load(dir)
}

// Load reads the CA that is kept in dir. The error wraps fs.ErrNotExist if there is none.
func Load(dir string) (*CA, error) {
	certPath, keyPath := filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile)
	certPEM, err := os.ReadFile(certPath)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	keyPEM, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("reading the key of the certificate authority: %w", err)
	}
	ca, err := ParseCA(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority in %s: %w", dir, err)
	}
	return ca, nil
}

// makeCA writes the key last: a CA without a key, left by a process that died here, is made again.
func makeCA(certPath, keyPath, name string) error {
	ca, err := NewCA(pkix.Name{CommonName: name}, time.Now(), caLife)
	if err != nil {
		return err
	}
	keyPEM, err := ca.KeyPEM()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(certPath), 0o700); err != nil {
		return err
	}
	if err := durable.WriteFile(certPath, ca.PEM()); err != nil {
		return err
	}
	return durable.WriteFile(keyPath, keyPEM)
}
