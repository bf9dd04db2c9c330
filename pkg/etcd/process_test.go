package etcd_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/durable"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// patience is how long a test waits for what has to happen in a few seconds.
const patience = 2 * time.Minute

// memberVariable makes a process of this binary an etcd member: it is the Member, as JSON.
const memberVariable = "ETCD_TEST_MEMBER"

func TestMain(m *testing.M) {
	if member := os.Getenv(memberVariable); member != "" {
		os.Exit(runMember(member))
	}
	os.Exit(m.Run())
}

// runMember runs a member until its standard input ends, as it does when the test's process ends in any way. It says
// where etcd is when that is ready, and answers each line with what Check says.
func runMember(config string) int {
	ctx, cancel := context.WithCancel(context.Background())
	questions := make(chan string)
	go func() {
		defer cancel()
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			questions <- lines.Text()
		}
	}()
	fail := func(err error) int {
		if ctx.Err() != nil {
			return 0
		}
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		return 1
	}
	var m etcd.Member
	if err := json.Unmarshal([]byte(config), &m); err != nil {
		return fail(err)
	}
	start := func() (*etcd.Server, error) { return etcd.StartMember(ctx, m) }
	if m.Name == "" {
		start = func() (*etcd.Server, error) { return etcd.Start(ctx, m.Dir) }
	}
	s, err := start()
	if err != nil {
		return fail(err)
	}
	defer s.Stop()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		return fail(err)
	}
	defer client.Close()
	fmt.Println(s.Endpoint())
	for {
		select {
		case err := <-s.Failed():
			return fail(err)
		case <-questions:
			bounded, cancel := context.WithTimeout(ctx, 3*time.Second)
			_, err := client.Get(bounded, "anything") // a majority has to agree
			fmt.Println(err)
			cancel()
		case <-ctx.Done():
			return 0
		}
	}
}

// process is a member in a process of its own.
type process struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.WriteCloser
	lines   chan string // that it has written; closed when it has ended
	log     *buffer
}

func startProcess(t *testing.T, m etcd.Member) *process {
	t.Helper()
	config, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, command: exec.Command(os.Args[0]), lines: make(chan string, 10), log: new(buffer)}
	p.command.Env = append(os.Environ(), memberVariable+"="+string(config))
	p.command.Stderr = p.log
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines <- lines.Text()
		}
		p.command.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() || testing.Verbose() {
			t.Logf("member %s said:\n%s", m.Name, p.log)
		}
	})
	return p
}

// client waits until the member takes part in the cluster, and connects to it.
func (p *process) client() *clientv3.Client {
	p.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{p.line()}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c
}

// check says what Check says: "<nil>", or an error.
func (p *process) check() string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, "check"); err != nil {
		p.t.Fatal(err)
	}
	return p.line()
}

func (p *process) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if ok {
			return line
		}
		p.t.Fatal("the member ended")
	case <-time.After(patience):
		p.t.Fatal("the member says nothing")
	}
	return ""
}

// kill ends the process as a power failure would.
func (p *process) kill() {
	p.command.Process.Kill()
	p.ended()
}

// stop ends the process as its operator would.
func (p *process) stop() {
	p.stdin.Close()
	p.ended()
}

func (p *process) ended() {
	for range p.lines {
	}
}

// says waits until the member has logged something.
func (p *process) says(something string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if !p.log.has(ctx, something) {
		p.t.Fatalf("the log has no %q", something)
	}
}

// buffer is a log that is written to and waited for.
type buffer struct {
	mu      sync.Mutex
	content bytes.Buffer
	grown   chan struct{}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grown != nil {
		close(b.grown)
		b.grown = nil
	}
	return b.content.Write(p)
}

func (b *buffer) has(ctx context.Context, something string) bool {
	for {
		b.mu.Lock()
		found := strings.Contains(b.content.String(), something)
		if b.grown == nil {
			b.grown = make(chan struct{})
		}
		grown := b.grown
		b.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return false
		}
	}
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}

// issuer issues certificates of one CA, in files.
type issuer struct {
	t   *testing.T
	ca  *pki.CA
	dir string
}

func newIssuer(t *testing.T, dir string) issuer {
	t.Helper()
	ca, err := pki.LoadOrMake(dir, "peers")
	if err != nil {
		t.Fatal(err)
	}
	return issuer{t, ca, dir}
}

// issue writes a certificate for a host. Another one for the same name replaces it.
func (i issuer) issue(name, host string) etcd.PeerTLS {
	i.t.Helper()
	request := pki.Request{
		Subject: pkix.Name{CommonName: name},
		Usages:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		request.IPs = []net.IP{ip}
	} else {
		request.DNSNames = []string{host}
	}
	certPEM, keyPEM, err := i.ca.Issue(request, time.Now(), time.Hour)
	if err != nil {
		i.t.Fatal(err)
	}
	files := etcd.PeerTLS{
		CertFile:      filepath.Join(i.dir, name+".crt"),
		KeyFile:       filepath.Join(i.dir, name+".key"),
		TrustedCAFile: filepath.Join(i.dir, "ca.crt"),
	}
	for path, content := range map[string][]byte{files.CertFile: certPEM, files.KeyFile: keyPEM} {
		if err := durable.WriteFile(path, content); err != nil {
			i.t.Fatal(err)
		}
	}
	return files
}

// clientConfig is mutual TLS with a certificate that issue has written.
func (i issuer) clientConfig(files etcd.PeerTLS) *tls.Config {
	i.t.Helper()
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		i.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(i.ca.PEM())
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}
}

// cluster is three members that are to be. The second is known by a name, the others by an address.
type cluster struct {
	issuer
	members map[string]etcd.Member
}

var names = []string{"a", "b", "c"}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{issuer: newIssuer(t, filepath.Join(t.TempDir(), "pki")), members: map[string]etcd.Member{}}
	hosts := map[string]string{"a": "127.0.0.1", "b": "localhost", "c": "127.0.0.1"}
	peers, listen := map[string]string{}, map[string]string{}
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // after all ports are taken
		listen[name] = l.Addr().String()
		_, port, _ := net.SplitHostPort(listen[name])
		peers[name] = (&url.URL{Scheme: "https", Host: net.JoinHostPort(hosts[name], port)}).String()
	}
	for _, name := range names {
		c.members[name] = etcd.Member{
			Dir: filepath.Join(t.TempDir(), name), Name: name, Peers: peers, Listen: listen[name], TLS: c.issue(name, hosts[name]),
		}
	}
	return c
}

func (c *cluster) start(name string) *process {
	c.t.Helper()
	return startProcess(c.t, c.members[name])
}

// wipe takes everything from a member, and returns where it went.
func (c *cluster) wipe(name string) string {
	c.t.Helper()
	away := filepath.Join(c.t.TempDir(), "away")
	if err := os.Rename(c.members[name].Dir, away); err != nil {
		c.t.Fatal(err)
	}
	return away
}
