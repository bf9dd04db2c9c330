package selfsigned

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/durable"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// Files that a peer is given: what it trusts, its certificate, and its private key.
const (
	PeerTrustFile       = "ca.crt"
	PeerCertificateFile = "tls.crt"
	PeerKeyFile         = "tls.key"
)

// peerCALife is longer than any cluster's. A running etcd keeps to the CAs that it has read at its start, so that CA
// can't be replaced under it.
const peerCALife = 100 * 365 * 24 * time.Hour

// PeerConfig says which member of an etcd cluster a certificate is for. What has a default may be left out.
type PeerConfig struct {
	Client    kubernetes.Interface
	Namespace string
	// Secret is the name of the CA's Secret in that namespace, by default DefaultPeersSecret. Nothing else is issued by
	// that CA.
	Secret string
	// Dir is the directory for the files. It is made if it is missing.
	Dir string
	// DNSNames and IPs are where other members reach this one.
	DNSNames []string
	IPs      []net.IP

	// Life is how long a certificate is valid, by default 90 days.
	Life time.Duration
	// Interval is how often the Secret is looked at, by default 30 seconds.
	Interval time.Duration
	Clock    clock.Clock
}

// Peer is the certificate of a member of an etcd cluster, in files that are kept valid.
//
// The CA that signs when the process starts signs for as long as it runs, whatever becomes of the Secret. To replace it,
// add the new CA to ca.crt of the Secret, restart the members one by one, put it into tls.crt and tls.key, restart them
// again, and remove the old one from ca.crt.
type Peer struct {
	config PeerConfig
	ca     *pki.CA
	leaf   *leaf
	keyPEM []byte
	bundle []byte
}

// NewPeer returns when the files are there. Until ctx ends it tries again, and logs what is in the way. Run has to follow.
func NewPeer(ctx context.Context, config PeerConfig) (*Peer, error) {
	registerMetrics()
	setDefault(&config.Secret, DefaultPeersSecret)
	setDefault(&config.Life, DefaultLife)
	setDefault(&config.Interval, DefaultInterval)
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	p := &Peer{config: config}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for the peer certificate: %w", err)
	}
	for {
		err := p.step(ctx)
		if err == nil {
			return p, nil
		}
		if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Making the peer certificate; will try again")
		}
		if !p.sleep(ctx, retryAfter) {
			return nil, fmt.Errorf("making the peer certificate: %w", err)
		}
	}
}

// Run keeps the certificate valid until ctx ends.
func (p *Peer) Run(ctx context.Context) {
	for p.sleep(ctx, p.config.Interval) {
		if err := p.step(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Looking after the peer certificate; will try again")
		}
	}
}

func (p *Peer) sleep(ctx context.Context, wait time.Duration) bool {
	timer := p.config.Clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// step does what there is to do. A certificate that is due is renewed even if the cluster cannot be reached.
func (p *Peer) step(ctx context.Context) error {
	followed := p.follow(ctx)
	if p.ca == nil {
		return followed
	}
	if err := p.renew(ctx); err != nil {
		return err
	}
	return followed
}

// follow reads the Secret. One that is gone is made again as it was, or members that start from now on would trust others
// than those that run.
func (p *Peer) follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var ca *pki.CA
	var bundle []byte
	err := reconcile(ctx, p.config.Client.CoreV1().Secrets(p.config.Namespace), p.config.Secret, func(secret *corev1.Secret) (next *corev1.Secret, err error) {
		ca, next, err = p.settle(secret, p.config.Clock.Now())
		if err == nil {
			bundle = next.Data[corev1.ServiceAccountRootCAKey]
		}
		return next, err
	})
	if err != nil {
		return fmt.Errorf("the CA in the Secret %s/%s: %w", p.config.Namespace, p.config.Secret, err)
	}
	if p.ca == nil {
		p.ca = ca
		expires.WithLabelValues("peer_ca").Set(float64(ca.Certificate().NotAfter.Unix()))
	}
	if bytes.Equal(p.bundle, bundle) {
		return nil
	}
	if err := durable.WriteFile(filepath.Join(p.config.Dir, PeerTrustFile), bundle); err != nil {
		return fmt.Errorf("writing the CAs of peers: %w", err)
	}
	p.bundle = bundle
	return nil
}

// settle decides what the Secret should be: a CA that signs, and all that are trusted, with the one of this member.
func (p *Peer) settle(secret *corev1.Secret, now time.Time) (*pki.CA, *corev1.Secret, error) {
	ca, err := signingCA(secret)
	if err != nil {
		return nil, nil, err
	}
	trusted, err := trustedCAs(secret)
	if err != nil {
		return nil, nil, err
	}
	if ca == nil && p.ca != nil {
		ca = p.ca
	}
	if ca == nil {
		subject := pkix.Name{Organization: []string{organization}, CommonName: fmt.Sprintf("gateway-apiserver-etcd-ca@%d", now.Unix())}
		if ca, err = pki.NewCA(subject, now, peerCALife); err != nil {
			return nil, nil, err
		}
	}
	trusted = append(trusted, ca.Certificate())
	if p.ca != nil {
		trusted = append(trusted, p.ca.Certificate())
	}
	next, err := withCA(secret, ca, union(trusted))
	return ca, next, err
}

// renew writes the certificate if it is due. The private key stays the same while the process runs, so that whoever reads
// both files at any time reads a pair.
func (p *Peer) renew(ctx context.Context) error {
	now := p.config.Clock.Now()
	if p.leaf != nil && !p.leaf.due(now) {
		return nil
	}
	leaf, certPEM, keyPEM, err := issue(p.ca, pki.Request{
		Subject:  pkix.Name{CommonName: "gateway-apiserver-etcd"},
		DNSNames: p.config.DNSNames,
		IPs:      p.config.IPs,
		Usages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyPEM:   p.keyPEM,
	}, now, p.config.Life)
	if err != nil {
		return fmt.Errorf("issuing the peer certificate: %w", err)
	}
	if p.keyPEM == nil {
		if err := durable.WriteFile(filepath.Join(p.config.Dir, PeerKeyFile), keyPEM); err != nil {
			return fmt.Errorf("writing the key of the peer certificate: %w", err)
		}
		p.keyPEM = keyPEM
	}
	if err := durable.WriteFile(filepath.Join(p.config.Dir, PeerCertificateFile), certPEM); err != nil {
		return fmt.Errorf("writing the peer certificate: %w", err)
	}
	klog.FromContext(ctx).Info("Issued the peer certificate", "issuer", leaf.issuer().Subject.String(), "notAfter", leaf.notAfter)
	expires.WithLabelValues("peer").Set(float64(leaf.notAfter.Unix()))
	p.leaf = leaf
	return nil
}
