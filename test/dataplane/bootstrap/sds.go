package bootstrap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"
)

// readSecret reads a secret that SDS delivers from a file, which has to be there when it is needed for the first time. Envoy reads
// it, and the files that it names, whenever something is moved to their directories. Reading them for each connection comes to
// the same.
func readSecret(c *tlsv3.SdsSecretConfig) (*tlsv3.Secret, error) {
	path := c.GetSdsConfig().GetPathConfigSource().GetPath()
	if path == "" {
		return nil, fmt.Errorf("sds_config of %s: only path_config_source is supported", c.GetName())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if data, err = yaml.YAMLToJSONStrict(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	response, secret := &discoveryv3.DiscoveryResponse{}, &tlsv3.Secret{}
	if err := protojson.Unmarshal(data, response); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := errors.Join(response.ValidateAll(), executed.Check(response)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(response.GetResources()) != 1 {
		return nil, fmt.Errorf("%s: Unexpected SDS secrets length: %d", path, len(response.GetResources()))
	}
	if err := unpack(response.GetResources()[0], secret); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if secret.GetName() != c.GetName() {
		return nil, fmt.Errorf("%s: Unexpected SDS secret (expecting %s): %s", path, c.GetName(), secret.GetName())
	}
	return secret, watched(secret)
}

// watched returns an error if Envoy wouldn't notice that a file of a secret is replaced.
func watched(secret *tlsv3.Secret) error {
	directory := secret.GetTlsCertificate().GetWatchedDirectory().GetPath()
	files := []string{secret.GetTlsCertificate().GetCertificateChain().GetFilename(), secret.GetTlsCertificate().GetPrivateKey().GetFilename()}
	if c := secret.GetValidationContext(); c != nil {
		directory, files = c.GetWatchedDirectory().GetPath(), []string{c.GetTrustedCa().GetFilename()}
	}
	for _, file := range files {
		if filepath.Dir(file) != directory {
			return fmt.Errorf("secret %s: watched_directory: %q isn't where %q is", secret.GetName(), directory, file)
		}
	}
	return nil
}

// onlyTrustedCA returns an error if a secret says more of the server than by which certificates to verify it.
func onlyTrustedCA(c *tlsv3.CertificateValidationContext) error {
	if len(c.GetMatchTypedSubjectAltNames()) > 0 {
		return errors.New("validation_context.match_typed_subject_alt_names: is for the bootstrap to say")
	}
	return nil
}
