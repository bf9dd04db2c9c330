package app

import (
	"errors"
	"fmt"
	"path"

	"github.com/spf13/pflag"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
)

// nodeTLS are flags about how an xDS client and the server know each other.
type nodeTLS struct {
	ca, certDir, token string
}

func (o *nodeTLS) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.certDir, "cert-dir", "", "`DIR`ECTORY with the certificate that is shown (tls.crt, tls.key) and those by which the server is verified (ca.crt), as \"xds-cert\" writes it and Secrets of the type kubernetes.io/tls are mounted")
	flags.StringVar(&o.token, "token-file", "", "`FILE` with a token that is shown in place of a certificate, such as one of a ServiceAccount for the audience gateway-apiserver.dev/xds")
	flags.StringVar(&o.ca, "ca-file", "", "`FILE` with the certificates by which the server is verified, in PEM (default ca.crt in --cert-dir)")
}

// check returns what is wrong with the flags.
func (o *nodeTLS) check() error {
	switch {
	case o.certDir != "" && o.token != "":
		return errors.New("--cert-dir and --token-file exclude each other: a client shows one of the two")
	case o.token != "" && o.ca == "":
		return errors.New("--token-file needs --ca-file: whoever gets a token can use it, so the server has to show who it is")
	case o.ca != "" && o.token == "" && o.certDir == "":
		return errors.New("--ca-file needs --cert-dir or --token-file: a server with TLS asks who its clients are")
	}
	return nil
}

// checkAbsolute returns an error for paths that aren't the same everywhere on the machine of the node.
func (o *nodeTLS) checkAbsolute() error {
	for _, f := range [][2]string{{"--cert-dir", o.certDir}, {"--token-file", o.token}, {"--ca-file", o.ca}} {
		if f[1] != "" && !path.IsAbs(f[1]) {
			return fmt.Errorf("%s %s: want an absolute path, as the node sees it", f[0], f[1])
		}
	}
	return nil
}

// files returns the files of the connection, nil if it is plaintext.
func (o *nodeTLS) files() *bootstrap.TLS {
	switch {
	case o.token != "":
		return &bootstrap.TLS{CA: o.ca, Token: o.token}
	case o.certDir != "":
		tls := &bootstrap.TLS{CA: o.ca, Cert: path.Join(o.certDir, pki.CertFile), Key: path.Join(o.certDir, pki.KeyFile)}
		if tls.CA == "" {
			tls.CA = path.Join(o.certDir, pki.CAFile)
		}
		return tls
	}
	return nil
}
