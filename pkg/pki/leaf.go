package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/durable"
)

// Names of the files of a certificate in a directory: those of a Secret of the type kubernetes.io/tls.
const (
	CertFile = "tls.crt"
	KeyFile  = "tls.key"
	CAFile   = caCertFile
)

// ErrOther is that a directory has the certificate of somebody else.
var ErrOther = errors.New("is that of somebody else")

// Keep issues a certificate into a directory, with its key and the certificate of the CA, and returns it. A key that is there is
// never replaced: it gets a new certificate if its last one has the same names in it, and ErrOther is returned if not. The new
// certificate takes the place of the old one in one step, and matches the key before and after it, so that whoever watches the
// directory for moves can read both at any time.
func (c *CA) Keep(dir string, r Request, now time.Time, life time.Duration) (issued *x509.Certificate, err error) {
	certPath, keyPath := filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile)
	r.KeyPEM, err = os.ReadFile(keyPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.KeyPEM = nil
	case err != nil:
		return nil, err
	default:
		if err := belongs(certPath, r); err != nil {
			return nil, err
		}
	}
	fresh := r.KeyPEM == nil
	certPEM, keyPEM, err := c.Issue(r, now, life)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The key is the last of what is new: without one, all is made again.
	if err := durable.WriteFile(filepath.Join(dir, CAFile), c.PEM()); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(certPath, certPEM); err != nil {
		return nil, err
	}
	if fresh {
		err = durable.WriteFile(keyPath, keyPEM)
	}
	return pair.Leaf, err
}

// belongs returns nil if the certificate in a file has the names of a request.
func belongs(path string, r Request) error {
	pair, err := tls.LoadX509KeyPair(path, filepath.Join(filepath.Dir(path), KeyFile))
	if err != nil {
		return fmt.Errorf("a key is there, and whose it is can't be said: %w", err)
	}
	var is, wanted []string
	for _, u := range pair.Leaf.URIs {
		is = append(is, u.String())
	}
	for _, u := range r.URIs {
		wanted = append(wanted, u.String())
	}
	if pair.Leaf.Subject.String() != r.Subject.String() || !slices.Equal(is, wanted) {
		return fmt.Errorf("%s %w: %q", path, ErrOther, is)
	}
	return nil
}
