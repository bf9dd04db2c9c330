package app

import (
	"fmt"
	"net"
	"os"

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
	ca, err := pki.LoadOrMake(s.dir.in("pki"), "gateway-apiserver")
	if err != nil {
		return err
	}
	certPEM, keyPEM, err := issueServing(ca, s.apiListen.Addr().(*net.TCPAddr))
	if err != nil {
		return err
	}
	options := genericoptions.NewSecureServingOptions().WithLoopback()
	options.Listener = s.apiListen
	if options.ServerCert.GeneratedCert, err = dynamiccertificates.NewStaticCertKeyContent("serving", certPEM, keyPEM); err != nil {
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

// issueServing makes a certificate for the addresses at which a listener can be reached.
func issueServing(ca *pki.CA, address *net.TCPAddr) (certPEM, keyPEM []byte, err error) {
	names := []string{"localhost"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if !address.IP.IsUnspecified() {
		ips = append(ips, address.IP)
	} else if all, err := net.InterfaceAddrs(); err == nil {
		for _, a := range all {
			if n, ok := a.(*net.IPNet); ok {
				ips = append(ips, n.IP)
			}
		}
	}
	return ca.IssueServer("gateway-apiserver-serving", names, ips)
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
