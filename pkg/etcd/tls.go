package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.etcd.io/etcd/client/pkg/v3/transport"
)

// PeerTLS names the files (PEM) with which a member proves to its peers who it is, and with which it checks them.
type PeerTLS struct {
	// CertFile is a certificate for servers and for clients, whose names include the host of this member's URL.
	CertFile string
	KeyFile  string
	// TrustedCAFile is who issues the certificates of peers.
	TrustedCAFile string
}

// peerTLS is mutual TLS between members at hosts. A certificate of the CA isn't enough, as it may issue others too: its
// names must include a member's host.
type peerTLS struct {
	PeerTLS
	hosts []string
}

// config reads the files, and is for one handshake, on either side.
func (t peerTLS) config() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate for peers: %w", err)
	}
	pem, err := os.ReadFile(t.TrustedCAFile)
	if err != nil {
		return nil, fmt.Errorf("trusted CA of peers: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("trusted CA of peers: %s has no certificate in it", t.TrustedCAFile)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{certificate},
		RootCAs:                pool,
		ClientCAs:              pool,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		VerifyConnection:       t.verify,
		SessionTicketsDisabled: true, // each connection is checked against the CA of its time
	}, nil
}

func (t peerTLS) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the peer shows no certificate")
	}
	leaf := s.PeerCertificates[0]
	if !slices.ContainsFunc(t.hosts, func(host string) bool { return leaf.VerifyHostname(host) == nil }) {
		return fmt.Errorf("the certificate of %s is for no member's host", leaf.Subject)
	}
	return nil
}

// server is for a listener.
func (t peerTLS) server() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.config() },
	}
}

// info is for etcd's own connections to peers. It reads the certificate for each, and the CA once.
func (t peerTLS) info() transport.TLSInfo {
	return transport.TLSInfo{
		CertFile: t.CertFile, KeyFile: t.KeyFile, TrustedCAFile: t.TrustedCAFile,
		ClientCertAuth: true, AllowedHostnames: t.hosts, MinVersion: tls.VersionTLS13,
	}
}
