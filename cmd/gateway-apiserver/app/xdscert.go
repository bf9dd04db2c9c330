package app

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

const (
	// nodeSubject is the common name of the certificates of xDS clients, which says nothing: their URIs do. To the Kubernetes
	// API it is a user without rights.
	nodeSubject = "gateway-apiserver-xds-node"
	// nodeLife is how long such a certificate is valid, by default.
	nodeLife = 90 * 24 * time.Hour
)

// xdsCertOptions are the flags of the xds-cert command.
type xdsCertOptions struct {
	gateway   gatewayFlag
	fleet     gatewayFlag
	sidecar   namespaceFlag
	proxyless namespaceFlag
	life      time.Duration
	out       string
	dataDir   string
}

func newXDSCertCommand() *cobra.Command {
	o := xdsCertOptions{life: nodeLife, out: ".", dataDir: defaultDataDir}
	cmd := &cobra.Command{
		Use:   "xds-cert (--gateway NAMESPACE/NAME | --fleet NAMESPACE/NAME | --sidecar NAMESPACE | --proxyless NAMESPACE)",
		Short: "Issue the certificate by which an Envoy, or a client of the mesh, may read its configuration",
		Long: `Issue a certificate for xDS clients of a standalone server, with the CA in its data directory. The server
need not run. Who shows the certificate may read the configuration of that Gateway, private keys
included; with --fleet, that of an EnvoyFleet that merges its Gateways, or of each Gateway of one that doesn't;
with --sidecar or --proxyless, that of the mesh as clients in that namespace get it. And nothing else.

Three files are written: tls.crt, tls.key and ca.crt, as "bootstrap --cert-dir" and "xds" read them. In a
directory that has them already, the certificate is renewed for the key that is there, so that an Envoy takes it
at once and without a restart. Delete tls.key first to get a new key.

A server in a cluster knows xDS clients by the tokens of their ServiceAccounts.`,
		Example: `  # For the Envoys of the Gateway web in the namespace default
  gateway-apiserver xds-cert --gateway default/web --out /etc/envoy/pki
  gateway-apiserver bootstrap --gateway default/web --xds-server xds.example.com:18000 --cert-dir /etc/envoy/pki --out /etc/envoy

  # Renewed every week, by cron
  gateway-apiserver xds-cert --gateway default/web --out /etc/envoy/pki --ttl 720h --data-dir /var/lib/gateway-apiserver`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE:         func(cmd *cobra.Command, _ []string) error { return o.run(cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.Var(&o.gateway, "gateway", "the Gateway whose configuration may be read")
	flags.Var(&o.fleet, "fleet", "the EnvoyFleet whose configuration may be read")
	flags.Var(&o.sidecar, "sidecar", "the namespace of the sidecars whose configuration may be read")
	flags.Var(&o.proxyless, "proxyless", "the namespace of the gRPC clients whose configuration may be read")
	flags.DurationVar(&o.life, "ttl", o.life, "how long the certificate is valid; the streams of its clients end with it")
	flags.StringVar(&o.out, "out", o.out, "`DIR`ECTORY for the files; made if it is missing")
	flags.StringVar(&o.dataDir, "data-dir", o.dataDir, "data directory of the server")
	return cmd
}

// grant returns what the certificate is for, and the flag that says so.
func (o *xdsCertOptions) grant() (grant identity.Grant, flag string, err error) {
	for _, f := range []struct {
		kind identity.Kind
		of   string
	}{
		{identity.Gateway, o.gateway.String()}, {identity.Fleet, o.fleet.String()},
		{identity.Sidecar, o.sidecar.String()}, {identity.Proxyless, o.proxyless.String()},
	} {
		if f.of == "" {
			continue
		}
		if flag != "" {
			return identity.Grant{}, "", errServes
		}
		flag = "--" + string(f.kind) + " " + f.of
		if grant, err = identity.NewGrant(f.kind, f.of); err != nil {
			return identity.Grant{}, "", err
		}
	}
	if flag == "" {
		return identity.Grant{}, "", errServes
	}
	return grant, flag, nil
}

func (o *xdsCertOptions) run(out io.Writer) error {
	grant, flag, err := o.grant()
	if err != nil {
		return err
	}
	if o.life <= 0 {
		return fmt.Errorf("--ttl %s: want more than nothing, for example 720h", o.life)
	}
	ca, err := loadCA(o.dataDir)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(o.out)
	if err != nil {
		return err
	}
	issued, err := ca.Keep(dir, xdsNode(grant), time.Now(), o.life)
	if errors.Is(err, pki.ErrOther) {
		return fmt.Errorf("--out %s: %w: choose another directory", o.out, err)
	}
	if err != nil {
		return fmt.Errorf("--out %s: %w", o.out, err)
	}
	then := fmt.Sprintf("  %s bootstrap %s --xds-server HOST:PORT --cert-dir %s --out %[3]s", os.Args[0], flag, dir)
	if grant.Kind == identity.Proxyless {
		then = strings.TrimSuffix(then, " --out "+dir) + " > grpc.json"
	}
	fmt.Fprintf(out, `Wrote %[1]s, %[2]s and %[3]s into %[4]s: for the %[5]s, valid until %[6]s.
Only who runs the node may read %[2]s. Run the same command again before the certificate expires.

Next, with the address of the server's xDS:
%[7]s
`, pki.CertFile, pki.KeyFile, pki.CAFile, dir, grant, issued.NotAfter.UTC().Format(time.RFC3339), then)
	return nil
}

// xdsNode is a certificate of an xDS client.
func xdsNode(grant identity.Grant) pki.Request {
	request := pki.Request{Subject: pkix.Name{CommonName: nodeSubject}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	request.URIs = append(request.URIs, grant.URI())
	return request
}

// loadCA reads the CA of a data directory, which a server may be using.
func loadCA(dataDir string) (*pki.CA, error) {
	ca, err := pki.Load(filepath.Join(dataDir, pkiDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--data-dir %s has no certificate authority: give the data directory of a standalone server that has been started once", dataDir)
	}
	return ca, err
}
