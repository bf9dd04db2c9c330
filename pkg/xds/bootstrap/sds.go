package bootstrap

import (
	"path"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// Names of the secrets that are delivered by SDS from files, which are named after them.
const (
	certificateSecret = "xds-certificate"
	authoritySecret   = "xds-ca"
)

// sdsFile is where in a directory the secret of a name is.
func sdsFile(dir, secret string) string { return path.Join(dir, secret+".yaml") }

// sdsConfig takes a secret from its file. Only what comes by SDS, if from files as here, is read again when it changes.
func sdsConfig(dir, secret string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: secret, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
			PathConfigSource: &corev3.PathConfigSource{Path: sdsFile(dir, secret)},
		},
	}}
}

// SDSFiles returns the files that are to be in the directory tls.SDS, by name. They never change: they name the files with the
// certificates, and the directories of those, which Envoy watches for files that are moved there. So who renews a certificate
// moves the new one over the old one.
func SDSFiles(tls TLS) (map[string][]byte, error) {
	secrets := []*tlsv3.Secret{{Name: authoritySecret, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: file(tls.CA), WatchedDirectory: watched(tls.CA)},
	}}}
	if tls.Cert != "" {
		secrets = append(secrets, &tlsv3.Secret{Name: certificateSecret, Type: &tlsv3.Secret_TlsCertificate{
			TlsCertificate: &tlsv3.TlsCertificate{
				CertificateChain: file(tls.Cert), PrivateKey: file(tls.Key), WatchedDirectory: watched(tls.Cert),
			},
		}})
	}
	files := map[string][]byte{}
	for _, secret := range secrets {
		resource, err := packed(secret)
		if err != nil {
			return nil, err
		}
		if files[sdsFile("", secret.GetName())], err = encoded(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{resource}}); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func watched(file string) *corev3.WatchedDirectory {
	return &corev3.WatchedDirectory{Path: path.Dir(file)}
}
