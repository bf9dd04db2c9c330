package app

import (
	"context"
	"crypto/x509"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/kubernetes"
)

// Where kube-apiserver publishes the CA of client certificates.
const (
	authenticationConfigMap = "extension-apiserver-authentication"
	clientCAKey             = "client-ca-file"
)

// clientCA follows the CA of client certificates that kube-apiserver publishes, and has it from the beginning. Without a beginning,
// as k8s.io/apiserver has it, clients with a certificate are anonymous until the first answer to a list: for as long as their
// connection lasts, if it was made before the server could name the CA whose certificates it wants to see.
type clientCA struct {
	*dynamiccertificates.ConfigMapCAController
	first dynamiccertificates.CAContentProvider
}

var (
	_ dynamiccertificates.CAContentProvider = clientCA{}
	_ dynamiccertificates.ControllerRunner  = clientCA{}
)

// publishedClientCA has the options follow the CA that kube-apiserver publishes, unless they name another one. It needs an answer of
// kube-apiserver, as that about the front proxy does, which is in the same ConfigMap.
func publishedClientCA(ctx context.Context, options *genericoptions.DelegatingAuthenticationOptions) error {
	if options.ClientCert.ClientCA != "" || options.SkipInClusterLookup {
		return nil
	}
	config, err := kubeConfig(options.RemoteKubeConfigFile)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	published, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, authenticationConfigMap, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("asking kube-apiserver by which CA to verify clients: %w", err)
	}
	if published.Data[clientCAKey] == "" {
		return nil // it knows no client certificates itself, so far
	}
	ca := clientCA{}
	if ca.first, err = dynamiccertificates.NewStaticCAContent("client-ca", []byte(published.Data[clientCAKey])); err != nil {
		return fmt.Errorf("the CA of clients in the ConfigMap %s/%s: %w", metav1.NamespaceSystem, authenticationConfigMap, err)
	}
	ca.ConfigMapCAController, err = dynamiccertificates.NewDynamicCAFromConfigMapController("client-ca", metav1.NamespaceSystem, authenticationConfigMap, clientCAKey, client)
	options.ClientCert.CAContentProvider = ca
	return err
}

// current is what is followed, once that is known.
func (c clientCA) current() dynamiccertificates.CAContentProvider {
	if len(c.ConfigMapCAController.CurrentCABundleContent()) == 0 {
		return c.first
	}
	return c.ConfigMapCAController
}

// CurrentCABundleContent returns the certificates of the CA, as PEM.
func (c clientCA) CurrentCABundleContent() []byte { return c.current().CurrentCABundleContent() }

// VerifyOptions says how to verify client certificates.
func (c clientCA) VerifyOptions() (x509.VerifyOptions, bool) { return c.current().VerifyOptions() }
