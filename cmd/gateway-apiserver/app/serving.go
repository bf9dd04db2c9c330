package app

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// serving is a certificate of our CA for a listener, which is issued again before two thirds of its life are over. Whoever serves
// it asks for it every minute.
type serving struct {
	name     string
	ca       *pki.CA
	listener net.Listener

	mu              sync.Mutex
	certPEM, keyPEM []byte
	renewAt         time.Time
}

var _ dynamiccertificates.CertKeyContentProvider = &serving{}

func newServing(name string, ca *pki.CA, listener net.Listener) (*serving, error) {
	s := &serving{name: name, ca: ca, listener: listener}
	return s, s.renew()
}

// Name identifies the certificate in logs.
func (s *serving) Name() string { return s.name }

// AddListener is not needed: the certificate changes when it is asked for.
func (s *serving) AddListener(dynamiccertificates.Listener) {}

// CurrentCertKeyContent returns the certificate and its private key, as PEM.
func (s *serving) CurrentCertKeyContent() (certPEM, keyPEM []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().After(s.renewAt) {
		if err := s.renew(); err != nil {
			klog.Background().Error(err, "Renewing a serving certificate; will try again", "certificate", s.name)
		}
	}
	return s.certPEM, s.keyPEM
}

// renew issues the certificate for the addresses at which the listener can be reached.
func (s *serving) renew() error {
	names := []string{"localhost"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	address := s.listener.Addr().(*net.TCPAddr)
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
	certPEM, keyPEM, err := s.ca.IssueServer("gateway-apiserver-serving", names, ips)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return err
	}
	s.certPEM, s.keyPEM = certPEM, keyPEM
	s.renewAt = time.Now().Add(time.Until(pair.Leaf.NotAfter) / 3 * 2)
	return nil
}
