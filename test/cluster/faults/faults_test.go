// Package faults tests what is left of a server in a cluster after something has happened to it, or to what it depends on,
// while clients write: every write that was acknowledged, in the order in which watches told it, and statuses and an Envoy
// configuration that are what a replica makes of it that has seen nothing of all that.
package faults

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// TestFaults has one thing after the other happen to two replicas, of which it restarts none but those that were killed.
// A third one runs only between the faults, as the reference.
func TestFaults(t *testing.T) {
	t.Parallel()
	kube := cluster.Start(t)
	installed, err := kube.Install(t.Context(), cluster.InstallOptions{
		Flags: []string{"--replicas=3", "--channel=experimental"},
		Serve: []string{"--self-signed-interval=1s", "--self-signed-grace=1s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, kube, installed)
	replicas, reference := installed.Replicas[:2], installed.Replicas[2]
	s.must(reference.Stop())
	for _, fault := range []struct {
		name   string
		happen func(*scene, ...*cluster.Replica)
	}{
		{"clients write through one replica after the other", writeInTurn},
		{"the leader is killed", killLeader},
		{"another replica is killed", killFollower},
		{"etcd is killed", killEtcd},
		{"kube-apiserver is killed, and has another front proxy CA", restartAPIServer},
		{"kube-apiserver is out of reach", cutOff},
		{"the serving CA is replaced", replaceCA},
	} {
		if !t.Run(fault.name, func(t *testing.T) {
			s := *s
			s.T = t
			s.begin(replicas...)
			fault.happen(&s, replicas...)
			s.Log("it has happened")
			s.leader(replicas...) // which the reference is not to become
			s.must(reference.Start(t.Context()))
			s.check(reference, replicas...)
			s.must(reference.Stop())
		}) {
			break // what comes next would find what this one has left
		}
	}
}

// killLeader kills the replica that writes the statuses that others leave behind.
func killLeader(s *scene, replicas ...*cluster.Replica) {
	leader := s.leader(replicas...)
	s.must(leader.Kill())
	s.progressWithout(leader)
	s.must(leader.Start(s.Context()))
	s.progress(s.clients...)
	next := s.leader(replicas...)
	if next == leader {
		s.Errorf("%s leads again, and the other one has waited for longer", leader.Name)
	}
	killLast(s, next)
}

func killFollower(s *scene, replicas ...*cluster.Replica) {
	leader := s.leader(replicas...)
	for _, r := range replicas {
		if r != leader {
			killLast(s, r)
		}
	}
}

// killLast kills a replica at the last moment: no client writes after that, and so nobody but the other replica does what this
// one has left undone. If it was the leader, there is none for a while in which Services and the like change.
func killLast(s *scene, victim *cluster.Replica) {
	s.must(victim.Kill())
	s.stop()
	s.changeCore()
	s.must(victim.Start(s.Context()))
}

func killEtcd(s *scene, _ ...*cluster.Replica) {
	etcd := s.installed.Etcd
	s.must(etcd.Kill())
	s.must(etcd.Start(s.Context()))
	s.progress(s.clients...)
	s.must(etcd.Kill())
	s.changeCore()
	s.must(etcd.Start(s.Context()))
	s.stop()
}

// restartAPIServer leaves clients only the direct way for a while. Then kube-apiserver passes its users on with a certificate
// of a CA that the replicas didn't know when they started.
func restartAPIServer(s *scene, _ ...*cluster.Replica) {
	ca, err := pki.LoadOrMake(s.TempDir(), "another-front-proxy-ca")
	s.must(err)
	certPEM, keyPEM, err := ca.IssueClient(cluster.FrontProxyName)
	s.must(err)
	s.must(s.kube.APIServer.Kill())
	for _, client := range s.direct {
		s.progress(client)
	}
	for file, content := range map[string][]byte{
		"front-proxy-ca/ca.crt":         ca.PEM(),
		cluster.FrontProxyName + ".crt": certPEM,
		cluster.FrontProxyName + ".key": keyPEM,
	} {
		s.must(os.WriteFile(filepath.Join(s.kube.Dir, file), content, 0o600))
	}
	s.must(s.kube.APIServer.Start(s.Context()))
	s.progress(s.clients...)
}

// cutOff cuts the way of the replicas to kube-apiserver, where Services, Secrets and the like change meanwhile. No watch of
// theirs can go on afterwards where it ended, as after a cut that is longer than kube-apiserver remembers events: it
// remembers none from before its start.
func cutOff(s *scene, replicas ...*cluster.Replica) {
	for _, r := range replicas {
		r.Cluster.Cut()
	}
	s.progress(s.clients...)
	s.must(s.kube.APIServer.Kill())
	s.must(s.kube.APIServer.Start(s.Context()))
	s.stop() // no write has the replicas look at a Service, or ask for a Secret
	for _, r := range replicas {
		r.Cluster.Mend()
	}
}

// replaceCA does what an administrator does whose serving CA was lost to somebody. Nobody notices: not who comes by
// kube-apiserver, and not who is connected to a replica and trusts only the old CA.
func replaceCA(s *scene, replicas ...*cluster.Replica) {
	secrets := s.kube.Clientset().CoreV1().Secrets(s.installed.Namespace)
	const name = "gateway-apiserver-ca"
	old, err := secrets.Get(s.Context(), name, metav1.GetOptions{})
	s.must(err)
	s.must(secrets.Delete(s.Context(), name, metav1.DeleteOptions{}))
	for _, r := range replicas {
		s.eventually(func(ctx context.Context) string {
			secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			ca := secret.Data[corev1.TLSCertKey]
			if string(ca) == string(old.Data[corev1.TLSCertKey]) {
				return "the CA is the old one"
			}
			return serves(ctx, s, r, ca)
		})
	}
	s.progress(s.clients...)
	for _, c := range s.clients {
		if err := c.lastFailure(); err != nil {
			s.Errorf("%d requests of %s failed: %v", c.failed.Load(), c.name, err)
		}
	}
	for _, w := range s.watchers {
		w.mu.Lock()
		if w.ends > 0 {
			s.Errorf("%s: a watch of %s ended", w.way, w.kind)
		}
		w.mu.Unlock()
	}
}

// serves says why a new connection to a replica isn't one to a server that the CA vouches for; it is empty if it is.
func serves(ctx context.Context, s *scene, r *cluster.Replica, ca []byte) string {
	config := s.to(r)
	config.CAData = ca
	tlsConfig, err := rest.TLSConfigFor(config)
	s.must(err)
	conn, err := (&tls.Dialer{Config: tlsConfig}).DialContext(ctx, "tcp", r.Addr)
	if err != nil {
		return err.Error()
	}
	s.must(conn.Close())
	return ""
}
