package selfsigned

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// leaf is by whom a certificate was issued, and until when it is good.
type leaf struct {
	ca                *pki.CA
	notAfter, renewAt time.Time
}

func (l *leaf) issuer() *x509.Certificate { return l.ca.Certificate() }

// issue makes a certificate, with its key. It is to be renewed before two thirds of its life are over, so that there is
// time to repair what is in the way, and not by all replicas at the same moment.
func issue(ca *pki.CA, request pki.Request, now time.Time, life time.Duration) (l *leaf, certPEM, keyPEM []byte, err error) {
	certPEM, keyPEM, err = ca.Issue(request, now, life)
	if err != nil {
		return nil, nil, nil, err
	}
	certs, err := cert.ParseCertsPEM(certPEM)
	if err != nil {
		return nil, nil, nil, err
	}
	left := certs[0].NotAfter.Sub(now)
	early := time.Duration(rand.Int64N(int64(max(1, left/10))))
	return &leaf{ca: ca, notAfter: certs[0].NotAfter, renewAt: now.Add(left/3*2 - early)}, certPEM, keyPEM, nil
}

// due says whether a certificate is to be renewed by the CA that has issued it. The last one that the CA can issue lasts
// as long as the CA.
func (l *leaf) due(now time.Time) bool {
	return !now.Before(l.renewAt) && l.notAfter.Before(l.issuer().NotAfter)
}

// trust is since when, as far as this replica has seen, all APIServices trust the CA that signs. Zero: they don't.
type trust struct{ since time.Time }

// observe takes in whether all APIServices trust the CA now, and whether they did before this replica did something
// about it. If they did when it looked for the first time, others have published the CA as soon as it was in the Secret.
func (t *trust) observe(now, before bool, inSecret, at time.Time) {
	switch {
	case !now:
		t.since = time.Time{}
	case !before:
		t.since = at
	case t.since.IsZero():
		t.since = inSecret
	}
}

// mayChange says whether this replica may serve a certificate of the CA that signs, when it has none or one of another CA.
func (c *Certificates) mayChange(now time.Time) bool {
	grace := c.config.Grace
	switch {
	case !c.trust.since.IsZero() && !now.Before(c.trust.since.Add(grace)):
		return true // and so have kube-apiservers noticed
	case c.leaf == nil && c.authority.alone:
		return true // nobody serves one of another CA
	case c.leaf == nil:
		// It can't be published. Not trusted everywhere is better than none.
		return c.trust.since.IsZero() && !now.Before(c.known.Add(grace))
	default:
		// The other can't issue any more, and not trusted everywhere is better than expired.
		return !now.Before(c.leaf.issuer().NotAfter.Add(-grace))
	}
}

// serving is what the serving certificate is for.
func serving(c Config) pki.Request {
	return pki.Request{
		Subject:  pkix.Name{CommonName: "gateway-apiserver"},
		DNSNames: c.dnsNames(),
		IPs:      c.ips(),
		Usages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// renew issues the serving certificate if it is due.
func (c *Certificates) renew(ctx context.Context, now time.Time) error {
	if c.authority == nil {
		return nil
	}
	ca := c.authority.ca
	switch {
	case c.leaf != nil && c.leaf.issuer().Equal(ca.Certificate()):
		if !c.leaf.due(now) {
			return nil
		}
	case c.mayChange(now):
	case c.leaf != nil && c.leaf.due(now):
		ca = c.leaf.ca // which stays trusted as long as it is served
	default:
		return nil
	}
	leaf, certPEM, keyPEM, err := issue(ca, serving(c.config), now, c.config.Life)
	if err != nil {
		return fmt.Errorf("issuing the serving certificate: %w", err)
	}
	klog.FromContext(ctx).Info("Issued the serving certificate", "issuer", leaf.issuer().Subject.String(), "notAfter", leaf.notAfter)
	expires.WithLabelValues("serving").Set(float64(leaf.notAfter.Unix()))
	c.leaf = leaf
	c.mu.Lock()
	c.certPEM, c.keyPEM = certPEM, keyPEM
	c.mu.Unlock()
	c.notify()
	return nil
}

// next is when there may be something to do about the certificate.
func (c *Certificates) next() time.Time {
	switch {
	case c.leaf != nil && c.leaf.issuer().Equal(c.authority.ca.Certificate()):
		return c.leaf.renewAt
	case !c.trust.since.IsZero():
		return c.trust.since.Add(c.config.Grace)
	default:
		return c.known.Add(c.config.Grace)
	}
}
