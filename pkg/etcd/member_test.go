package etcd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
)

// eventually tries until there is no error: while members elect a leader, they refuse what they will do later.
func eventually(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	patient, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		ctx, cancel := context.WithTimeout(patient, time.Second)
		err := try(ctx)
		cancel()
		if err == nil {
			return
		}
		if patient.Err() != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// put writes a key through each client.
func put(t *testing.T, prefix string, clients map[string]*clientv3.Client) []string {
	t.Helper()
	var keys []string
	for name, c := range clients {
		key := prefix + "/" + name
		eventually(t, "writing through "+name, func(ctx context.Context) error {
			_, err := c.Put(ctx, key, "v")
			return err
		})
		keys = append(keys, key)
	}
	return keys
}

// has checks that a member has keys in its own data, whether the others answer or not.
func has(t *testing.T, name string, c *clientv3.Client, keys []string) {
	t.Helper()
	eventually(t, "reading what is committed through "+name, func(ctx context.Context) error {
		_, err := c.Get(ctx, "any")
		return err
	})
	for _, key := range keys {
		got, err := c.Get(t.Context(), key, clientv3.WithSerializable())
		if err != nil {
			t.Fatalf("reading %s from %s: %v", key, name, err)
		}
		if got.Count != 1 {
			t.Errorf("%s has no %s", name, key)
		}
	}
}

// members returns the members of the cluster.
func members(t *testing.T, c *clientv3.Client) (list []*etcdserverpb.Member) {
	t.Helper()
	eventually(t, "listing the members", func(ctx context.Context) error {
		response, err := c.MemberList(ctx)
		if err == nil {
			list = response.Members
		}
		return err
	})
	return list
}

// voters checks that the cluster has these voters, no learners, and no one else.
func voters(t *testing.T, c *clientv3.Client, want ...string) {
	t.Helper()
	got := map[string]bool{}
	for _, m := range members(t, c) {
		got[m.Name] = !m.IsLearner
	}
	for _, name := range want {
		if !got[name] || len(got) != len(want) {
			t.Fatalf("members (true if they vote): %v, want %v", got, want)
		}
	}
}

func TestThreeMembers(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	processes, clients := map[string]*process{}, map[string]*clientv3.Client{}
	startAll := func() {
		for _, name := range names {
			processes[name] = cluster.start(name)
		}
		for _, name := range names {
			clients[name] = processes[name].client()
		}
	}
	startAll()
	voters(t, clients["a"], names...)
	keys := put(t, "first", clients)

	for _, lost := range names {
		processes[lost].kill()
		clients[lost].Close()
		delete(clients, lost)
		keys = append(keys, put(t, "without "+lost, clients)...)
		former := cluster.wipe(lost)
		if lost == "b" { // it is interrupted
			p := cluster.start(lost)
			cluster.joins(lost)
			p.kill()
		}
		processes[lost] = cluster.start(lost)
		clients[lost] = processes[lost].client()
		voters(t, clients[lost], names...)
		keys = append(keys, put(t, "with "+lost, clients)...)
		has(t, lost, clients[lost], keys)

		if lost == "c" { // what it had before is no good any more
			processes[lost].stop()
			current := cluster.wipe(lost)
			if err := os.Rename(former, cluster.members[lost].Dir); err != nil {
				t.Fatal(err)
			}
			p := cluster.start(lost)
			p.says("the cluster has removed this member")
			p.ended()
			cluster.wipe(lost)
			if err := os.Rename(current, cluster.members[lost].Dir); err != nil {
				t.Fatal(err)
			}
			processes[lost] = cluster.start(lost)
			clients[lost] = processes[lost].client()
		}
	}

	for _, p := range processes {
		p.kill()
	}
	startAll()
	for _, name := range names {
		has(t, name, clients[name], keys)
	}

	if got := processes["a"].check(); got != "<nil>" {
		t.Errorf("a in the cluster: %s", got)
	}
	processes["b"].kill()
	processes["c"].kill()
	if got := processes["a"].check(); got == "<nil>" {
		t.Error("a without the others believes that it is in a cluster")
	}

	// The member that made the cluster comes back with nothing, to nobody.
	processes["a"].kill()
	cluster.wipe("a")
	a := cluster.start("a")
	a.says("there may be a cluster, and b does not answer")
	b := cluster.start("b")
	a.says("there is a cluster, and b is not in touch with it yet")
	c := cluster.start("c")
	has(t, "a", a.client(), keys)
	has(t, "b", b.client(), keys)
	has(t, "c", c.client(), keys)
}

// joins waits until the member is about to be added to the cluster, or has been.
func (c *cluster) joins(name string) {
	c.t.Helper()
	m := c.members[name]
	eventually(c.t, name+" joins", func(context.Context) error {
		_, body, err := c.request(m.TLS, http.MethodGet, m.Peers[name]+"/gateway-apiserver/status", "")
		if strings.Contains(body, `"state":"empty"`) {
			return errors.New(body)
		}
		return err
	})
}

// request makes one request with the certificate in files.
func (c *cluster) request(files etcd.PeerTLS, method, url, body string) (int, string, error) {
	client := http.Client{Transport: &http.Transport{TLSClientConfig: c.clientConfig(files), DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(c.t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

func TestOneBecomesThree(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	alone := startProcess(t, etcd.Member{Dir: cluster.members["b"].Dir})
	keys := put(t, "alone", map[string]*clientv3.Client{"b": alone.client()})
	alone.stop()

	a, c := cluster.start("a"), cluster.start("c")
	a.says("there may be a cluster, and b does not answer")
	b := cluster.start("b")
	client := b.client()
	has(t, "a", a.client(), keys)
	has(t, "b", client, keys)
	has(t, "c", c.client(), keys)

	for _, m := range members(t, client) {
		if m.Name == "a" {
			eventually(t, "removing a", func(ctx context.Context) error {
				_, err := client.MemberRemove(ctx, m.ID)
				return err
			})
		}
	}
	a.says("the cluster has removed this member")
	a.ended()

	b.stop()
	alone = startProcess(t, etcd.Member{Dir: cluster.members["b"].Dir})
	alone.says("this is the data of one of 2 members of a cluster")
	alone.ended()
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	processes := map[string]*process{}
	for _, name := range names {
		processes[name] = cluster.start(name)
	}
	client := processes["a"].client()
	for _, name := range names[1:] {
		processes[name].client()
	}
	a := cluster.members["a"]
	strangers := newIssuer(t, t.TempDir())
	join := func(name string) string { return fmt.Sprintf(`{"name":%q}`, name) }

	for _, test := range []struct {
		name               string
		files              etcd.PeerTLS
		method, path, body string
		status             int    // 0: refused in the handshake
		answer             string // has this
	}{
		{name: "a member", files: a.TLS, method: http.MethodGet, path: "/gateway-apiserver/status", status: http.StatusOK, answer: `"state":"voter"`},
		{name: "another CA", files: strangers.issue("stranger", "127.0.0.1"), method: http.MethodGet, path: "/members"},
		{name: "another CA asks for the status", files: strangers.issue("stranger", "127.0.0.1"), method: http.MethodGet, path: "/gateway-apiserver/status"},
		{name: "a certificate for another host", files: cluster.issue("other", "other.example"), method: http.MethodGet, path: "/members"},
		{name: "an unknown name", files: a.TLS, method: http.MethodPost, path: "/gateway-apiserver/join", body: join("d"),
			status: http.StatusForbidden, answer: `"d" is not among the peers`},
		{name: "the name of the one that is asked", files: a.TLS, method: http.MethodPost, path: "/gateway-apiserver/join", body: join("a"),
			status: http.StatusForbidden, answer: `"a" is not among the peers`},
		{name: "another member's name", files: cluster.members["c"].TLS, method: http.MethodPost, path: "/gateway-apiserver/join", body: join("b"),
			status: http.StatusForbidden, answer: "the certificate is not that of b"},
		{name: "a member that is well", files: cluster.members["b"].TLS, method: http.MethodPost, path: "/gateway-apiserver/join", body: join("b"),
			status: http.StatusServiceUnavailable, answer: "does not join (voter)"},
		{name: "no request", files: a.TLS, method: http.MethodPost, path: "/gateway-apiserver/join", body: "{",
			status: http.StatusBadRequest},
	} {
		status, answer, err := cluster.request(test.files, test.method, a.Peers["a"]+test.path, test.body)
		if status != test.status || (err == nil) != (test.status != 0) || !strings.Contains(answer, test.answer) {
			t.Errorf("%s: status %d, answer %q, error %v", test.name, status, answer, err)
		}
	}
	voters(t, client, names...)

	// A renewed certificate is shown at the next handshake.
	before := cluster.serial("a")
	cluster.issue("a", "127.0.0.1")
	if after := cluster.serial("a"); after == before {
		t.Error("a shows the certificate that it started with")
	}
	// And peers connect with theirs.
	processes["c"].kill()
	has(t, "c", cluster.start("c").client(), put(t, "renewed", map[string]*clientv3.Client{"a": client}))
}

// serial is the serial number of the certificate that a member shows.
func (c *cluster) serial(name string) string {
	c.t.Helper()
	m := c.members[name]
	connection, err := tls.Dial("tcp", m.Listen, c.clientConfig(m.TLS))
	if err != nil {
		c.t.Fatal(err)
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestTwoClusters(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	for _, name := range []string{"b", "c"} {
		p := startProcess(t, etcd.Member{Dir: cluster.members[name].Dir})
		p.client()
		p.stop()
	}
	b := cluster.start("b")
	b.client()
	c := cluster.start("c")
	c.says("b and c have the data of different clusters")
	c.ended()

	cluster.wipe("c")
	client := cluster.start("c").client()
	cluster.start("a").client()
	voters(t, client, names...)
}
