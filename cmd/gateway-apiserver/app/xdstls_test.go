package app

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"net"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

// TestXDSClientCertificates holds that connections without a certificate end in the handshake if clients have nothing else to show.
func TestXDSClientCertificates(t *testing.T) {
	t.Parallel()
	ca, err := pki.NewCA(pkix.Name{CommonName: "test"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	clients, err := dynamiccertificates.NewStaticCAContent("clients", ca.PEM())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shown, err := newServing("test", ca, l)
	if err != nil {
		t.Fatal(err)
	}
	conn, _ := net.Pipe()
	defer conn.Close()
	tokens := []identity.Authenticator{identity.NewTokens(nil, nil)}
	for name, test := range map[string]struct {
		authorities dynamiccertificates.CAContentProvider
		others      []identity.Authenticator
		want        tls.ClientAuthType
	}{
		"certificates":           {clients, nil, tls.RequireAndVerifyClientCert},
		"certificates or tokens": {clients, tokens, tls.VerifyClientCertIfGiven},
		"tokens":                 {nil, tokens, tls.NoClientCert},
	} {
		flags := xdsServing{tls: true, listen: l.Addr().String()}
		e, err := flags.endpoint(t.Context(), l, shown, test.authorities, test.others...)
		if err != nil {
			t.Fatal(err)
		}
		config, err := e.tls.GetConfigForClient(&tls.ClientHelloInfo{Conn: conn})
		if err != nil {
			t.Fatal(err)
		}
		if config.ClientAuth != test.want {
			t.Errorf("%s: clients are asked for a certificate as by %s, want %s", name, config.ClientAuth, test.want)
		}
	}
}
