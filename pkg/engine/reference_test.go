package engine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	resource "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// A rig is an engine that runs in a bubble, as in a cluster: Secrets and ConfigMaps come by name.
type rig struct {
	*memory
	t      *testing.T
	engine *Engine
	xds    *cache.Cache
	logs   ktesting.Underlier
	inputs Inputs
	stop   func() // once it has been started
}

// inRig runs a test of an engine that was started on what prepare stores. In the bubble of the test, time passes only when
// everybody waits for it.
func inRig(t *testing.T, prepare func(*memory), test func(*rig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.put(&gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: gwv1.GatewayClassSpec{ControllerName: graph.ControllerName}})
		prepare(m)
		r := startRig(t, m, nil)
		defer r.stop()
		synctest.Wait()
		test(r)
	})
}

// startRig starts an engine on what is stored in m.
func startRig(t *testing.T, m *memory, progress Progress) *rig {
	r := newRig(t, m, progress)
	r.start()
	return r
}

// newRig makes an engine for what is stored in m.
func newRig(t *testing.T, m *memory, progress Progress) *rig {
	logger := ktesting.NewLogger(ktesting.NopTL{}, ktesting.NewConfig(ktesting.BufferLogs(true), ktesting.Verbosity(0)))
	xds := cache.New()
	r := &rig{memory: m, t: t, engine: New(xds, logger), xds: xds, logs: logger.GetSink().(ktesting.Underlier)}
	in := Inputs{
		Sources: map[graph.Kind]Source{},
		Writers: map[graph.Kind]StatusWriter{},
		Referenced: map[graph.Kind]NamedSource{
			graph.KindSecret: m.named(graph.KindSecret), graph.KindConfigMap: m.named(graph.KindConfigMap),
		},
		Progress:       progress,
		Infrastructure: m.infrastructure,
	}
	for _, kind := range append([]graph.Kind{graph.KindReferenceGrant, graph.KindEndpointSlice}, statusKinds...) {
		in.Sources[kind] = m.kind(kind)
	}
	for _, kind := range []graph.Kind{graph.KindNamespace, graph.KindService} {
		in.Sources[kind] = memoryNamed{m.kind(kind)}
	}
	for _, kind := range statusKinds {
		in.Writers[kind] = m.kind(kind)
	}
	r.inputs = in
	return r
}

func (r *rig) start() {
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), r.engine.logger))
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.engine.Run(ctx, r.inputs)
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

var certificate = sync.OnceValue(func() map[string][]byte {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<33, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return map[string][]byte{
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}
})

func secret(key graph.Key) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Type: corev1.SecretTypeTLS, Data: certificate()}
}

func secretKey(name string) graph.Key {
	return graph.Key{Kind: graph.KindSecret, Namespace: "ns", Name: name}
}

func gatewayKey(name string) graph.Key {
	return graph.Key{Kind: graph.KindGateway, Namespace: "ns", Name: name}
}

// gateway is one in the namespace ns, with a listener for each Secret.
func gateway(name string, secrets ...graph.Key) *gwv1.Gateway {
	gw := &gwv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: gwv1.GatewaySpec{GatewayClassName: "ours"}}
	for i, s := range secrets {
		gw.Spec.Listeners = append(gw.Spec.Listeners, gwv1.Listener{
			Name: gwv1.SectionName(fmt.Sprint("l", i)), Port: gwv1.PortNumber(443 + i), Protocol: gwv1.HTTPSProtocolType,
			TLS: &gwv1.ListenerTLSConfig{CertificateRefs: []gwv1.SecretObjectReference{
				{Name: gwv1.ObjectName(s.Name), Namespace: new(gwv1.Namespace(s.Namespace))},
			}},
		})
	}
	return gw
}

// secrets returns the names of the certificates that a Gateway's nodes are given.
func (r *rig) secrets(gateway string) string {
	var names []string
	for _, published := range r.xds.Resources(GatewayScope(gatewayKey(gateway).NamespacedName())) {
		if published.TypeURL() == resource.SecretType {
			names = append(names, published.Name())
		}
	}
	return strings.Join(names, " ")
}

