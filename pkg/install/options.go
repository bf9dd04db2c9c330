package install

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/selfsigned"
)

// Name is the name of all objects that need only one, and of the GatewayClass.
const Name = "gateway-apiserver"

// The names of the others.
const (
	// CASecret is the Secret in which the replicas share the CA of their serving certificates, and peersSecret that of the
	// members of an embedded etcd cluster. The replicas make them.
	CASecret    = selfsigned.DefaultSecret
	peersSecret = selfsigned.DefaultPeersSecret
	// peersService names the members of an embedded etcd cluster.
	peersService = Name + "-peers"
	// referencesRole is for reading the Secrets and ConfigMaps that Gateways and policies refer to.
	referencesRole = Name + "-references"
	// provisioningRole is for running Envoys for Gateways.
	provisioningRole = Name + "-provisioning"
)

// DefaultImage is the repository of the image.
const DefaultImage = "ghcr.io/gateway-apiserver/gateway-apiserver"

// Options say what to install. The zero value is not valid, [Defaults] are.
type Options struct {
	Namespace string
	Image     string
	// Etcd is where objects are stored.
	Etcd Etcd
	// Replicas are how many servers there are with an external etcd. With an embedded one, each member is a server.
	Replicas int32
	// ServicePort is the port of the Service and of the APIServices, SecurePort that of the pods.
	ServicePort, SecurePort int32
	// HostNetwork puts the pods on the network of their nodes, for control planes that reach nodes but not pods.
	HostNetwork bool
	Channel     crd.Channel
	// SecretNamespaces, if there are any, are the only namespaces whose Secrets and ConfigMaps the server may read.
	SecretNamespaces []string
	// Provisioning has the server run Envoys for the Gateways whose EnvoyFleet says so. For that it may write Deployments and
	// what belongs to them in all namespaces.
	Provisioning bool
	// Register says that the APIServices and the GatewayClass, which is served by them, are installed too.
	Register bool
}

// Etcd is either a StatefulSet of ours, or a cluster that is there already.
type Etcd struct {
	Embedded bool

	// Members of the embedded cluster: 1 or 3. Each has a volume of StorageSize of the class StorageClass, which is the
	// default one of the cluster if it is empty.
	Members      int32
	StorageSize  resource.Quantity
	StorageClass string

	// Endpoints are the URLs of an external cluster, and Secret is the Secret with ca.crt, tls.crt and tls.key for it.
	Endpoints []string
	Secret    string
}

// Defaults are what is installed if nothing else is asked for, but for Etcd: there is no good default for where
// people's objects are kept.
func Defaults() Options {
	return Options{
		Namespace:   Name,
		Image:       DefaultImage + ":latest",
		Replicas:    2,
		ServicePort: 443,
		SecurePort:  6443,
		Channel:     crd.ExperimentalChannel,
		Etcd:        Etcd{Members: 1, StorageSize: resource.MustParse("8Gi")},
		Register:    true,
	}
}

// Validate returns what is wrong with options, by the names of the flags.
func (o Options) Validate() error {
	if wrong := validation.IsDNS1123Label(o.Namespace); len(wrong) > 0 {
		return fmt.Errorf("--namespace=%q is no name of a namespace: %s", o.Namespace, strings.Join(wrong, ", "))
	}
	for _, n := range o.SecretNamespaces {
		if wrong := validation.IsDNS1123Label(n); len(wrong) > 0 {
			return fmt.Errorf("--secret-namespaces: %q is no name of a namespace: %s", n, strings.Join(wrong, ", "))
		}
	}
	for _, p := range []struct {
		flag string
		port int32
	}{{"--service-port", o.ServicePort}, {"--secure-port", o.SecurePort}} {
		if p.port < 1 || p.port > 65535 {
			return fmt.Errorf("%s=%d: want a port from 1 to 65535", p.flag, p.port)
		}
	}
	switch {
	case o.SecurePort < 1024:
		return fmt.Errorf("--secure-port=%d: the server doesn't run as root, so want a port from 1024", o.SecurePort)
	case o.SecurePort == peerPort && o.Etcd.Embedded && o.Etcd.Members > 1:
		return fmt.Errorf("--secure-port=%d: the members of an embedded etcd reach each other at this port, so want another one", o.SecurePort)
	case o.SecurePort == XDSPort:
		return fmt.Errorf("--secure-port=%d: Envoys reach the server at this port, so want another one", o.SecurePort)
	case o.Image == "" || strings.ContainsAny(o.Image, " \t\n"):
		return fmt.Errorf("--image=%q: want an image, for example %s:v0.1.0", o.Image, DefaultImage)
	case o.Replicas < 1 || o.Replicas > maxReplicas:
		return fmt.Errorf("--replicas=%d: want 1 to %d", o.Replicas, maxReplicas)
	}
	return o.Etcd.validate()
}

func (e Etcd) validate() error {
	if e.Embedded {
		switch {
		case e.Members != 1 && e.Members != 3:
			return fmt.Errorf("--etcd-replicas=%d: want 1 or 3", e.Members)
		case e.StorageSize.Sign() <= 0:
			return fmt.Errorf("--storage-size=%s: want more than nothing, for example 8Gi", e.StorageSize.String())
		case e.Secret != "":
			return fmt.Errorf("--etcd-secret is for an external etcd: leave it out with --etcd=embedded")
		}
		return nil
	}
	if len(e.Endpoints) == 0 {
		return fmt.Errorf("--etcd is required: \"embedded\", or the URLs of an etcd cluster, for example https://etcd-0.example.com:2379,https://etcd-1.example.com:2379")
	}
	var secure bool
	for _, endpoint := range e.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) || strings.ContainsAny(endpoint, ",$ ") {
			return fmt.Errorf("--etcd: %q is neither \"embedded\" nor a URL such as https://etcd-0.example.com:2379", endpoint)
		}
		secure = secure || u.Scheme == "https"
	}
	if e.Secret != "" && !secure {
		return fmt.Errorf("--etcd-secret has the certificates for TLS, but no URL in --etcd begins with https://")
	}
	if wrong := validation.IsDNS1123Subdomain(e.Secret); e.Secret != "" && len(wrong) > 0 {
		return fmt.Errorf("--etcd-secret=%q is no name of a Secret: %s", e.Secret, strings.Join(wrong, ", "))
	}
	return nil
}
