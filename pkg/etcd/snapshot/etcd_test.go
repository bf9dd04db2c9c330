package snapshot_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd/snapshot"
)

const prefix = "/ours"

// etcdOptions are how the etcd of a test is other than a new one of one member.
type etcdOptions struct {
	dir             string
	maxRequestBytes uint
}

// server is an etcd that can be stopped before the test ends.
type server struct {
	*embed.Etcd
	stop func()
}

// startEtcd starts an etcd that listens on loopback, as an operator's does, and returns it with a client.
func startEtcd(t *testing.T, o etcdOptions) (server, *clientv3.Client) {
	t.Helper()
	c := embed.NewConfig()
	c.Dir = o.dir
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "etcd")
	}
	c.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	c.ListenPeerUrls = nil
	c.InitialCluster = c.Name + "=" + c.AdvertisePeerUrls[0].String()
	c.TickMs, c.ElectionMs = 10, 100
	c.MaxRequestBytes = max(c.MaxRequestBytes, o.maxRequestBytes)
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	s := server{Etcd: e, stop: sync.OnceFunc(e.Close)}
	t.Cleanup(s.stop)
	<-e.Server.ReadyNotify()
	return s, newClient(t, "http://"+e.Clients[0].Addr().String())
}

func newClient(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func put(t *testing.T, client *clientv3.Client, key, value string, options ...clientv3.OpOption) {
	t.Helper()
	if _, err := client.Put(t.Context(), key, value, options...); err != nil {
		t.Fatal(err)
	}
}

// below returns what there is below a prefix.
func below(t *testing.T, client *clientv3.Client, prefix string) map[string]string {
	t.Helper()
	got, err := client.Get(t.Context(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, kv := range got.Kvs {
		values[string(kv.GetKey())] = string(kv.GetValue())
	}
	return values
}

func save(t *testing.T, client *clientv3.Client) (*snapshot.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot.db")
	f, err := snapshot.Save(t.Context(), client, path, prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, path
}

// wantError holds that err says something.
func wantError(t *testing.T, err error, saying string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), saying) {
		t.Errorf("want an error that says %q, have %v", saying, err)
	}
}