// programmed returns what the stored status of a Gateway says of that; empty if it says nothing.
func (r *rig) programmed(gateway string) metav1.ConditionStatus {
	for _, c := range r.read(gatewayKey(gateway)).(*gwv1.Gateway).Status.Conditions {
		if c.Type == string(gwv1.GatewayConditionProgrammed) {
			return c.Status
		}
	}
	return ""
}

// everSaid says whether some version of an object had a text in it.
func (m *memory) everSaid(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.history {
		if content, err := json.Marshal(e.event.Object); err != nil || strings.Contains(string(content), text) {
			return true
		}
	}
	return false
}

// logged returns the lines that were logged and have a text in them, but for the debugging ones.
func (r *rig) logged(text string) int {
	n := 0
	for _, entry := range r.logs.GetBuffer().Data() {
		if entry.Verbosity == 0 && strings.Contains(entry.Message, text) {
			n++
		}
	}
	return n
}

func (r *rig) check(what string, got, want any) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

const missing = "does not exist"

// TestLoading: a Gateway comes by the watch, and its certificate takes time to be read. Until it is, nothing is said of the
// Gateway; and a Gateway that gets another certificate keeps the one it had.
func TestLoading(t *testing.T) {
	a, b := secretKey("a"), secretKey("b")
	inRig(t, func(m *memory) {
		m.put(secret(a))
		m.put(gateway("old", a))
	}, func(r *rig) {
		r.engine.SetLeader(true)
		synctest.Wait()
		r.check("certificates of the old Gateway", r.secrets("old"), "ns/a")
		arrived := make(chan struct{})
		r.hinder(b, obstacle{until: arrived})
		r.put(secret(b))
		r.put(gateway("new", b))
		r.put(gateway("old", b))
		synctest.Wait()
		r.check("the new Gateway is published", r.xds.Published(GatewayScope(types.NamespacedName{Namespace: "ns", Name: "new"})), false)
		r.check("certificates of the old Gateway", r.secrets("old"), "ns/a")
		r.check("Programmed of the new Gateway", r.programmed("new"), metav1.ConditionStatus(""))
		preview := gateway("preview", a)
		r.engine.Render(preview)
		r.check("a preview meanwhile says something", len(preview.Status.Conditions) > 0, true)

		close(arrived)
		synctest.Wait()
		r.check("certificates of the new Gateway", r.secrets("new"), "ns/b")
		r.check("certificates of the old Gateway", r.secrets("old"), "ns/b")
		r.check("Programmed of the new Gateway", r.programmed("new"), metav1.ConditionTrue)
		r.check("some status ever said that a Secret is missing", r.everSaid(missing), false)
		r.check("the first certificate is watched", r.watched(a), false)
		r.check("the second certificate is watched", r.watched(b), true)
	})
}

// TestCommitWhileLoading: a write doesn't return before what it changes is published, also if that has to wait for another
// object.
func TestCommitWhileLoading(t *testing.T) {
	a := secretKey("a")
	inRig(t, func(*memory) {}, func(r *rig) {
		arrived := make(chan struct{})
		r.hinder(a, obstacle{until: arrived})
		r.put(gateway("loading", a))
		synctest.Wait()
		returned := false
		written := httpGateway("gw")
		r.engine.Render(written) // so that there is no status to wait for
		go func() {
			r.engine.Committed(r.put(written))
			returned = true
		}()
		synctest.Wait()
		r.check("meanwhile, the write has returned", returned, false)
		close(arrived)
		synctest.Wait()
		r.check("then, the write has returned", returned, true)
		r.check("then, its Gateway is published", len(r.xds.Resources(GatewayScope(gatewayKey("gw").NamespacedName()))) > 0, true)
	})
}

