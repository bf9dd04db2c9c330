package etcd

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// TestWritableDenied takes the right to write from the user of an etcd, and gives it back. Nobody writes meanwhile but the check.
func TestWritableDenied(t *testing.T) {
	t.Parallel()
	const prefix, key, role = "/ours", "/ours/key", "ours"
	e := startAuthenticating(t)
	root, client := e.connect("root"), e.connect("server")
	may := func(permission clientv3.PermissionType) {
		t.Helper()
		_, err := root.RoleGrantPermission(t.Context(), role, prefix, clientv3.GetPrefixRangeEnd(prefix), permission)
		e.must(err)
	}
	_, err := root.RoleAdd(t.Context(), role)
	e.must(err)
	_, err = root.UserGrantRole(t.Context(), "server", role)
	e.must(err)
	may(clientv3.PermissionType(clientv3.PermReadWrite))
	written, err := client.Put(t.Context(), key, "value")
	e.must(err)

	w := NewWritable(client, prefix)
	e.must(w.Check(t.Context()))
	if _, err := client.Put(t.Context(), "/theirs/key", "value"); TroubleOf(err) != Denied {
		t.Fatalf("a write that isn't allowed is answered with %v", err)
	}
	w.asked = time.Time{}
	e.must(w.Check(t.Context())) // as that wasn't below the prefix
	for range 2 {
		may(clientv3.PermissionType(clientv3.PermRead))
		e.becomes("denied", func() bool { return TroubleOf(w.Check(t.Context())) == Denied })
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.try(canceled, true); TroubleOf(err) != Denied {
			t.Errorf("a write without an answer is taken for one that is allowed: %v", err)
		}
		r, err := client.Get(t.Context(), key)
		e.must(err)
		if len(r.Kvs) != 1 || r.Header.Revision != written.Header.Revision {
			t.Errorf("there are %d keys at revision %d: want one at revision %d, that of its write", len(r.Kvs), r.Header.Revision, written.Header.Revision)
		}
		may(clientv3.PermissionType(clientv3.PermReadWrite))
		e.becomes("allowed", func() bool { return w.Check(t.Context()) == nil })
		if told, untold := w.try(canceled, true), w.try(canceled, false); told != nil || untold == nil {
			t.Errorf("no answer is taken for %v if members say that they take writes, and for %v if they don't say", told, untold)
		}
	}
	alarm := func(action etcdserverpb.AlarmRequest_AlarmAction) {
		t.Helper()
		_, err := etcdserverpb.NewMaintenanceClient(root.ActiveConnection()).Alarm(t.Context(),
			&etcdserverpb.AlarmRequest{Action: action, MemberID: written.Header.MemberId, Alarm: etcdserverpb.AlarmType_NOSPACE})
		e.must(err)
	}
	alarm(etcdserverpb.AlarmRequest_ACTIVATE)
	if err := w.try(t.Context(), false); TroubleOf(err) != NoSpace {
		t.Errorf("a write that there is no space for gets %v", err)
	}
	alarm(etcdserverpb.AlarmRequest_DEACTIVATE)
	e.must(w.try(t.Context(), false))
}

// authenticating is an etcd that knows its users by their certificates: root, and server, who has no role.
type authenticating struct {
	*testing.T
	ca       *pki.CA
	dir      string
	endpoint string
}

func startAuthenticating(t *testing.T) *authenticating {
	t.Helper()
	e := &authenticating{T: t, dir: t.TempDir()}
	var err error
	e.ca, err = pki.LoadOrMake(filepath.Join(e.dir, "ca"), "users")
	e.must(err)
	c := embed.NewConfig()
	c.Dir = filepath.Join(e.dir, "data")
	files := e.issue("etcd")
	c.ClientTLSInfo = transport.TLSInfo{CertFile: files.CertFile, KeyFile: files.KeyFile, TrustedCAFile: files.TrustedCAFile, ClientCertAuth: true}
	c.EnableGRPCGateway = false // which would hide whose certificate it is
	c.ListenClientUrls = []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	c.AdvertiseClientUrls = c.ListenClientUrls
	c.ListenPeerUrls = nil
	c.LogLevel = "panic"
	server, err := embed.StartEtcd(c)
	e.must(err)
	t.Cleanup(server.Close)
	<-server.Server.ReadyNotify()
	e.endpoint = "https://" + server.Clients[0].Addr().String()
	root := e.connect("root")
	for _, user := range []string{"root", "server"} {
		_, err := root.UserAddWithOptions(t.Context(), user, "", &clientv3.UserAddOptions{NoPassword: true})
		e.must(err)
	}
	_, err = root.RoleAdd(t.Context(), "root")
	e.must(err)
	_, err = root.UserGrantRole(t.Context(), "root", "root")
	e.must(err)
	_, err = root.AuthEnable(t.Context())
	e.must(err)
	return e
}

// issue writes a certificate for a user, or for the etcd.
func (e *authenticating) issue(name string) storagebackend.TransportConfig {
	e.Helper()
	dir := filepath.Join(e.dir, name)
	_, err := e.ca.Keep(dir, pki.Request{
		Subject: pkix.Name{CommonName: name}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
		Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, time.Now(), time.Hour)
	e.must(err)
	return storagebackend.TransportConfig{
		ServerList: []string{e.endpoint}, CertFile: filepath.Join(dir, pki.CertFile), KeyFile: filepath.Join(dir, pki.KeyFile),
		TrustedCAFile: filepath.Join(dir, pki.CAFile),
	}
}

// connect returns a client that is a user.
func (e *authenticating) connect(user string) *clientv3.Client {
	e.Helper()
	client, err := NewClient(e.issue(user))
	e.must(err)
	e.Cleanup(func() { client.Close() })
	return client
}

func (e *authenticating) becomes(what string, holds func() bool) {
	e.Helper()
	if err := wait.PollUntilContextTimeout(e.Context(), 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return holds(), nil
	}); err != nil {
		e.Fatal(fmt.Errorf("writes are not %s: %w", what, err))
	}
}

func (e *authenticating) must(errs ...error) {
	e.Helper()
	if err := errors.Join(errs...); err != nil {
		e.Fatal(err)
	}
}
