package secret

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// handshake connects a client to a server. It returns what the client knows of the server, and the errors of both.
func handshake(t *testing.T, client, server *tls.Config) (state tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		secured := tls.Server(conn, server)
		if err = secured.Handshake(); err == nil {
			_, err = secured.Write([]byte("!")) // after which the client knows that it was let in, and has its session ticket
		}
		done <- err
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	secured := tls.Client(conn, client)
	if clientErr = secured.Handshake(); clientErr == nil {
		_, clientErr = secured.Read(make([]byte, 1))
	}
	return secured.ConnectionState(), clientErr, <-done
}

// downstream returns the configuration of a server that shows the certificates of these names.
func downstream(t *testing.T, store *Store, change func(*tlsv3.DownstreamTlsContext), names ...string) *tls.Config {
	t.Helper()
	context := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{}}
	for _, name := range names {
		context.CommonTlsContext.TlsCertificateSdsSecretConfigs = append(context.CommonTlsContext.TlsCertificateSdsSecretConfigs, sds(name))
	}
	if change != nil {
		change(context)
	}
	config, _, err := DownstreamConfig(context, store)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func update(t *testing.T, store *Store, secrets ...*tlsv3.Secret) {
	t.Helper()
	for _, s := range secrets {
		if err := store.Update(s); err != nil {
			t.Fatalf("%s: %v", s.GetName(), err)
		}
	}
}

// client verifies nothing: the tests look at what it is shown.
func client(serverName string) *tls.Config {
	return &tls.Config{ServerName: serverName, InsecureSkipVerify: true}
}

