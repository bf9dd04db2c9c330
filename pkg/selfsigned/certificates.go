package selfsigned

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

const (
	// requestTimeout bounds how long one look at the cluster may take.
	requestTimeout = 30 * time.Second
	// retryAfter is when a look at the cluster that failed is taken again.
	retryAfter = 5 * time.Second
)

// Certificates is a serving certificate that is kept valid and trusted. It is a dynamiccertificates.CertKeyContentProvider.
type Certificates struct {
	config Config

	// These belong to New, then to Run.
	authority *authority // nil until it is known
	known     time.Time  // since when it is
	trust     trust
	leaf      *leaf // nil until it is issued

	mu              sync.Mutex
	certPEM, keyPEM []byte // of the leaf
	bundle          []byte // what is to be trusted
	ca              *pki.CA
	listeners       []dynamiccertificates.Listener
}

var _ dynamiccertificates.CertKeyContentProvider = &Certificates{}

// New returns when there is a serving certificate: when the Secret of the CA can be read, or made. Until ctx ends it
// tries again, and logs what is in the way. Run has to follow.
func New(ctx context.Context, config Config) (*Certificates, error) {
	registerMetrics()
	config.complete()
	c := &Certificates{config: config}
	for {
		wait, err := c.step(ctx)
		if c.leaf != nil {
			return c, nil
		}
		if err == nil {
			err = errors.New("waiting for the APIServices to trust the CA")
		} else if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Making the serving certificate; will try again")
		}
		if !c.sleep(ctx, wait, nil) {
			return nil, fmt.Errorf("making the serving certificate: %w", err)
		}
	}
}

// Run keeps the certificate valid, and trusted by the APIServices, until ctx ends.
func (c *Certificates) Run(ctx context.Context) {
	changed := make(chan struct{}, 1)
	go c.watch(ctx, changed)
	for {
		wait, err := c.step(ctx)
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Looking after the serving certificate; will try again")
		}
		if !c.sleep(ctx, wait, changed) {
			return
		}
	}
}

// sleep returns when there is something to do, and false when there isn't any more.
func (c *Certificates) sleep(ctx context.Context, wait time.Duration, changed <-chan struct{}) bool {
	timer := c.config.Clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done(): // the server stops
		return false
	case <-changed: // the Secret did
	case <-timer.C(): // the APIServices may have, or the certificate is due
	}
	return true
}

// watch sends to changed when the Secret changes.
func (c *Certificates) watch(ctx context.Context, changed chan<- struct{}) {
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // somebody is about to look
		}
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(c.config.Client.CoreV1().RESTClient(), "secrets", c.config.Namespace,
			fields.OneTermEqualSelector("metadata.name", c.config.Secret)),
		ObjectType: &corev1.Secret{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(any, any) { notify() },
			DeleteFunc: func(any) { notify() },
		},
	})
	informer.RunWithContext(ctx)
}

// step does what there is to do, and says when to come again. A certificate that is due is renewed even if the cluster
// cannot be reached.
func (c *Certificates) step(ctx context.Context) (time.Duration, error) {
	followed := c.follow(ctx)
	now := c.config.Clock.Now()
	renewed := c.renew(ctx, now)
	wait := c.config.Interval
	if err := errors.Join(followed, renewed); err != nil {
		return min(wait, retryAfter), err
	}
	if sooner := c.next().Sub(now); sooner > 0 {
		wait = min(wait, sooner)
	}
	return wait, nil
}

// follow reads the Secret, and brings it and the APIServices to what they should be. Each time it asks the cluster and no
// cache: with an old Secret a replica would undo what another one has published.
func (c *Certificates) follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var served *x509.Certificate
	if c.leaf != nil {
		served = c.leaf.issuer()
	}
	var a *authority
	err := reconcile(ctx, c.config.Client.CoreV1().Secrets(c.config.Namespace), c.config.Secret, func(secret *corev1.Secret) (next *corev1.Secret, err error) {
		a, next, err = c.config.settle(secret, c.config.Clock.Now(), served, func() ([]*x509.Certificate, error) { return c.config.published(ctx) })
		return next, err
	})
	if err != nil {
		return fmt.Errorf("the CA in the Secret %s/%s: %w", c.config.Namespace, c.config.Secret, err)
	}
	c.adopt(ctx, a)
	now, before, err := c.config.publish(ctx, a)
	c.trust.observe(now, before, a.since, c.config.Clock.Now())
	return err
}

// adopt takes what the Secret says for true.
func (c *Certificates) adopt(ctx context.Context, a *authority) {
	ca := a.ca.Certificate()
	if c.authority == nil {
		c.known = c.config.Clock.Now()
	}
	if c.authority == nil || !c.authority.ca.Certificate().Equal(ca) {
		c.trust = trust{}
		klog.FromContext(ctx).Info("The CA of the serving certificate", "namespace", c.config.Namespace, "secret", c.config.Secret,
			"subject", ca.Subject.String(), "notAfter", ca.NotAfter)
		expires.WithLabelValues("serving_ca").Set(float64(ca.NotAfter.Unix()))
	}
	c.authority = a
	c.mu.Lock()
	changed := !bytes.Equal(c.bundle, a.bundle)
	c.bundle, c.ca = a.bundle, a.ca
	c.mu.Unlock()
	if changed {
		c.notify()
	}
}

// notify tells the listeners.
func (c *Certificates) notify() {
	c.mu.Lock()
	listeners := slices.Clone(c.listeners)
	c.mu.Unlock()
	for _, l := range listeners {
		l.Enqueue()
	}
}

// CurrentCABundleContent returns the CAs by which clients verify the certificate, as PEM, those of certificates that other replicas
// serve included.
func (c *Certificates) CurrentCABundleContent() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bundle
}

// Name identifies the certificate in logs.
func (c *Certificates) Name() string { return "self-signed" }

// CurrentCertKeyContent returns the certificate, with those of intermediate CAs, and its private key, as PEM.
func (c *Certificates) CurrentCertKeyContent() (certPEM, keyPEM []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.certPEM, c.keyPEM
}

// Derive returns 32 bytes that only those know who share the CA that signs now, another secret for each purpose.
func (c *Certificates) Derive(purpose string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ca.Derive(purpose)
}

// AddListener adds one who is told when the certificate or the CAs change.
func (c *Certificates) AddListener(listener dynamiccertificates.Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, listener)
}
