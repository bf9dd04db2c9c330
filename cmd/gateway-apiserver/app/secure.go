package app

import (
	"context"
	"fmt"
	"net"

	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	authenticationunion "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	"k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// kubeconfigFile is the kubeconfig of the administrator, in the data directory.
const kubeconfigFile = "admin.kubeconfig"

// secure sets up TLS on the listener, with a certificate of our CA, and lets in those who have one for the group
// system:masters. Health can be asked by anyone.
func (s *standalone) secure(config *genericapiserver.RecommendedConfig) error {
	ca, err := pki.LoadOrMake(s.dir.in(pkiDir), "gateway-apiserver")
	if err != nil {
		return err
	}
	s.ca = ca
	options := genericoptions.NewSecureServingOptions().WithLoopback()
	options.Listener = s.apiListen
	if options.ServerCert.GeneratedCert, err = newServing("serving", ca, s.apiListen); err != nil {
		return err
	}
	if err := options.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig); err != nil {
		return err
	}
	clientCA, err := dynamiccertificates.NewStaticCAContent("client-ca", ca.PEM())
	if err != nil {
		return err
	}
	if err := config.Authentication.ApplyClientCert(clientCA, config.SecureServing); err != nil {
		return err
	}
	config.Authentication.Authenticator = authenticationunion.New(
		x509.NewDynamic(clientCA.VerifyOptions, x509.CommonNameUserConversion),
		anonymous.NewAuthenticator(nil),
	)
	health, err := path.NewAuthorizer([]string{"/healthz", "/livez", "/readyz"})
	if err != nil {
		return err
	}
	if config.Authorization.Authorizer, err = union.New(
		union.NamedAuthorizer{AuthorizerName: "AlwaysAllowPaths", Authorizer: health},
		union.NamedAuthorizer{AuthorizerName: "PrivilegedGroups", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
	); err != nil {
		return err
	}
	return s.writeKubeconfig(ca, s.apiListen.Addr().String())
}

// xdsEndpoint is where xDS is served. With TLS, it shows a certificate of our CA, and its clients show what "xds-cert" issues.
func (s *standalone) xdsEndpoint(ctx context.Context) (*xdsEndpoint, error) {
	shown, err := newServing("xds-serving", s.ca, s.xdsListen)
	if err != nil {
		return nil, err
	}
	clients, err := dynamiccertificates.NewStaticCAContent("xds-client-ca", s.ca.PEM())
	if err != nil {
		return nil, err
	}
	return s.xds.endpoint(ctx, s.xdsListen, shown, clients)
}

func (s *standalone) writeKubeconfig(ca *pki.CA, address string) error {
	certPEM, keyPEM, err := ca.IssueClient("admin", user.SystemPrivilegedGroup)
	if err != nil {
		return err
	}
	const name = "gateway-apiserver"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: "https://" + reachable(address), CertificateAuthorityData: ca.PEM()}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: certPEM, ClientKeyData: keyPEM}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: "admin"}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, s.dir.in(kubeconfigFile)); err != nil { // mode 0600
		return fmt.Errorf("writing the kubeconfig of the administrator: %w", err)
	}
	return nil
}

// reachable turns the address of a listener into one that can be dialled.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
