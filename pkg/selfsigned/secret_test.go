package selfsigned_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/selfsigned"
	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

func TestMain(m *testing.M) { standalone.Main(m) }

const (
	namespace = "default"
	replicas  = 3
	// deadline is when something that happens by itself is given up.
	deadline = 60 * time.Second
)

// cluster runs a server that has Secrets, and no APIServices.
func cluster(t *testing.T) *rest.Config {
	t.Helper()
	server, err := standalone.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Kill() }) // whatever it has logged about requests that ended with the test
	config, err := clientcmd.BuildConfigFromFlags("", server.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return config
}

func secrets(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func get(t *testing.T, client kubernetes.Interface, name string) *corev1.Secret {
	t.Helper()
	secret, err := client.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: still not", what)
		}
	}
}

// replica is a server with a certificate of its own.
type replica struct {
	certificates *selfsigned.Certificates
	address      string
}

// start starts a server as kube-apiserver's libraries do.
func start(ctx context.Context, config *rest.Config) (*replica, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	aggregated, err := aggregator.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	certificates, err := selfsigned.New(ctx, selfsigned.Config{
		Client: client, APIServices: aggregated.ApiregistrationV1().APIServices(), APIServiceNames: []string{"v1.gateway.networking.k8s.io"},
		Namespace: namespace, Service: "api", Grace: time.Second,
	})
	if err != nil {
		return nil, err
	}
	options := genericoptions.NewSecureServingOptions()
	options.BindAddress, options.ServerCert.GeneratedCert = net.IPv4(127, 0, 0, 1), certificates
	if options.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	var serving *genericapiserver.SecureServingInfo
	if err := options.ApplyTo(&serving); err != nil {
		return nil, err
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	if _, _, err := serving.Serve(hello, time.Second, ctx.Done()); err != nil {
		return nil, err
	}
	return &replica{certificates, options.Listener.Addr().String()}, nil
}

// startAll starts replicas at the same time.
func startAll(t *testing.T, config *rest.Config) []*replica {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	all, errs := make([]*replica, replicas), make([]error, replicas)
	var starting sync.WaitGroup
	for i := range replicas {
		starting.Go(func() { all[i], errs[i] = start(ctx, config) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		running.Go(func() { r.certificates.Run(ctx) })
	}
	return all
}

// ask sends a request on a new connection, as kube-apiserver would that trusts a bundle, and returns the issuer of the certificate.
func ask(r *replica, bundle []byte) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "api." + namespace + ".svc"}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: deadline}).Get("https://" + r.address)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return nil, err
	}
	chain := response.TLS.VerifiedChains[0]
	return chain[len(chain)-1], nil
}

