package identity

import (
	"context"
	"crypto/x509"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Certificates authenticates clients by the certificate of their connection, which the TLS configuration has verified
// (tls.VerifyClientCertIfGiven, or tls.RequireAndVerifyClientCert). The SPIFFE IDs among its URIs are what it grants.
type Certificates struct{}

// Authenticate returns nil without an error if there is no verified certificate, or none that grants anything here.
func (Certificates) Authenticate(ctx context.Context) (*Identity, error) {
	p, _ := peer.FromContext(ctx)
	if p == nil {
		return nil, nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil, nil
	}
	var grants []Grant
	var names []string
	for _, u := range info.State.VerifiedChains[0][0].URIs {
		g, ours, err := ParseURI(u)
		if err != nil {
			return nil, status.Error(codes.Unauthenticated, err.Error())
		}
		if ours {
			grants, names = append(grants, g), append(names, u.String())
		}
	}
	if len(grants) == 0 {
		return nil, nil
	}
	expires := expiry(info.State.VerifiedChains)
	if !time.Now().Before(expires) {
		return nil, status.Errorf(codes.Unauthenticated, "the certificate of the node, or the CA that signed it, expired at %s: renew it", expires.UTC().Format(time.RFC3339))
	}
	return New(strings.Join(names, ","), expires, grants...), nil
}

// expiry returns until when some chain is valid.
func expiry(chains [][]*x509.Certificate) time.Time {
	var latest time.Time
	for _, chain := range chains {
		until := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(until) {
				until = c.NotAfter
			}
		}
		if until.After(latest) {
			latest = until
		}
	}
	return latest
}

// Authenticator finds out who the client of a stream is. It returns nil without an error if the client shows nothing that it can
// judge.
type Authenticator interface {
	Authenticate(ctx context.Context) (*Identity, error)
}

// FirstOf asks authenticators in their order, until one knows the client or refuses it. Who shows nothing is refused.
type FirstOf []Authenticator

// Authenticate returns an identity or an error.
func (f FirstOf) Authenticate(ctx context.Context) (*Identity, error) {
	for _, a := range f {
		if id, err := a.Authenticate(ctx); id != nil || err != nil {
			return id, err
		}
	}
	return nil, errNothingShown
}

var errNothingShown = status.Error(codes.Unauthenticated, "xDS clients have to prove who they are: by a client certificate of this server's CA "+
	"(gateway-apiserver xds-cert), or, in a cluster, by a ServiceAccount token for the audience "+Audience+" in the metadata \"authorization: Bearer\"")
