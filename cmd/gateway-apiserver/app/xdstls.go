package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
	xdsserver "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

// localDrain is how long the streams of a server take to end that only its own machine reaches: there is no other replica that
// all of them could come to at once.
const localDrain = 10 * time.Millisecond

// xdsServing are the flags of a server about who reaches its xDS, and how much of it.
type xdsServing struct {
	listen            string // nowhere if it is empty
	tls               bool
	certFile, keyFile string
	clientCA          string
	limits            xdsserver.Limits
}

func newXDSServing() xdsServing {
	return xdsServing{listen: defaultXDS.String(), limits: xdsserver.Limits{
		Streams: 50_000, StreamsPerAddress: 10_000, ConnectionsPerAddress: 2_000, Age: time.Hour, Drain: 10 * time.Second,
	}}
}

// addFlags adds the flags. The usages are what differs between servers: where they listen, and whose certificate they show.
func (o *xdsServing) addFlags(flags *pflag.FlagSet, listenUsage, certificate string) {
	flags.StringVar(&o.listen, "xds-listen", o.listen, listenUsage)
	flags.BoolVar(&o.tls, "xds-tls", false, "speak TLS on xDS, and ask who its clients are, on a loopback address too; on all others that is always so")
	flags.StringVar(&o.certFile, "xds-cert-file", "", "certificate that xDS shows, in PEM, read again when it changes; "+certificate)
	flags.StringVar(&o.keyFile, "xds-private-key-file", "", "private key of --xds-cert-file, in PEM")
	flags.StringVar(&o.clientCA, "xds-client-ca-file", "", "CAs, in PEM, read again when they change, whose certificates say by their URIs what xDS clients may read, such as spiffe://gateway-apiserver.dev/gateway/NAMESPACE/NAME")
	flags.IntVar(&o.limits.Streams, "xds-max-streams", o.limits.Streams, "streams that xDS clients may have open, in all")
	flags.IntVar(&o.limits.StreamsPerAddress, "xds-max-streams-per-address", o.limits.StreamsPerAddress, "streams that xDS clients of one IP address may have open; more for fleets behind one address, such as that of a NAT or a proxy for gRPC")
	flags.IntVar(&o.limits.ConnectionsPerAddress, "xds-max-connections-per-address", o.limits.ConnectionsPerAddress, "connections that xDS clients of one IP address may have open; more for fleets behind one address, such as that of a NAT")
	flags.DurationVar(&o.limits.Age, "xds-max-connection-age", o.limits.Age, "when a connection with TLS of an xDS client is ended, give or take a tenth, so that clients spread over replicas")
	flags.DurationVar(&o.limits.Drain, "xds-drain", o.limits.Drain, "how long the streams of xDS clients take to end, one after the other, when the server stops, so that they don't come to another replica all at once")
}

// secured says whether xDS speaks TLS. An address that isn't of this machine alone is one at which others hear what is said:
// private keys.
func (o *xdsServing) secured() bool { return o.tls || !o.local() }

// local says whether only this machine reaches xDS, if anybody does.
func (o *xdsServing) local() bool {
	if o.listen == "" {
		return true
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return false
	}
	ips := []net.IP{net.ParseIP(host)} // nil for another name than localhost, and for no host, which is every address
	if host == "localhost" {
		if ips, err = net.LookupIP(host); err != nil {
			return false
		}
	}
	return !slices.ContainsFunc(ips, func(ip net.IP) bool { return !ip.IsLoopback() })
}

// validate returns what is wrong with the flags.
func (o *xdsServing) validate() []error {
	var errs []error
	if o.listen != "" {
		if _, _, err := net.SplitHostPort(o.listen); err != nil {
			errs = append(errs, fmt.Errorf("--xds-listen %s: want HOST:PORT: %w", o.listen, err))
		}
	}
	if (o.certFile == "") != (o.keyFile == "") {
		errs = append(errs, errors.New("--xds-cert-file and --xds-private-key-file belong together: give both, or none"))
	}
	for _, f := range [][2]string{{"--xds-cert-file", o.certFile}, {"--xds-client-ca-file", o.clientCA}} {
		switch {
		case f[1] == "":
		case o.listen == "":
			errs = append(errs, fmt.Errorf("%s is about xDS, which is not served without --xds-listen", f[0]))
		case !o.secured():
			errs = append(errs, fmt.Errorf("%s is for TLS, and xDS on the loopback address %s is plaintext: give --xds-tls too", f[0], o.listen))
		}
	}
	for _, limit := range []struct {
		flag string
		n    int
	}{
		{"--xds-max-streams", o.limits.Streams},
		{"--xds-max-streams-per-address", o.limits.StreamsPerAddress},
		{"--xds-max-connections-per-address", o.limits.ConnectionsPerAddress},
	} {
		if limit.n < 1 {
			errs = append(errs, fmt.Errorf("%s %d: want 1 or more", limit.flag, limit.n))
		}
	}
	if o.limits.Age <= 0 {
		errs = append(errs, fmt.Errorf("--xds-max-connection-age %s: want more than nothing, for example 1h", o.limits.Age))
	}
	if o.limits.Drain <= 0 {
		errs = append(errs, fmt.Errorf("--xds-drain %s: want more than nothing, for example 10s", o.limits.Drain))
	}
	return errs
}

