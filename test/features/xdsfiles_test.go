package features

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/durable"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	"github.com/gateway-apiserver/gateway-apiserver/test/script"
	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

// What a client is told that has no certificate of an authority that the server asks for: it may find the connection closed before
// it has read why. And one that doesn't know the server's authority, and one that asks for another Gateway than its own.
const (
	clientUnknown = "broke; does --server name an xDS address? "
	serverUnknown = "certificate signed by unknown authority"
	notItsOwn     = "may not read the configuration of Gateway default/other"
)

const gatewaysYAML = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec: {gatewayClassName: gateway-apiserver, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: default}
spec: {gatewayClassName: gateway-apiserver, listeners: [{name: http, port: 81, protocol: HTTP}]}
`

// TestXDSFiles gives a server an authority of xDS clients and a serving certificate of its users' own, and replaces both while it runs.
func TestXDSFiles(t *testing.T) {
	t.Parallel()
	f := &xdsFiles{T: t, dir: t.TempDir()}
	f.write("manifests/gateways.yaml", []byte(gatewaysYAML))
	first, second := f.newCA("clients-1"), f.newCA("clients-2")
	serving, renewed := f.newCA("serving-1"), f.newCA("serving-2")
	f.write("clients.crt", first.PEM())
	f.serving(serving)
	var err error
	f.server, err = standalone.Start(f.dir, "--manifests=manifests", "--xds-tls", "--xds-client-ca-file=clients.crt",
		"--xds-cert-file=serving.crt", "--xds-private-key-file=serving.key")
	f.must(err)
	t.Cleanup(func() { f.must(f.server.Stop()) })
	f.client("old", first)
	f.client("new", second)
	f.must(f.run("xds-cert", "--data-dir=data", "--gateway=default/web", "--out=issued"))
	f.trust(serving)

	f.becomes("old", "")
	f.reads("default/other", "old", notItsOwn)
	f.reads("default/web", "issued", "") // the authority in the data directory is one still
	f.reads("default/web", "new", clientUnknown)

	f.write("clients.crt", second.PEM())
	f.becomes("new", "")
	f.reads("default/other", "new", notItsOwn)
	f.reads("default/web", "issued", "")
	f.reads("default/web", "old", clientUnknown)

	f.serving(renewed)
	f.becomes("new", serverUnknown)
	f.trust(renewed)
	f.reads("default/web", "new", "")
}

// xdsFiles is a server, and the files of its clients and itself in a folder.
type xdsFiles struct {
	*testing.T
	dir    string
	server *standalone.Server
}

func (f *xdsFiles) must(errs ...error) {
	f.Helper()
	if err := errors.Join(errs...); err != nil {
		f.Fatal(err)
	}
}

// write replaces a file in one step.
func (f *xdsFiles) write(name string, content []byte) {
	f.Helper()
	path := filepath.Join(f.dir, name)
	f.must(os.MkdirAll(filepath.Dir(path), 0o700), durable.WriteFile(path, content))
}

func (f *xdsFiles) newCA(name string) *pki.CA {
	f.Helper()
	ca, err := pki.NewCA(pkix.Name{CommonName: name}, time.Now(), time.Hour)
	f.must(err)
	return ca
}

// client writes what a client of the Gateway web shows.
func (f *xdsFiles) client(name string, ca *pki.CA) {
	f.Helper()
	uri, err := url.Parse("spiffe://gateway-apiserver.dev/gateway/default/web")
	f.must(err)
	certPEM, keyPEM, err := ca.Issue(pki.Request{
		Subject: pkix.Name{CommonName: name}, URIs: []*url.URL{uri}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, time.Now(), time.Hour)
	f.must(err)
	f.write(name+"/tls.crt", certPEM)
	f.write(name+"/tls.key", keyPEM)
}

// trust has the clients verify the server by an authority.
func (f *xdsFiles) trust(ca *pki.CA) {
	f.Helper()
	for _, client := range []string{"old", "new", "issued"} {
		f.write(client+"/ca.crt", ca.PEM())
	}
}

// serving writes what the server shows.
func (f *xdsFiles) serving(ca *pki.CA) {
	f.Helper()
	certPEM, keyPEM, err := ca.IssueServer("xds", nil, []net.IP{net.IPv4(127, 0, 0, 1)})
	f.must(err)
	f.write("serving.crt", certPEM)
	f.write("serving.key", keyPEM)
}

// run runs gateway-apiserver in the folder. The error has what it says of its own.
func (f *xdsFiles) run(args ...string) error {
	command := exec.CommandContext(f.Context(), "gateway-apiserver", args...)
	command.Dir = f.dir
	if out, err := command.CombinedOutput(); err != nil {
		return errors.New(string(out))
	}
	return nil
}

// wrong is how what a client learns who reads the configuration of a Gateway isn't what it should: an error that says something, or
// none if that is empty.
func (f *xdsFiles) wrong(gateway, client, says string) error {
	err := f.run("xds", "--server="+f.server.XDS, "--gateway="+gateway, "--cert-dir="+client)
	if says == "" {
		return err
	}
	if err == nil || !strings.Contains(err.Error(), says) {
		return errors.Join(errors.New("want an error that says: "+says), err)
	}
	return nil
}

func (f *xdsFiles) reads(gateway, client, says string) {
	f.Helper()
	if err := f.wrong(gateway, client, says); err != nil {
		f.Errorf("%s reads %s: %v", client, gateway, err)
	}
}

// becomes waits until the client's own Gateway is as it should be.
func (f *xdsFiles) becomes(client, says string) {
	f.Helper()
	var err error
	if !script.Poll(func() bool {
		err = f.wrong("default/web", client, says)
		return err == nil
	}) {
		f.Fatalf("%s reads default/web: %v", client, err)
	}
}
