package selfsigned

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/retry"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// fieldManager is who writes, in the managedFields of what is written.
const fieldManager = "gateway-apiserver"

// reconcile brings a Secret to what decide makes of it, and makes it if it is missing. decide gets an empty Secret then, and
// returns what it was given if that is right; it is asked again when another replica has been quicker.
func reconcile(ctx context.Context, client corev1client.SecretInterface, name string, decide func(*corev1.Secret) (*corev1.Secret, error)) error {
	again := func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
	}
	return retry.OnError(retry.DefaultBackoff, again, func() error {
		secret, err := client.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			secret = &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/name": "gateway-apiserver"}},
				Type:       corev1.SecretTypeTLS,
			}
		} else if err != nil {
			return err
		}
		next, err := decide(secret)
		switch {
		case err != nil || apiequality.Semantic.DeepEqual(secret, next):
			return err
		case next.ResourceVersion == "":
			_, err = client.Create(ctx, next, metav1.CreateOptions{FieldManager: fieldManager})
		default:
			_, err = client.Update(ctx, next, metav1.UpdateOptions{FieldManager: fieldManager})
		}
		return err
	})
}

// signingCA returns the CA in a Secret, or nil if there is none.
func signingCA(secret *corev1.Secret) (*pki.CA, error) {
	certPEM, keyPEM := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if len(certPEM) == 0 && len(keyPEM) == 0 {
		return nil, nil
	}
	ca, err := pki.ParseCA(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w: put a certificate authority there, or delete the Secret to have one made",
			corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	return ca, nil
}

// trustedCAs returns the CAs in a Secret that are to be trusted.
func trustedCAs(secret *corev1.Secret) ([]*x509.Certificate, error) {
	bundle := secret.Data[corev1.ServiceAccountRootCAKey]
	if len(bytes.TrimSpace(bundle)) == 0 {
		return nil, nil
	}
	certs, err := cert.ParseCertsPEM(bundle)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: put the certificates there that are to be trusted, or remove it to have it made",
			corev1.ServiceAccountRootCAKey, err)
	}
	return certs, nil
}

// withCA returns a Secret with a CA that signs and the CAs that are to be trusted.
func withCA(secret *corev1.Secret, ca *pki.CA, trusted []*x509.Certificate) (*corev1.Secret, error) {
	secret = secret.DeepCopy()
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	// What somebody has put there may be written in another way, or may have the certificates up to a root besides.
	if current, err := signingCA(secret); err != nil || current == nil || !current.Certificate().Equal(ca.Certificate()) {
		keyPEM, err := ca.KeyPEM()
		if err != nil {
			return nil, err
		}
		secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey] = ca.PEM(), keyPEM
	}
	bundle, err := cert.EncodeCertificates(trusted...)
	secret.Data[corev1.ServiceAccountRootCAKey] = bundle
	return secret, err
}

// union returns certificates without repetitions, in the order of their first occurrence.
func union(all ...[]*x509.Certificate) []*x509.Certificate {
	var union []*x509.Certificate
	for _, c := range slices.Concat(all...) {
		if !slices.ContainsFunc(union, c.Equal) {
			union = append(union, c)
		}
	}
	return union
}