func TestCertificateSelection(t *testing.T) {
	t.Parallel()
	rsaKey, err := newRSA()
	if err != nil {
		t.Fatal(err)
	}
	ca, store := newAuthority(t, "ca"), NewStore()
	identified := func(id string, names ...string) x509.Certificate {
		return x509.Certificate{Subject: pkix.Name{Organization: []string{id}}, DNSNames: names}
	}
	update(t, store,
		ca.secret(t, "first", newECDSA(t), identified("first", "first.example")),
		ca.secret(t, "rsa", rsaKey, identified("rsa", "both.example", "rsa.example")),
		ca.secret(t, "ecdsa", newECDSA(t), identified("ecdsa", "both.example")),
		ca.secret(t, "wildcard", newECDSA(t), identified("wildcard", "*.example")),
		ca.secret(t, "again", newECDSA(t), identified("again", "first.example")),
		ca.secret(t, "common", newECDSA(t), x509.Certificate{Subject: pkix.Name{Organization: []string{"common"}, CommonName: "common.test"}}),
	)
	server := downstream(t, store, nil, "first", "rsa", "ecdsa", "wildcard", "again", "common")
	onlyRSA := func(serverName string) *tls.Config {
		c := client(serverName)
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		return c
	}
	for name, tt := range map[string]struct {
		client *tls.Config
		want   string
	}{
		"exact":                       {client("first.example"), "first"},
		"wildcard":                    {client("other.example"), "wildcard"},
		"a wildcard is one label":     {client("a.other.example"), "first"},
		"exact before a wildcard":     {client("rsa.example"), "rsa"},
		"ECDSA if it can be verified": {client("both.example"), "ecdsa"},
		"RSA if ECDSA can't":          {onlyRSA("both.example"), "rsa"},
		"a name that nobody has":      {client("nobody.test"), "first"},
		"the common name":             {client("common.test"), "common"},
		"no name":                     {client(""), "first"},
		"no name, and RSA only":       {onlyRSA(""), "rsa"},
		"a label, and nothing after":  {client("x."), "first"},
		"a name of a letter":          {client("x"), "first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, err, serverErr := handshake(t, tt.client, server)
			if err != nil || serverErr != nil {
				t.Fatal(err, serverErr)
			}
			if got := state.PeerCertificates[0].Subject.Organization; got[0] != tt.want {
				t.Errorf("it is shown %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	old, renewed, store := newAuthority(t, "old"), newAuthority(t, "renewed"), NewStore()
	server := downstream(t, store, nil, "web")
	if _, err, _ := handshake(t, client("a.example"), server); err == nil {
		t.Error("a server without its certificate shook hands")
	}
	for _, ca := range []*authority{old, renewed} {
		update(t, store, ca.secret(t, "web", newECDSA(t), named("a.example")))
		state, err, _ := handshake(t, client("a.example"), server)
		if err != nil {
			t.Fatal(err)
		}
		if got := state.PeerCertificates[0].Issuer.CommonName; got != ca.certificate.Subject.CommonName {
			t.Errorf("it is shown the certificate of %s, want %s", got, ca.certificate.Subject.CommonName)
		}
	}
	store.Remove("web")
	if _, err, _ := handshake(t, client("a.example"), server); err == nil {
		t.Error("a certificate that is gone was shown")
	}
	update(t, store, old.validation("web"))
	if _, err, _ := handshake(t, client("a.example"), server); err == nil {
		t.Error("a handshake with a secret that is no certificate")
	}
}

func TestProtocols(t *testing.T) {
	t.Parallel()
	ca, store := newAuthority(t, "ca"), NewStore()
	update(t, store, ca.secret(t, "web", newECDSA(t), named("a.example")))
	server := downstream(t, store, func(c *tlsv3.DownstreamTlsContext) {
		c.CommonTlsContext.AlpnProtocols = []string{"h2", "http/1.1"}
	}, "web")
	for name, tt := range map[string]struct {
		offers []string
		want   string
	}{
		"the server's choice": {[]string{"http/1.1", "h2"}, "h2"},
		"the one of both":     {[]string{"http/1.1"}, "http/1.1"},
		"none of both":        {[]string{"imap"}, ""},
		"none":                {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client("a.example")
			c.NextProtos = tt.offers
			state, err, _ := handshake(t, c, server)
			if err != nil || state.NegotiatedProtocol != tt.want {
				t.Errorf("protocol %q (%v), want %q", state.NegotiatedProtocol, err, tt.want)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	ca, store := newAuthority(t, "ca"), NewStore()
	update(t, store, ca.secret(t, "web", newECDSA(t), named("a.example")))
	server := downstream(t, store, func(c *tlsv3.DownstreamTlsContext) {
		c.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3}
	}, "web")
	c := client("a.example")
	c.MaxVersion = tls.VersionTLS12
	if _, err, _ := handshake(t, c, server); err == nil {
		t.Error("TLS 1.2 was spoken, below the minimum")
	}
	if state, err, _ := handshake(t, client("a.example"), server); err != nil || state.Version != tls.VersionTLS13 {
		t.Errorf("version %x (%v), want 1.3", state.Version, err)
	}
}

func TestClientValidation(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	serverOnly := named("client")
	serverOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	good, untrusted, unusable := ca.pair(t, named("client")), other.pair(t, named("client")), ca.pair(t, serverOnly)
	required := func(c *tlsv3.DownstreamTlsContext) {
		c.RequireClientCertificate = wrapperspb.Bool(true)
		c.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: sds("clients"),
		}
	}
	optional := func(c *tlsv3.DownstreamTlsContext) {
		required(c)
		c.RequireClientCertificate = wrapperspb.Bool(false)
	}
	accepting := ca.validation("clients")
	accepting.GetValidationContext().TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
	for name, tt := range map[string]struct {
		context func(*tlsv3.DownstreamTlsContext)
		clients *tlsv3.Secret
		shows   *tls.Certificate
		fails   bool
	}{
		"required, good":                      {required, ca.validation("clients"), &good, false},
		"required, none":                      {required, ca.validation("clients"), nil, true},
		"required, untrusted":                 {required, ca.validation("clients"), &untrusted, true},
		"required, not for clients":           {required, ca.validation("clients"), &unusable, true},
		"required, and nobody knows by whom":  {required, nil, &good, true},
		"optional, good":                      {optional, ca.validation("clients"), &good, false},
		"optional, none":                      {optional, ca.validation("clients"), nil, false},
		"optional, untrusted":                 {optional, ca.validation("clients"), &untrusted, true},
		"optional, untrusted is accepted":     {optional, accepting, &untrusted, false},
		"required, untrusted is accepted":     {required, accepting, &untrusted, false},
		"required, none, though untrusted is": {required, accepting, nil, true},
		"not asked for":                       {nil, nil, &untrusted, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := NewStore()
			update(t, store, ca.secret(t, "web", newECDSA(t), named("a.example")))
			if tt.clients != nil {
				update(t, store, tt.clients)
			}
			var asked *tls.CertificateRequestInfo
			c := client("a.example")
			c.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = info
				if tt.shows == nil {
					return &tls.Certificate{}, nil
				}
				return tt.shows, nil
			}
			_, err, serverErr := handshake(t, c, downstream(t, store, tt.context, "web"))
			if failed := err != nil && serverErr != nil; failed != tt.fails {
				t.Errorf("the client got %v, the server %v", err, serverErr)
			}
			if tt.context == nil && asked != nil {
				t.Error("the client was asked for a certificate")
			}
			if tt.clients != nil && (asked == nil || !slices.EqualFunc(asked.AcceptableCAs, [][]byte{ca.certificate.RawSubject}, slices.Equal)) {
				t.Errorf("the client was asked for a certificate like this: %v", asked)
			}
		})
	}
}

// A session that is resumed is validated again, by what counts now.
func TestResumption(t *testing.T) {
	t.Parallel()
	ca, other, store := newAuthority(t, "ca"), newAuthority(t, "other"), NewStore()
	update(t, store, ca.secret(t, "web", newECDSA(t), named("a.example")), ca.validation("clients"))
	server := downstream(t, store, func(c *tlsv3.DownstreamTlsContext) {
		c.RequireClientCertificate = wrapperspb.Bool(true)
		c.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: sds("clients"),
		}
	}, "web")
	c := client("a.example")
	c.Certificates = []tls.Certificate{ca.pair(t, named("client"))}
	c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 2 {
		if state, err, _ := handshake(t, c, server); err != nil || state.DidResume != (i > 0) {
			t.Fatalf("handshake %d: resumed %t (%v)", i, state.DidResume, err)
		}
	}
	update(t, store, other.validation("clients"))
	if _, err, serverErr := handshake(t, c, server); err == nil || errors.Is(serverErr, io.EOF) {
		t.Error("a client went on with a session, though its CA isn't trusted any more")
	}
}
