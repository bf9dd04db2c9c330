package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/oauth"
)

// Credentials are files by which a client and the server know each other, in PEM but for the token.
type Credentials struct {
	// CA are the certificates by which the server is verified, by the host of its address. Without them, the connection is
	// plaintext, and nothing is shown.
	CA string
	// Cert and Key are what is shown to the server; both empty for nothing.
	Cert, Key string
	// Token is a bearer token that is shown; empty for none.
	Token string
}

// DialOptions reads the files. Errors name them.
func (c Credentials) DialOptions() ([]grpc.DialOption, error) {
	if c.CA == "" {
		if c.Cert != "" || c.Token != "" {
			return nil, errors.New("a certificate or a token is shown only to a server that is verified: no CAs are given for that")
		}
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, nil
	}
	authorities, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("no certificates in %s", c.CA)
	}
	if c.Cert != "" {
		certificate, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", c.Cert, c.Key, err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}
	if c.Token != "" {
		token, err := os.ReadFile(c.Token)
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.WithPerRPCCredentials(oauth.TokenSource{
			TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: strings.TrimSpace(string(token))}),
		}))
	}
	return options, nil
}
