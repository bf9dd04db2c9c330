package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

const expirationMetric = "gateway_apiserver_certificate_expiration_timestamp_seconds"

// peerMargin is what a certificate of an etcd member has left, at least, if it is renewed as it should.
const peerMargin = 14 * 24 * time.Hour

const (
	renewFix = logFix + " for \"certificate\"; if it comes from --tls-cert-file, renew that file"
	caFix    = "delete the Secret to have a new CA made, or put one into it; replicas change to it without a break"
)

// checkCertificates looks at what kube-apiserver verifies, and at the CA behind it.
func (d *doctor) checkCertificates(ctx context.Context) {
	now := time.Now()
	looked := 0
	for _, r := range d.replicas {
		if untrusted := new(tls.CertificateVerificationError); errors.As(r.refused, &untrusted) {
			d.find(certificatesCheck, Failed, fmt.Sprintf("have it serve a certificate for %s.%s.svc that the caBundle of the APIServices verifies; with --self-signed, see its log", install.Name, d.Namespace),
				"that of %s cannot be trusted: %v", r.name, untrusted.Err)
		}
		if r.certificate == nil {
			continue
		}
		looked++
		d.checkExpiry(certificatesCheck, "the serving certificate of "+r.name, r.certificate, now, renewFix)
		for _, s := range r.samples(expirationMetric) {
			if left := time.Unix(int64(s.value), 0).Sub(now); s.labels["certificate"] == "peer" && left < peerMargin {
				d.find(certificatesCheck, Warning, logFix+" for \"certificate\"", "the certificate for etcd's peers of %s expires in %v", r.name, left.Round(time.Minute))
			}
		}
	}
	d.checkAuthority(ctx, now)
	if looked == 0 {
		d.find(certificatesCheck, NotChecked, giveServers, "the serving certificates: no replica was reached")
	}
	d.fine(certificatesCheck, "the caBundle verifies the certificates of %s, and none of them expires soon", counted(looked))
}

// checkExpiry warns of a certificate that should have been renewed.
func (d *doctor) checkExpiry(check, what string, c *x509.Certificate, now time.Time, fix string) {
	life, left := c.NotAfter.Sub(c.NotBefore), c.NotAfter.Sub(now)
	switch {
	case left <= 0:
		d.find(check, Failed, fix, "%s has expired at %s", what, c.NotAfter.Format(time.RFC3339))
	case left < life/5:
		d.find(check, Warning, fix, "%s expires in %v, at %s", what, left.Round(time.Minute), c.NotAfter.Format(time.RFC3339))
	}
}

// checkAuthority looks at the CA of servers with --self-signed, if they have made one.
func (d *doctor) checkAuthority(ctx context.Context, now time.Time) {
	secret, err := d.client.CoreV1().Secrets(d.Namespace).Get(ctx, install.CASecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err): // certificates come from files, or the Secret is about to be made again
		return
	case err != nil:
		d.find(certificatesCheck, NotChecked, "run this as somebody who may get that Secret", "the CA: %v", err)
		return
	}
	what := fmt.Sprintf("the CA in the Secret %s/%s", d.Namespace, install.CASecret)
	parsed, err := cert.ParseCertsPEM(secret.Data[corev1.TLSCertKey])
	if err != nil {
		d.find(certificatesCheck, Failed, caFix, "%s cannot be read: %v", what, err)
		return
	}
	d.checkExpiry(certificatesCheck, what, parsed[0], now, caFix)
	if bundle := secret.Data[corev1.ServiceAccountRootCAKey]; d.caBundle != nil && !bytes.Equal(bundle, d.caBundle) {
		d.find(certificatesCheck, Warning, "wait a minute, in which the server makes them equal; then see its log", "the caBundle of the APIServices is not what %s says", what)
	}
}
