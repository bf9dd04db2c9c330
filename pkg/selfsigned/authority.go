package selfsigned

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// Annotations of the Secret: since when a CA signs, and which one, by the SHA-256 of its certificate. They say nothing
// about any other that somebody puts there.
const (
	fingerprintAnnotation = "gateway-apiserver.dev/ca-fingerprint"
	sinceAnnotation       = "gateway-apiserver.dev/ca-since"
)

// organization, as the subject of a CA, says that it was made here, and so may be replaced here.
const organization = "gateway-apiserver.dev"

// authority is what the Secret of the serving CA says.
type authority struct {
	ca     *pki.CA
	since  time.Time // when it became the one that signs
	bundle []byte    // what is to be trusted, PEM; the CA itself is the first
	alone  bool      // nothing else is trusted
}

// settle decides what the Secret should be at a time. Case by case, in this order:
//   - There is no CA, or one that was made here and is old: a new one signs from now on.
//   - Somebody has put another CA there: it signs from now on.
//   - A CA is trusted besides the one that signs: it stays until its last certificates have run out. One that is above
//     the CA that signs, as a root is above an intermediate, stays in any case.
//   - The issuer of what this replica serves, served, or what the APIServices trust while the CA changes, is not trusted:
//     it is, from now on.
func (c *Config) settle(secret *corev1.Secret, now time.Time, served *x509.Certificate, published func() ([]*x509.Certificate, error)) (*authority, *corev1.Secret, error) {
	ca, err := signingCA(secret)
	if err != nil {
		return nil, nil, err
	}
	trusted, err := trustedCAs(secret)
	if err != nil {
		return nil, nil, err
	}
	if ca == nil || c.replaces(ca.Certificate(), now) {
		if ca, err = c.newCA(now); err != nil {
			return nil, nil, err
		}
	}
	a := &authority{ca: ca, since: signsSince(secret, ca.Certificate())}
	if a.since.IsZero() {
		a.since = now.UTC()
		more, err := published()
		if err != nil {
			return nil, nil, err
		}
		trusted = append(trusted, more...)
	}
	bundle := []*x509.Certificate{ca.Certificate()}
	for _, t := range trusted {
		if now.Before(a.since.Add(c.overlap())) || isAbove(t, ca.Certificate(), trusted, now) {
			bundle = append(bundle, t)
		}
	}
	if served != nil {
		bundle = append(bundle, served)
	}
	bundle = slices.DeleteFunc(union(bundle), func(t *x509.Certificate) bool { return now.After(t.NotAfter) })
	next, err := withCA(secret, ca, bundle)
	if err != nil {
		return nil, nil, err
	}
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	next.Annotations[fingerprintAnnotation] = fingerprint(ca.Certificate())
	next.Annotations[sinceAnnotation] = a.since.Format(time.RFC3339Nano)
	a.bundle, a.alone = next.Data[corev1.ServiceAccountRootCAKey], len(bundle) == 1
	return a, next, nil
}

// overlap is how long a CA that doesn't sign any more is trusted: the life of the last certificate, which a replica may
// have issued while it waited for the APIServices to trust the CA that signs now.
func (c *Config) overlap() time.Duration { return c.Life + 2*c.Grace }

// replaces says whether a CA is one that was made here and has lived two thirds of its life.
func (c *Config) replaces(ca *x509.Certificate, now time.Time) bool {
	made := slices.Equal(ca.Subject.Organization, []string{organization})
	return made && now.After(ca.NotBefore.Add(ca.NotAfter.Sub(ca.NotBefore)/3*2))
}

func (c *Config) newCA(now time.Time) (*pki.CA, error) {
	return pki.NewCA(pkix.Name{Organization: []string{organization}, CommonName: fmt.Sprintf("gateway-apiserver-ca@%d", now.Unix())}, now, c.CALife)
}

// signsSince reads the annotations of a Secret. The time is zero if they speak of another CA.
func signsSince(secret *corev1.Secret, ca *x509.Certificate) time.Time {
	if secret.Annotations[fingerprintAnnotation] != fingerprint(ca) {
		return time.Time{}
	}
	since, err := time.Parse(time.RFC3339Nano, secret.Annotations[sinceAnnotation])
	if err != nil {
		return time.Time{}
	}
	return since
}

// isAbove says whether a trusted CA is ca itself or vouches for it, directly or through others.
func isAbove(t, ca *x509.Certificate, others []*x509.Certificate, now time.Time) bool {
	root, between := x509.NewCertPool(), x509.NewCertPool()
	root.AddCert(t)
	for _, c := range others {
		between.AddCert(c)
	}
	_, err := ca.Verify(x509.VerifyOptions{Roots: root, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
