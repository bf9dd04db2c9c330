package secret

import (
	"errors"
	"fmt"
	"sync"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// Store has the secrets that are known, by name. It is safe for concurrent use.
type Store struct {
	mu           sync.RWMutex
	certificates map[string]*certificate
	validations  map[string]*validation
}

// NewStore returns a Store without secrets.
func NewStore() *Store {
	return &Store{certificates: map[string]*certificate{}, validations: map[string]*validation{}}
}

// Update adds a secret or replaces the one of its name, for connections that are made from now on. A secret that can't be
// used (a key that isn't the certificate's, a field that isn't executed) is an error and changes nothing.
func (s *Store) Update(secret *tlsv3.Secret) error {
	if err := errors.Join(secret.ValidateAll(), executed.Check(secret)); err != nil {
		return err
	}
	switch kind := secret.GetType().(type) {
	case *tlsv3.Secret_TlsCertificate:
		c, err := newCertificate(kind.TlsCertificate)
		if err != nil {
			return fmt.Errorf("tls_certificate.%w", err)
		}
		s.set(secret.GetName(), c, nil)
	case *tlsv3.Secret_ValidationContext:
		v, err := newValidation(kind.ValidationContext)
		if err != nil {
			return fmt.Errorf("validation_context.%w", err)
		}
		s.set(secret.GetName(), nil, v)
	default:
		return errors.New("type: neither tls_certificate nor validation_context")
	}
	return nil
}

// Remove drops a secret that nobody needs any more. It isn't for those that the server has removed: Envoy goes on with what it
// has as long as somebody needs it.
func (s *Store) Remove(name string) { s.set(name, nil, nil) }

// set makes a name stand for one of the two, or for none.
func (s *Store) set(name string, c *certificate, v *validation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.certificates, name)
	delete(s.validations, name)
	switch {
	case c != nil:
		s.certificates[name] = c
	case v != nil:
		s.validations[name] = v
	}
}

// certificate returns the certificate of a name as it is now.
func (s *Store) certificate(name string) (*certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.certificates[name]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("the certificate %s isn't there", name)
}

// validation returns the validation context of a name as it is now.
func (s *Store) validation(name string) (*validation, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v := s.validations[name]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("the validation context %s isn't there", name)
}