// TestNotNeededAnyMore: nobody waits for an object that nothing refers to any more.
func TestNotNeededAnyMore(t *testing.T) {
	a := secretKey("a")
	inRig(t, func(*memory) {}, func(r *rig) {
		r.engine.SetLeader(true)
		r.hinder(a, obstacle{until: make(chan struct{})})
		r.put(gateway("gw", a))
		r.put(httpGateway("other"))
		synctest.Wait()
		r.check("meanwhile, Programmed", r.programmed("other"), metav1.ConditionStatus(""))
		r.remove(gatewayKey("gw"))
		synctest.Wait()
		r.check("then, Programmed", r.programmed("other"), metav1.ConditionTrue)
	})
}

// TestLateEvent: what still arrives of an object that isn't followed any more doesn't come back.
func TestLateEvent(t *testing.T) {
	a := secretKey("a")
	inRig(t, func(m *memory) {
		m.put(secret(a))
		m.put(gateway("gw", a))
	}, func(r *rig) {
		var f *feed
		if err := r.engine.inspect(context.Background(), func() { f = r.engine.references[a].feed }); err != nil {
			t.Fatal(err)
		}
		r.remove(gatewayKey("gw"))
		synctest.Wait()
		late := r.put(secret(a)).(metav1.Object)
		if err := r.engine.inspect(context.Background(), func() {
			f.delivered(late, false)
			f.replace([]metav1.Object{late}, versionOf(late))
		}); err != nil {
			t.Fatal(err)
		}
		r.check("the Secret is kept", r.holds(a), false)
	})
}

// TestFollowed: what is followed comes and goes, and is followed on when it is made after what refers to it.
func TestFollowed(t *testing.T) {
	a := secretKey("a")
	inRig(t, func(m *memory) { m.put(gateway("gw", a)) }, func(r *rig) {
		r.engine.SetLeader(true)
		synctest.Wait()
		r.check("without the Secret, Programmed", r.programmed("gw"), metav1.ConditionFalse)
		r.put(secret(a))
		synctest.Wait()
		r.check("certificates", r.secrets("gw"), "ns/a")
		r.check("Programmed", r.programmed("gw"), metav1.ConditionTrue)
		r.remove(a)
		synctest.Wait()
		r.check("with the Secret gone, certificates", r.secrets("gw"), "")
		r.check("with the Secret gone, Programmed", r.programmed("gw"), metav1.ConditionFalse)
		r.put(secret(a))
		synctest.Wait()
		r.check("with the Secret back, certificates", r.secrets("gw"), "ns/a")
		r.check("lists", r.timesAsked(a), 1)
		r.remove(gatewayKey("gw"))
		synctest.Wait()
		r.check("with the Gateway gone, the Secret is watched", r.watched(a), false)
		r.check("with the Gateway gone, the Secret is kept", r.holds(a), false)
	})
}

// holds says whether the graph has an object.
func (r *rig) holds(key graph.Key) (held bool) {
	if err := r.engine.inspect(context.Background(), func() { held = r.engine.graph.Object(key) != nil }); err != nil {
		r.t.Fatal(err)
	}
	return held
}

// TestRevoked: a certificate in another namespace is read while a grant permits it, and is dropped at once when none does.
func TestRevoked(t *testing.T) {
	there := graph.Key{Kind: graph.KindSecret, Namespace: "certs", Name: "c"}
	grant := &gwv1.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "certs", Name: "g"}, Spec: gwv1.ReferenceGrantSpec{
		From: []gwv1.ReferenceGrantFrom{{Group: gwv1.GroupName, Kind: "Gateway", Namespace: "ns"}},
		To:   []gwv1.ReferenceGrantTo{{Kind: "Secret"}},
	}}
	inRig(t, func(m *memory) {
		m.put(secret(there))
		m.put(gateway("gw", there))
	}, func(r *rig) {
		r.check("without a grant, lists", r.timesAsked(there), 0)
		r.put(grant)
		synctest.Wait()
		r.check("certificates", r.secrets("gw"), "certs/c")
		r.check("the Secret is watched", r.watched(there), true)
		r.remove(keyOf(grant))
		synctest.Wait()
		r.check("with the grant gone, certificates", r.secrets("gw"), "")
		r.check("with the grant gone, the Secret is watched", r.watched(there), false)
		r.check("with the grant gone, the Secret is kept", r.holds(there), false)
	})
}

