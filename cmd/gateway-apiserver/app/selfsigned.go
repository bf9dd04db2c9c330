package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/selfsigned"
)

// podNamespaceFile says which namespace a Pod is in.
const podNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// selfSignedOptions say whether the server makes its own certificates, and for which Service.
type selfSignedOptions struct {
	enabled            bool
	namespace, service string
	dnsNames           []string
	life               time.Duration
	interval, grace    time.Duration
}

func newSelfSignedOptions() *selfSignedOptions {
	return &selfSignedOptions{service: install.Name, life: selfsigned.DefaultLife, interval: selfsigned.DefaultInterval, grace: selfsigned.DefaultGrace}
}

func (o *selfSignedOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.enabled, "self-signed", false, "make the serving certificate, with a CA that all replicas share in a Secret, and keep the caBundle of the APIServices right")
	flags.StringVar(&o.namespace, "namespace", "", "namespace of the server's Service and Secrets; by default that of the Pod that this runs in")
	flags.StringVar(&o.service, "service", o.service, "Service that the APIServices name")
	flags.StringSliceVar(&o.dnsNames, "self-signed-dns-names", nil, "further names by which clients reach the server directly")
	flags.DurationVar(&o.life, "self-signed-life", o.life, "how long a certificate made with --self-signed is valid; it is renewed before two thirds of that are over")
	flags.DurationVar(&o.interval, "self-signed-interval", o.interval, "how often the CA's Secret and the APIServices are looked at")
	flags.DurationVar(&o.grace, "self-signed-grace", o.grace, "how long the APIServices must trust a new CA before certificates of it are served")
}

// complete finds out the namespace, and checks the flags.
func (o *selfSignedOptions) complete() []error {
	if !o.enabled {
		return nil
	}
	var errs []error
	if o.namespace == "" {
		namespace, err := os.ReadFile(podNamespaceFile)
		if err != nil {
			errs = append(errs, errors.New("--self-signed outside of a Pod needs --namespace: that of the server's Service"))
		}
		o.namespace = strings.TrimSpace(string(namespace))
	}
	for flag, value := range map[string]time.Duration{
		"--self-signed-life": o.life, "--self-signed-interval": o.interval, "--self-signed-grace": o.grace,
	} {
		if value <= 0 {
			errs = append(errs, fmt.Errorf("%s %s: want more than nothing, for example 1m", flag, value))
		}
	}
	return errs
}

// serving makes the serving certificate, which is for a Service of xDS, too.
func (o *selfSignedOptions) serving(ctx context.Context, config *rest.Config, bind net.IP, xdsService string) (*selfsigned.Certificates, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	services, err := aggregator.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	c := selfsigned.Config{
		Client: client, APIServices: services.ApiregistrationV1().APIServices(),
		Namespace: o.namespace, Service: o.service, IPs: []net.IP{bind},
		DNSNames: append([]string{xdsService + "." + o.namespace + ".svc", xdsService + "." + o.namespace}, o.dnsNames...),
		Life:     o.life, Interval: o.interval, Grace: o.grace,
	}
	for _, gv := range install.GroupVersions() {
		c.APIServiceNames = append(c.APIServiceNames, install.APIServiceName(gv))
	}
	return selfsigned.New(ctx, c)
}

// peer makes the certificate by which the other members of an embedded etcd cluster know the one at host, in files beside
// the data in dir, and keeps it valid until ctx ends.
func (o *selfSignedOptions) peer(ctx context.Context, config *rest.Config, dir, host string) (etcd.PeerTLS, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return etcd.PeerTLS{}, err
	}
	c := selfsigned.PeerConfig{Client: client, Namespace: o.namespace, Dir: filepath.Join(dir, "pki"), Life: o.life, Interval: o.interval}
	if ip := net.ParseIP(host); ip != nil {
		c.IPs = []net.IP{ip}
	} else {
		c.DNSNames = []string{host}
	}
	peer, err := selfsigned.NewPeer(ctx, c)
	if err != nil {
		return etcd.PeerTLS{}, err
	}
	go peer.Run(ctx)
	return etcd.PeerTLS{
		CertFile:      filepath.Join(c.Dir, selfsigned.PeerCertificateFile),
		KeyFile:       filepath.Join(c.Dir, selfsigned.PeerKeyFile),
		TrustedCAFile: filepath.Join(c.Dir, selfsigned.PeerTrustFile),
	}, nil
}
