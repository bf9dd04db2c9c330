package selfsigned

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	mathrand "math/rand"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// simulation is a cluster without a network: one Secret, one APIService, a kube-apiserver that notices late what the
// APIService trusts, and replicas that look at them in any order and at any time.
type simulation struct {
	t          *testing.T
	random     *mathrand.Rand
	clock      *clocktesting.FakeClock
	config     Config
	secret     *corev1.Secret
	apiService *apiregistrationv1.APIService
	noticed    []byte // by kube-apiserver
	notices    []notice
	replicas   []*Certificates
	looked     map[*Certificates]time.Time // when they reached the cluster the last time
	back       map[*Certificates]time.Time // when they did after a long time
}

// notice is a caBundle that kube-apiserver will notice.
type notice struct {
	at     time.Time
	bundle []byte
}

func newSimulation(t *testing.T, seed int64) *simulation {
	clock := clocktesting.NewFakeClock(start)
	s := &simulation{
		t: t, random: mathrand.New(mathrand.NewSource(seed)), clock: clock, config: config(clock),
		secret: &corev1.Secret{}, looked: map[*Certificates]time.Time{}, back: map[*Certificates]time.Time{},
		apiService: &apiregistrationv1.APIService{Spec: apiregistrationv1.APIServiceSpec{
			Service: &apiregistrationv1.ServiceReference{Namespace: "gateways", Name: "api"},
		}},
	}
	for range 3 {
		s.replicas = append(s.replicas, &Certificates{config: s.config})
	}
	return s
}

// look is a step of a replica that reaches the cluster.
func (s *simulation) look(c *Certificates) {
	var served *x509.Certificate
	if c.leaf != nil {
		served = c.leaf.issuer()
	}
	a, next, err := s.config.settle(s.secret, s.clock.Now(), served, func() ([]*x509.Certificate, error) { return bundleOf(s.apiService), nil })
	if err != nil {
		s.t.Fatal(err)
	}
	s.secret = next
	if s.cutOff(c) {
		s.back[c] = s.clock.Now()
	}
	s.looked[c] = s.clock.Now()
	c.adopt(s.ctx(), a)
	patch, err := s.config.patch(s.apiService, a.bundle)
	if err != nil {
		s.t.Fatal(err)
	}
	before := patch == nil || trusts(s.apiService, a.ca.Certificate())
	if patch != nil {
		if err := json.Unmarshal(patch, s.apiService); err != nil {
			s.t.Fatal(err)
		}
		s.notices = append(s.notices, notice{s.clock.Now().Add(time.Duration(s.random.Int63n(int64(s.config.Grace)))), a.bundle})
	}
	c.trust.observe(true, before, a.since, s.clock.Now())
	s.renew(c)
}

// cutOff says whether a replica could not look for as long as its certificate is still good when it is to be renewed.
func (s *simulation) cutOff(c *Certificates) bool {
	return s.clock.Since(s.looked[c]) > s.config.Life/3
}

// ctx has a logger that says nothing.
func (s *simulation) ctx() context.Context { return klog.NewContext(s.t.Context(), klog.Logger{}) }

func (s *simulation) renew(c *Certificates) {
	if err := c.renew(s.ctx(), s.clock.Now()); err != nil {
		s.t.Fatal(err)
	}
}

// pass lets time go on, and kube-apiserver notice.
func (s *simulation) pass(d time.Duration) {
	s.clock.Step(d)
	for len(s.notices) > 0 && !s.clock.Now().Before(s.notices[0].at) {
		s.noticed, s.notices = s.notices[0].bundle, s.notices[1:]
	}
}

// act does something that can happen, and says what it was.
func (s *simulation) act() string {
	i := s.random.Intn(len(s.replicas))
	c := s.replicas[i]
	switch n := s.random.Intn(100); {
	case n < 40:
		d := []time.Duration{time.Second, 10 * time.Second, time.Minute, day, 20 * day, 300 * day}[s.random.Intn(6)]
		s.pass(d)
		return fmt.Sprintf("%v pass", d)
	case n < 85:
		s.look(c)
		return fmt.Sprintf("replica %d looks", i)
	case n < 91:
		s.renew(c)
		return fmt.Sprintf("replica %d reaches nothing", i)
	case n < 94:
		s.replicas[i] = &Certificates{config: s.config}
		return fmt.Sprintf("replica %d starts again", i)
	case n < 97:
		s.secret = &corev1.Secret{}
		return "the Secret is deleted"
	default:
		own, err := pki.NewCA(pkix.Name{CommonName: fmt.Sprint("own ", s.random.Int())}, s.clock.Now(), s.config.CALife)
		if err != nil {
			s.t.Fatal(err)
		}
		if s.random.Intn(2) == 0 {
			s.secret = &corev1.Secret{} // replaced, not applied
		}
		s.secret = put(s.t, s.secret, own)
		return "somebody puts a CA into the Secret"
	}
}

// TestRotation holds that kube-apiserver trusts what replicas serve, whatever happens in whatever order.
func TestRotation(t *testing.T) {
	t.Parallel()
	for range 10 {
		seed := mathrand.Int63()
		s := newSimulation(t, seed)
		s.look(s.replicas[0])
		s.pass(s.config.Grace)
		var history []string
		for range 150 {
			history = append(history, s.act())
			for i, c := range s.replicas {
				if c.leaf == nil || s.cutOff(c) || s.clock.Since(s.back[c]) < s.config.Grace {
					continue
				}
				if err := verify(c.certPEM, s.noticed, "api.gateways.svc", s.clock.Now()); err != nil {
					t.Fatalf("seed %d: replica %d serves what is not trusted: %v\n%q", seed, i, err, history[max(0, len(history)-30):])
				}
			}
		}
		s.converge(seed)
	}
}

// converge holds that all replicas come to the same CA, and all others go, when nothing happens for long enough.
func (s *simulation) converge(seed int64) {
	for _, d := range []time.Duration{s.config.overlap(), s.config.overlap(), s.config.Grace, 0} {
		for _, c := range s.replicas {
			s.look(c)
		}
		s.pass(d)
	}
	for i, c := range s.replicas {
		if !bytes.Equal(c.leaf.issuer().Raw, c.authority.ca.Certificate().Raw) {
			s.t.Errorf("seed %d: replica %d is left with an old CA", seed, i)
		}
		if i == 0 && !c.replacing() && !c.authority.alone {
			s.t.Errorf("seed %d: old CAs are left: %v", seed, subjects(bundleOf(s.apiService)))
		}
	}
}

// replacing says whether the CA has been replaced in the last moments.
func (c *Certificates) replacing() bool {
	return c.config.Clock.Since(c.authority.since) < c.config.overlap()
}