// TestAsked: a write is judged by what it refers to, also a dry run, which leaves nothing behind.
func TestAsked(t *testing.T) {
	a := secretKey("a")
	inRig(t, func(m *memory) { m.put(secret(a)) }, func(r *rig) {
		judge := func(what string) {
			r.t.Helper()
			written := gateway("gw", a)
			if err := r.engine.Sync(context.Background(), written); err != nil {
				r.t.Fatal(err)
			}
			r.engine.Render(written)
			r.check(what+" is programmed", meta.IsStatusConditionTrue(written.Status.Conditions, string(gwv1.GatewayConditionProgrammed)), true)
		}
		judge("a dry run")
		judge("another one")
		r.check("lists", r.timesAsked(a), 1)
		time.Sleep(lingering)
		synctest.Wait()
		r.check("after dry runs, the Secret is watched", r.watched(a), false)
		r.check("after dry runs, the Secret is kept", r.holds(a), false)

		judge("a write")
		r.engine.Committed(r.put(gateway("gw", a)))
		r.check("certificates when the write returns", r.secrets("gw"), "ns/a")
		r.check("lists", r.timesAsked(a), 2)
		time.Sleep(2 * lingering)
		synctest.Wait()
		r.check("after a write, the Secret is watched", r.watched(a), true)
		judge("a change")
		r.engine.Deleted(r.remove(gatewayKey("gw")))
		synctest.Wait()
		r.check("with a write under way, the Secret is watched", r.watched(a), true)
		time.Sleep(lingering)
		synctest.Wait()
		r.check("in the end, the Secret is watched", r.watched(a), false)
	})
}

// TestUnreachable: a kube-apiserver that doesn't answer holds up neither the start nor others for longer than it may.
func TestUnreachable(t *testing.T) {
	a, b, c := secretKey("a"), secretKey("b"), secretKey("c")
	var arrived chan struct{}
	inRig(t, func(m *memory) {
		arrived = make(chan struct{}) // in the bubble
		m.hinder(a, obstacle{until: arrived})
		m.put(secret(a))
		m.put(secret(b))
		m.put(gateway("gw", a, b))
	}, func(r *rig) {
		r.check("at the start, synced", r.engine.HasSynced(), false)
		r.check("at the start, certificates", r.secrets("gw"), "")
		time.Sleep(loadBound)
		synctest.Wait()
		r.check("then, synced", r.engine.HasSynced(), true)
		r.check("then, certificates", r.secrets("gw"), "ns/b")
		r.check("lines in the log", r.logged("could not be read in time"), 1)
		time.Sleep(time.Minute)
		r.check("later, lines in the log", r.logged(""), 1)

		// Whoever writes what refers to it doesn't wait for it again.
		start := time.Now()
		if err := r.engine.Sync(context.Background(), gateway("gw", a)); err != nil {
			r.t.Fatal(err)
		}
		r.check("time that a write waits", time.Since(start), time.Duration(0))

		r.hinder(c, obstacle{until: arrived})
		start = time.Now()
		if err := r.engine.Sync(context.Background(), gateway("other", c)); err != nil {
			r.t.Fatal(err)
		}
		r.check("time that a write waits that refers to another one", time.Since(start), loadBound)
		close(arrived)
		synctest.Wait()
		r.check("at last, certificates", r.secrets("gw"), "ns/a ns/b")
	})
}

// TestForbidden: what may not be read counts as missing at once, is said in the log once, and is tried again.
func TestForbidden(t *testing.T) {
	a := secretKey("a")
	inRig(t, func(m *memory) {
		m.hinder(a, obstacle{err: apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "a", errors.New("no role"))})
		m.put(secret(a))
		m.put(gateway("gw", a))
	}, func(r *rig) {
		r.check("synced", r.engine.HasSynced(), true)
		time.Sleep(10 * time.Minute)
		r.check("lines in the log", r.logged("Reading a referenced object"), 1)
		r.check("all lines in the log", r.logged(""), 1)
		r.check("lists are few", r.timesAsked(a) < 30, true)
		r.hinder(a, obstacle{})
		time.Sleep(retryMax * 2)
		synctest.Wait()
		r.check("certificates", r.secrets("gw"), "ns/a")
	})
}

