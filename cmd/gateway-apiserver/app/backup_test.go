package app

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/election"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
)

// externalEtcd starts an etcd that listens on loopback, as an operator's does, and returns its URL and a client.
func externalEtcd(t *testing.T) (string, *clientv3.Client) {
	t.Helper()
	c := embed.NewConfig()
	c.Dir = filepath.Join(t.TempDir(), "etcd")
	c.ListenClientUrls, c.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}, nil
	c.InitialCluster = c.Name + "=" + c.AdvertisePeerUrls[0].String()
	c.TickMs, c.ElectionMs = 10, 100
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()
	endpoint := "http://" + e.Clients[0].Addr().String()
	return endpoint, etcdClient(t, endpoint)
}

// allKeys returns what there is in an etcd.
func allKeys(t *testing.T, client *clientv3.Client) map[string]string {
	t.Helper()
	got, err := client.Get(t.Context(), "", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, kv := range got.Kvs {
		values[string(kv.GetKey())] = string(kv.GetValue())
	}
	return values
}

// TestBackupOfEitherKind takes what a standalone server has stored to the etcd of a cluster's server, and from there to an
// embedded one.
func TestBackupOfEitherKind(t *testing.T) {
	t.Parallel()
	const routes, secrets = "/gateway.networking.k8s.io/httproutes/default/", "/secrets/default/"
	dir, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	storeRaw(t, dir, map[string]string{
		routes + "a":  fmt.Sprintf(storedRoute, "a"),
		routes + "b":  encryptedPrefix + "aescbc:v1:key:what nobody can read",
		routes + "c":  "{what nobody can read either",
		secrets + "s": `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s","namespace":"default"}}`,
		"/discovery.k8s.io/endpointslices/default/e": `{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"e","namespace":"default"}}`,
	})
	dir.close()

	var stdout, stderr bytes.Buffer
	file := filepath.Join(t.TempDir(), "backup.db")
	backup := func(from etcdFlags, to string) error {
		stdout.Reset()
		stderr.Reset()
		from.prefix = storagePrefix
		return (&backupCommand{etcd: from, outputFile: to}).run(t.Context(), &stdout, &stderr)
	}
	restore := func(from string, to etcdFlags, replace bool) error {
		stdout.Reset()
		stderr.Reset()
		to.prefix = storagePrefix
		return (&restoreCommand{etcd: to, from: from, replace: replace}).run(t.Context(), strings.NewReader(""), &stdout, &stderr)
	}
	said := func(out *bytes.Buffer, lines ...string) {
		t.Helper()
		for _, line := range lines {
			if !strings.Contains(out.String(), line) {
				t.Errorf("it did not say %q, but\n%s%s", line, &stdout, &stderr)
			}
		}
	}
	if err := backup(etcdFlags{dataDir: dir.path}, file); err != nil {
		t.Fatal(err)
	}
	said(&stdout, "\n  EndpointSlice ", "\n  HTTPRoute ", "\n  Secret ", "\n  httproutes.gateway.networking.k8s.io, encrypted ", "\n  unreadable ", "\nobjects: ")
	said(&stderr, "warning: this release can't decode 1 objects, the first of which is "+storagePrefix+routes+"c: ")

	endpoint, client := externalEtcd(t)
	external := etcdFlags{}
	external.transport.ServerList = []string{endpoint}
	if _, err := client.Put(t.Context(), "/registry/secrets/default/theirs", "untouched"); err != nil {
		t.Fatal(err)
	}
	// A replica runs there.
	candidate := election.Prefix(storagePrefix) + "/1"
	if _, err := client.Put(t.Context(), candidate, "replica-1"); err != nil {
		t.Fatal(err)
	}
	if err := restore(file, external, true); err == nil || !strings.Contains(err.Error(), "gateway-apiserver runs on this etcd (replica-1)") {
		t.Errorf("restoring while a replica runs: %v", err)
	}
	if _, err := client.Delete(t.Context(), candidate); err != nil {
		t.Fatal(err)
	}
	if err := restore(file, external, false); err != nil {
		t.Fatal(err)
	}
	said(&stdout, "restored 3 objects, deleted 0\n")
	said(&stderr, "left out: 2 objects of kinds that the server of a cluster leaves to kube-apiserver\n")
	want := map[string]string{
		storagePrefix + routes + "a":       fmt.Sprintf(storedRoute, "a"),
		storagePrefix + routes + "b":       encryptedPrefix + "aescbc:v1:key:what nobody can read",
		storagePrefix + routes + "c":       "{what nobody can read either",
		"/registry/secrets/default/theirs": "untouched",
	}
	if got := allKeys(t, client); !maps.Equal(got, want) {
		t.Errorf("the etcd has %v, want %v", got, want)
	}
	// It is there now.
	if err := restore(file, external, false); err == nil || !strings.Contains(err.Error(), "--replace replaces them") {
		t.Errorf("restoring once more: %v", err)
	}

	if err := backup(external, file); err != nil {
		t.Fatal(err)
	}
	said(&stdout, "\nkeys of others: ")
	embedded := t.TempDir()
	if err := restore(file, etcdFlags{embedded: embedded}, false); err != nil {
		t.Fatal(err)
	}
	said(&stdout, "restored 3 objects, deleted 0\n")
	server, err := etcd.Start(t.Context(), embedded)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	delete(want, "/registry/secrets/default/theirs")
	if got := allKeys(t, etcdClient(t, server.Endpoint())); !maps.Equal(got, want) {
		t.Errorf("the embedded etcd has %v, want %v", got, want)
	}
	// While it runs.
	if err := backup(etcdFlags{embedded: embedded}, standardStream); err != nil {
		t.Fatal(err)
	}
	streamed := bytes.NewReader(stdout.Bytes())
	last := &restoreCommand{etcd: etcdFlags{dataDir: filepath.Join(t.TempDir(), "last"), prefix: storagePrefix}, from: standardStream}
	if err := last.run(t.Context(), streamed, io.Discard, &stderr); err != nil {
		t.Fatal(err)
	}
}

func TestResourceOf(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"/p/gateway.networking.k8s.io/httproutes/default/a": "httproutes.gateway.networking.k8s.io",
		"/p/gateway.networking.k8s.io/gatewayclasses/a":     "gatewayclasses.gateway.networking.k8s.io",
		"/p/secrets/default/a":                              "secrets",
		"/p/namespaces/a.b":                                 "namespaces",
		"/p/odd":                                            "odd",
	} {
		if got := resourceOf(key, "/p"); got != want {
			t.Errorf("%s is stored as %q, want %q", key, got, want)
		}
	}
}
