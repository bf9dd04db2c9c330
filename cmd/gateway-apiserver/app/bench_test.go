package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

var (
	httpRoutes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	gateways   = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}
	services   = schema.GroupVersionResource{Version: "v1", Resource: "services"}
)

// benchServer is a standalone server in this process.
type benchServer struct {
	dynamic.Interface
	stop func()
}

// quiet keeps log lines out of what a benchmark prints.
var quiet = sync.OnceFunc(func() {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
})

// startBench starts a server on dir and returns when it is ready.
func startBench(b *testing.B, dir string, withoutStatus bool) *benchServer {
	b.Helper()
	quiet()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	data, err := openDataDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := newStandalone(ctx, standaloneConfig{dir: data, apiListen: listen(), xdsListen: listen(), channel: crd.ExperimentalChannel, withoutStatus: withoutStatus})
	if err != nil {
		b.Fatal(err)
	}
	ready, said := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, said) }()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, ready) }()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, kubeconfigFile))
	if err != nil {
		b.Fatal(err)
	}
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		data.close()
	}
	return &benchServer{Interface: client, stop: stop}
}

func (s *benchServer) create(ctx context.Context, b *testing.B, gvr schema.GroupVersionResource, manifest string) {
	if err := s.tryCreate(ctx, gvr, manifest); err != nil {
		b.Fatal(err)
	}
}

func (s *benchServer) tryCreate(ctx context.Context, gvr schema.GroupVersionResource, manifest string) error {
	var obj map[string]any
	if err := yaml.Unmarshal([]byte(manifest), &obj); err != nil {
		return err
	}
	_, err := s.Resource(gvr).Namespace("default").Create(ctx, &unstructured.Unstructured{Object: obj}, metav1.CreateOptions{})
	return err
}

func (s *benchServer) base(b *testing.B) {
	ctx := context.Background()
	s.create(ctx, b, services, "{apiVersion: v1, kind: Service, metadata: {name: app}, spec: {ports: [{port: 80}]}}")
}

func (s *benchServer) gateway(b *testing.B, name string) {
	s.create(context.Background(), b, gateways, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s}
spec: {gatewayClassName: gateway-apiserver, listeners: [{name: http, protocol: HTTP, port: 80}]}`, name))
}

func route(name, gateway string) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s}
spec:
  parentRefs: [{name: %[2]s}]
  hostnames: [%[1]s.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    timeouts: {request: 10s}
    backendRefs: [{name: app, port: 80}]`, name, gateway)
}

// routes creates n routes, perGateway on each Gateway, by 16 clients.
func (s *benchServer) routes(b *testing.B, n, perGateway int) {
	b.Helper()
	var clients errgroup.Group
	clients.SetLimit(16)
	for i := range n {
		if i%perGateway == 0 {
			s.gateway(b, fmt.Sprintf("gw-%d", i/perGateway))
		}
		clients.Go(func() error {
			return s.tryCreate(context.Background(), httpRoutes, route(fmt.Sprintf("r-%d", i), fmt.Sprintf("gw-%d", i/perGateway)))
		})
	}
	if err := clients.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCreateHTTPRoute creates a route on a server with statuses and one on a server without, in turn.
func BenchmarkCreateHTTPRoute(b *testing.B) {
	servers := map[string]*benchServer{
		"status":   startBench(b, b.TempDir(), false),
		"nostatus": startBench(b, b.TempDir(), true),
	}
	took := map[string][]time.Duration{}
	for _, s := range servers {
		defer s.stop()
		s.base(b)
		s.gateway(b, "gw")
	}
	for i := 0; b.Loop(); i++ {
		for _, name := range []string{"status", "nostatus"} {
			s := servers[name]
			manifest := route(fmt.Sprintf("r-%d", i), "gw")
			start := time.Now()
			s.create(context.Background(), b, httpRoutes, manifest)
			took[name] = append(took[name], time.Since(start))
		}
	}
	with, without := quantile(took["status"], 0.5), quantile(took["nostatus"], 0.5)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(with, "status-p50-ms")
	b.ReportMetric(without, "nostatus-p50-ms")
	b.ReportMetric(with/without, "ratio")
}

// BenchmarkUpdateHTTPRoute is BenchmarkCreateHTTPRoute for writes that change no other object's status: what is left is
// the cost of a true status in the response.
func BenchmarkUpdateHTTPRoute(b *testing.B) {
	servers := map[string]*benchServer{"status": startBench(b, b.TempDir(), false), "nostatus": startBench(b, b.TempDir(), true)}
	took := map[string][]time.Duration{}
	for _, s := range servers {
		defer s.stop()
		s.base(b)
		s.routes(b, 1, 1)
	}
	for i := 0; b.Loop(); i++ {
		for _, name := range []string{"status", "nostatus"} {
			start := time.Now()
			servers[name].changeTimeout(b, "r-0", i)
			took[name] = append(took[name], time.Since(start))
		}
	}
	with, without := quantile(took["status"], 0.5), quantile(took["nostatus"], 0.5)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(with, "status-p50-ms")
	b.ReportMetric(without, "nostatus-p50-ms")
	b.ReportMetric(with/without, "ratio")
}

// changeTimeout changes the request timeout of a route to one that depends on i.
func (s *benchServer) changeTimeout(b *testing.B, route string, i int) {
	patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/rules/0/timeouts/request","value":"%dms"}]`, 1000+i)
	_, err := s.Resource(httpRoutes).Namespace("default").Patch(context.Background(), route, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStored measures what 10,000 stored routes cost: heap, and the time from start to ready.
func BenchmarkStored(b *testing.B) {
	const n = 10000
	dir := b.TempDir()
	s := startBench(b, dir, false)
	s.base(b)
	empty := heap()
	s.routes(b, n, 100)
	full := heap()
	s.stop()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		s := startBench(b, dir, false)
		took = append(took, time.Since(start))
		s.stop()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(full-empty)/n/1024, "KiB/route")
	b.ReportMetric(quantile(took, 0.5)/1000, "start-s")
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// quantile is the q-quantile of durations, in milliseconds.
func quantile(took []time.Duration, q float64) float64 {
	slices.Sort(took)
	return float64(took[int(q*float64(len(took)-1))]) / float64(time.Millisecond)
}
