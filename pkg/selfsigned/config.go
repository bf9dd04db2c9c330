package selfsigned

import (
	"net"
	"os"
	"slices"
	"time"

	"k8s.io/client-go/kubernetes"
	apiregistrationclient "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"
	"k8s.io/utils/clock"
)

// Names of the Secrets, in the namespace of the server.
const (
	DefaultSecret      = "gateway-apiserver-ca"
	DefaultPeersSecret = "gateway-apiserver-etcd-peers"
)

// Defaults of a Config.
const (
	DefaultLife     = 90 * 24 * time.Hour
	DefaultInterval = 30 * time.Second
	// DefaultGrace is far more than the watch of a kube-apiserver that is in order takes.
	DefaultGrace = 30 * time.Second

	defaultCALife = 10 * 365 * 24 * time.Hour
)

// Config says what the serving certificate is for. What has a default may be left out.
type Config struct {
	Client      kubernetes.Interface
	APIServices apiregistrationclient.APIServiceInterface
	// APIServiceNames are the APIServices whose caBundle is looked after, such as v1.gateway.networking.k8s.io. Those
	// that don't exist or that name another Service are left alone.
	APIServiceNames []string
	// Namespace and Service are where the APIServices send requests.
	Namespace, Service string
	// Secret is the name of the CA's Secret in that namespace, by default DefaultSecret.
	Secret string
	// DNSNames and IPs are where else the server is reached, besides its Service, its hostname and loopback addresses.
	// 0.0.0.0 and :: stand for all addresses of this machine.
	DNSNames []string
	IPs      []net.IP

	// CALife is how long a CA that is made here is valid, by default 10 years. It is replaced after two thirds of that.
	CALife time.Duration
	// Life is how long a serving certificate is valid, by default 90 days. It is renewed before two thirds of that are
	// over. A CA that was replaced is trusted as long, as that is how long its last certificates are valid.
	Life time.Duration
	// Interval is how often the Secret and the APIServices are looked at, by default 30 seconds.
	Interval time.Duration
	// Grace is how long the APIServices must trust a CA before certificates of it are served: the time that
	// kube-apiservers have to notice. By default 30 seconds.
	Grace time.Duration
	Clock clock.Clock
}

func (c *Config) complete() {
	setDefault(&c.Secret, DefaultSecret)
	setDefault(&c.CALife, defaultCALife)
	setDefault(&c.Life, DefaultLife)
	setDefault(&c.Interval, DefaultInterval)
	setDefault(&c.Grace, DefaultGrace)
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// dnsNames are the names by which the server is reached. kube-apiserver uses the first.
func (c *Config) dnsNames() []string {
	names := []string{c.Service + "." + c.Namespace + ".svc", c.Service + "." + c.Namespace, "localhost"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	return append(names, c.DNSNames...)
}

func (c *Config) ips() []net.IP {
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	add := func(ip net.IP) {
		if !slices.ContainsFunc(ips, ip.Equal) {
			ips = append(ips, ip)
		}
	}
	for _, ip := range c.IPs {
		if !ip.IsUnspecified() {
			add(ip)
			continue
		}
		all, err := net.InterfaceAddrs()
		if err != nil {
			continue // then it is reached by its names
		}
		for _, address := range all {
			if network, ok := address.(*net.IPNet); ok {
				add(network.IP)
			}
		}
	}
	return ips
}