// TestReplicas holds that replicas that start at the same time share a CA, and follow when it changes, without a request
// that fails for those who trust what the Secret says.
func TestReplicas(t *testing.T) {
	t.Parallel()
	config := cluster(t)
	client := secrets(t, config)
	all := startAll(t, config)
	name := selfsigned.DefaultSecret
	shared, err := all[0].certificates.Derive("test")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range all {
		if secret, err := r.certificates.Derive("test"); err != nil || !bytes.Equal(secret, shared) {
			t.Errorf("replica %d has another secret than the first (%v)", i, err)
		}
		if _, err := ask(r, all[0].certificates.CurrentCABundleContent()); err != nil {
			t.Errorf("by what the first replica trusts, replica %d is: %v", i, err)
		}
	}

	var bundle, signs []byte // what the Secret said the last time
	// arrives waits until all replicas serve certificates of another CA than the old one, and asks them all the time.
	arrives := func(old []byte) []byte {
		t.Helper()
		read := func() {
			secret, err := client.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
			if err == nil { // or it is about to be made again
				bundle, signs = secret.Data["ca.crt"], secret.Data["tls.crt"]
			}
		}
		eventually(t, "the replicas serve certificates of the new CA", func() bool {
			read()
			arrived := len(signs) > 0 && !bytes.Equal(signs, old)
			for i, r := range all {
				issuer, err := ask(r, bundle)
				if before := bundle; err != nil {
					if read(); bytes.Equal(before, bundle) {
						t.Fatalf("replica %d: %v", i, err)
					}
					return false // trust has changed under the request
				}
				arrived = arrived && bytes.Equal(signs, encode(issuer))
			}
			return arrived
		})
		return signs
	}
	first := arrives(nil)
	if !bytes.Equal(get(t, client, name).Data["ca.crt"], first) {
		t.Error("more than one CA is trusted at the start")
	}

	// Somebody deletes the Secret.
	if err := client.CoreV1().Secrets(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	second := arrives(first)

	// Somebody puts their own CA there.
	own, err := pki.NewCA(pkix.Name{CommonName: "own"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := own.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	secret := get(t, client, name)
	secret.Data["tls.crt"], secret.Data["tls.key"] = own.PEM(), keyPEM
	if _, err := client.CoreV1().Secrets(namespace).Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if third := arrives(second); !bytes.Equal(third, own.PEM()) {
		t.Error("the CA that somebody has put there was replaced")
	}
	bundle = get(t, client, name).Data["ca.crt"]
	for _, ca := range [][]byte{first, second} {
		if !bytes.Contains(bundle, ca) {
			t.Error("a CA whose certificates may be served is not trusted any more")
		}
	}
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// TestBroken holds that a server waits until somebody has repaired a Secret that it can't use.
func TestBroken(t *testing.T) {
	t.Parallel()
	config := cluster(t)
	client := secrets(t, config)
	broken := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: selfsigned.DefaultSecret}, Data: map[string][]byte{"tls.crt": []byte("x"), "tls.key": []byte("y")}}
	if _, err := client.CoreV1().Secrets(namespace).Create(t.Context(), broken, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ctx = klog.NewContext(ctx, funcr.New(func(_, line string) {
		if strings.Contains(line, "will try again") {
			stop()
		}
	}, funcr.Options{}))
	if _, err := start(ctx, config); err == nil || !strings.Contains(err.Error(), "delete the Secret to have one made") {
		t.Errorf("error %v, want one that says what to do", err)
	}
	if got := get(t, client, selfsigned.DefaultSecret); !bytes.Equal(got.Data["tls.crt"], broken.Data["tls.crt"]) {
		t.Error("what somebody has put into the Secret was replaced")
	}
}

// TestPeers holds that peers that start at the same time trust each other, and go on to after the Secret was deleted.
func TestPeers(t *testing.T) {
	t.Parallel()
	config := cluster(t)
	client := secrets(t, config)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	dirs, errs := make([]string, replicas), make([]error, replicas)
	var starting sync.WaitGroup
	for i := range replicas {
		dirs[i] = filepath.Join(t.TempDir(), "peer")
		starting.Go(func() {
			peer, err := selfsigned.NewPeer(ctx, selfsigned.PeerConfig{
				Client: client, Namespace: namespace, Dir: dirs[i], DNSNames: []string{fmt.Sprintf("peer-%d", i)}, Interval: 50 * time.Millisecond,
			})
			errs[i] = err
			if err == nil {
				running.Go(func() { peer.Run(ctx) })
			}
		})
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for i, server := range dirs {
		for _, client := range dirs {
			if err := handshake(server, client, fmt.Sprintf("peer-%d", i)); err != nil {
				t.Error(err)
			}
		}
	}
	for _, file := range []string{selfsigned.PeerTrustFile, selfsigned.PeerCertificateFile, selfsigned.PeerKeyFile} {
		info, err := os.Stat(filepath.Join(dirs[0], file))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}

	before := get(t, client, selfsigned.DefaultPeersSecret)
	if err := client.CoreV1().Secrets(namespace).Delete(t.Context(), before.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Secret is made again", func() bool {
		_, err := client.CoreV1().Secrets(namespace).Get(t.Context(), before.Name, metav1.GetOptions{})
		return err == nil
	})
	for key, value := range before.Data {
		if after := get(t, client, before.Name); !bytes.Equal(value, after.Data[key]) {
			t.Errorf("%s of the Secret that was deleted has changed", key)
		}
	}
}

// handshake connects two peers by what is in their folders.
func handshake(serverDir, clientDir, name string) error {
	server, err := peerTLS(serverDir)
	if err != nil {
		return err
	}
	client, err := peerTLS(clientDir)
	if err != nil {
		return err
	}
	server.ClientAuth, client.ServerName = tls.RequireAndVerifyClientCert, name
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() { done <- tls.Server(a, server).Handshake() }()
	if err := tls.Client(b, client).Handshake(); err != nil {
		return err
	}
	return <-done
}

func peerTLS(dir string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, selfsigned.PeerCertificateFile), filepath.Join(dir, selfsigned.PeerKeyFile))
	if err != nil {
		return nil, err
	}
	bundle, err := os.ReadFile(filepath.Join(dir, selfsigned.PeerTrustFile))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool}, nil
}