// bounded returns the limits of the server.
func (o *xdsServing) bounded() xdsserver.Limits {
	limits := o.limits
	limits.Connections = limits.Streams // most clients have one of each
	if !o.secured() {
		limits.Age = 0 // never: there is nowhere else to go
	}
	if o.local() {
		limits.Drain = localDrain
	}
	return limits
}

// stopTimeout bounds how long xDS streams may take to end.
func (o *xdsServing) stopTimeout() time.Duration { return o.bounded().Drain + 5*time.Second }

// xdsEndpoint is where xDS is served, and for whom.
type xdsEndpoint struct {
	flags    xdsServing
	listener net.Listener
	tls      *tls.Config             // nil for plaintext
	clients  xdsserver.Authenticator // nil if nobody is asked
}

// endpoint returns where xDS is served: in plaintext for whoever is on this machine; or in TLS with the certificate of a file, or
// the one that is given, for the clients that one of several ways to know them knows. One is by a certificate, of the CAs in a file
// or of those that are given; nil stands for none. What all these provide may change until ctx ends.
func (o *xdsServing) endpoint(ctx context.Context, listener net.Listener, serving dynamiccertificates.CertKeyContentProvider,
	authorities dynamiccertificates.CAContentProvider, others ...identity.Authenticator) (*xdsEndpoint, error) {
	e := &xdsEndpoint{flags: *o, listener: listener}
	if !o.secured() {
		if at, ok := listener.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
			return nil, fmt.Errorf("--xds-listen %s: %s is no loopback address, and xDS would be plaintext: give --xds-tls", o.listen, listener.Addr())
		}
		return e, nil
	}
	if o.certFile != "" {
		files, err := dynamiccertificates.NewDynamicServingContentFromFiles("xds-serving", o.certFile, o.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--xds-cert-file: %w", err)
		}
		go files.Run(ctx, 1)
		serving = files
	}
	if o.clientCA != "" {
		files, err := dynamiccertificates.NewDynamicCAContentFromFile("xds-client-ca", o.clientCA)
		if err != nil {
			return nil, fmt.Errorf("--xds-client-ca-file: %w", err)
		}
		go files.Run(ctx, 1)
		if authorities == nil {
			authorities = files
		} else {
			authorities = dynamiccertificates.NewUnionCAContentProvider(authorities, files)
		}
	}
	clients, ask := identity.FirstOf(others), tls.NoClientCert
	if authorities != nil {
		if ask = tls.VerifyClientCertIfGiven; len(others) == 0 { // who gives none has nothing else
			ask = tls.RequireAndVerifyClientCert
		}
		clients = append(identity.FirstOf{identity.Certificates{}}, others...)
	}
	e.clients = clients
	var err error
	e.tls, err = xdsTLS(ctx, serving, authorities, ask)
	return e, err
}

// xdsTLS follows certificates until ctx ends. Clients are asked for one of the authorities, if there are any.
func xdsTLS(ctx context.Context, serving dynamiccertificates.CertKeyContentProvider, authorities dynamiccertificates.CAContentProvider, ask tls.ClientAuthType) (*tls.Config, error) {
	base := &tls.Config{
		MinVersion: tls.VersionTLS12, // Envoy speaks nothing newer to its upstreams unless it is told to
		NextProtos: []string{"h2"},
		// Without this, certificates of the CAs of the system would be accepted.
		ClientCAs: x509.NewCertPool(),
		// A session that goes on would outlive the certificates that it began with.
		SessionTicketsDisabled: true,
		ClientAuth:             ask,
	}
	follower := dynamiccertificates.NewDynamicServingCertificateController(base, authorities, serving, nil, nil)
	serving.AddListener(follower)
	if authorities != nil {
		authorities.AddListener(follower)
	}
	if err := follower.RunOnce(); err != nil {
		return nil, fmt.Errorf("the certificates of xDS: %w", err)
	}
	go follower.Run(1, ctx.Done())
	config := base.Clone()
	config.GetConfigForClient = follower.GetConfigForClient
	return config, nil
}
