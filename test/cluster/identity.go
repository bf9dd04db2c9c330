package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// masters is the group that RBAC allows everything.
const masters = "system:masters"

// loopbackNames and loopbackIPs are what the certificates of servers are for.
var (
	loopbackNames = []string{"localhost"}
	loopbackIPs   = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
)

func (c *Cluster) makeAuthorities() (err error) {
	for _, authority := range []struct {
		name string
		ca   **pki.CA
	}{
		{"kubernetes-ca", &c.clusterCA},
		{"front-proxy-ca", &c.frontProxyCA},
		{"etcd-ca", &c.etcdCA},
	} {
		if *authority.ca, err = pki.LoadOrMake(filepath.Join(c.Dir, authority.name), authority.name); err != nil {
			return err
		}
	}
	return nil
}

// keyPair are the files of a certificate and its key.
type keyPair struct{ cert, key string }

// write puts a certificate and its key, as pki returns them, into files.
func (c *Cluster) write(name string, certPEM, keyPEM []byte, err error) (keyPair, error) {
	if err != nil {
		return keyPair{}, err
	}
	pair := keyPair{cert: filepath.Join(c.Dir, name+".crt"), key: filepath.Join(c.Dir, name+".key")}
	if err := os.WriteFile(pair.cert, certPEM, 0o600); err != nil {
		return keyPair{}, err
	}
	return pair, os.WriteFile(pair.key, keyPEM, 0o600)
}

// caFile is where makeAuthorities has put the certificate of a CA.
func (c *Cluster) caFile(name string) string { return filepath.Join(c.Dir, name, "ca.crt") }

// User returns a client of kube-apiserver with a client certificate.
func (c *Cluster) User(name string, groups ...string) (*rest.Config, error) {
	certPEM, keyPEM, err := c.clusterCA.IssueClient(name, groups...)
	return &rest.Config{
		Host: c.url,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   c.clusterCA.PEM(),
			CertData: certPEM,
			KeyData:  keyPEM,
		},
		QPS: -1, // no limit on the client's side
	}, err
}

// KubeletTLS is how a kubelet that has an IP address serves, so that kube-apiserver trusts it, and nobody else gets in.
func (c *Cluster) KubeletTLS(ip net.IP) (*tls.Config, error) {
	certPEM, keyPEM, err := c.clusterCA.IssueServer("kubelet", nil, []net.IP{ip})
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	clients.AddCert(c.clusterCA.Certificate())
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
		VerifyConnection: func(state tls.ConnectionState) error {
			if name := state.PeerCertificates[0].Subject.CommonName; name != kubeletClientName {
				return fmt.Errorf("%s is not kube-apiserver", name)
			}
			return nil
		},
		MinVersion: tls.VersionTLS12,
	}, nil
}

// FrontProxy returns a client certificate of the CA whose certificates may pass users on; kube-apiserver's is for the name
// FrontProxyName, and only that is trusted.
func (c *Cluster) FrontProxy(name string) (*rest.Config, error) {
	certPEM, keyPEM, err := c.frontProxyCA.IssueClient(name)
	return &rest.Config{TLSClientConfig: rest.TLSClientConfig{CertData: certPEM, KeyData: keyPEM}, QPS: -1}, err
}

// ServiceAccount returns a client of kube-apiserver with a token of a ServiceAccount.
func (c *Cluster) ServiceAccount(ctx context.Context, namespace, name string) (*rest.Config, error) {
	expiration := int64(24 * time.Hour / time.Second)
	token, err := c.Clientset().CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &expiration},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("token for ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return &rest.Config{
		Host:            c.url,
		BearerToken:     token.Status.Token,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.clusterCA.PEM()},
		QPS:             -1,
	}, nil
}

// WriteKubeconfig writes a kubeconfig for a client into the cluster's folder, and returns its path.
func (c *Cluster) WriteKubeconfig(name string, config *rest.Config) (string, error) {
	const only = "cluster"
	path := filepath.Join(c.Dir, name+".kubeconfig")
	return path, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			only: {Server: config.Host, CertificateAuthorityData: config.CAData},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			only: {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken},
		},
		Contexts:       map[string]*clientcmdapi.Context{only: {Cluster: only, AuthInfo: only}},
		CurrentContext: only,
	}, path)
}