// TestFailing: a read that fails is said in the log once, however long it goes on.
func TestFailing(t *testing.T) {
	a := secretKey("a")
	inRig(t, func(m *memory) {
		m.hinder(a, obstacle{err: errors.New("connection refused")})
		m.put(secret(a))
		m.put(gateway("gw", a))
	}, func(r *rig) {
		time.Sleep(loadBound / 2)
		r.check("at the start, synced", r.engine.HasSynced(), false)
		time.Sleep(10 * time.Minute)
		r.check("then, synced", r.engine.HasSynced(), true)
		r.check("lines in the log", r.logged("Reading a referenced object"), 1)
		r.check("all lines in the log", r.logged(""), 1)
		r.hinder(a, obstacle{})
		time.Sleep(retryMax * 2)
		synctest.Wait()
		r.check("certificates", r.secrets("gw"), "ns/a")
	})
}

// TestStream: Gateways keep coming, each with a certificate that takes a while to be read. They don't keep the gate closed
// for ever, nor does any of them lose its listener.
func TestStream(t *testing.T) {
	const n, every, takes = 200, 20 * time.Millisecond, 100 * time.Millisecond
	inRig(t, func(*memory) {}, func(r *rig) {
		r.engine.SetLeader(true)
		sees := 0
		for i := range n {
			key := secretKey(fmt.Sprint(i))
			arrived := make(chan struct{})
			r.hinder(key, obstacle{until: arrived})
			r.put(secret(key))
			r.put(gateway(fmt.Sprint(i), key))
			time.AfterFunc(takes*time.Duration(1+i%2), func() { close(arrived) })
			time.Sleep(every)
			if r.secrets("0") != "" {
				sees++
			}
		}
		r.check("the first Gateway was served in the midst of it", sees > n/2, true)
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := range n {
			r.check("certificates", r.secrets(fmt.Sprint(i)), fmt.Sprint("ns/", i))
		}
		r.check("some status ever said that a Secret is missing", r.everSaid(missing), false)
	})
}

// TestTooMany: what is written may name any number of objects, before it is found to be invalid.
func TestTooMany(t *testing.T) {
	inRig(t, func(*memory) {}, func(r *rig) {
		var keys []graph.Key
		for i := range 2 * maxAsked {
			keys = append(keys, secretKey(fmt.Sprint(i)))
		}
		if err := r.engine.Sync(context.Background(), gateway("gw", keys...)); err != nil {
			r.t.Fatal(err)
		}
		asked := 0
		for _, key := range keys {
			asked += r.timesAsked(key)
		}
		r.check("lists", asked, maxAsked)
	})
}

// TestLagging: a Service that kube-apiserver has is waited for if the watch is behind; one that it hasn't is not.
func TestLagging(t *testing.T) {
	inRig(t, func(*memory) {}, func(r *rig) {
		route := &gwv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r"}}
		route.Spec.Rules = []gwv1.HTTPRouteRule{{BackendRefs: []gwv1.HTTPBackendRef{{BackendRef: gwv1.BackendRef{
			BackendObjectReference: gwv1.BackendObjectReference{Name: "s", Port: new(gwv1.PortNumber(80))},
		}}}}}
		wait := func() time.Duration {
			start := time.Now()
			if err := r.engine.Sync(context.Background(), route); err != nil {
				r.t.Fatal(err)
			}
			return time.Since(start)
		}
		r.check("for what isn't there, a write waits", wait(), time.Duration(0))
		resume := r.pause()
		r.put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}})
		r.put(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}})
		time.AfterFunc(300*time.Millisecond, resume)
		r.check("for what the watch brings, a write waits", wait(), 300*time.Millisecond)
		r.pause()
		r.put(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "other"}})
		route.Spec.Rules[0].BackendRefs[0].Name = "other"
		r.check("for what the watch doesn't bring, a write waits", wait(), syncBound)
	})
}
