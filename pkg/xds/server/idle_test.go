package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

const (
	idleStreams = 2_000
	// idleClient is the environment variable that has TestIdleClient be the clients of BenchmarkIdleStream: where the server is.
	idleClient = "XDS_IDLE_CLIENT"
	// idleClientTLS says that it speaks TLS.
	idleClientTLS = "XDS_IDLE_CLIENT_TLS"
)

// BenchmarkIdleStream prints what a stream costs the server that has a connection of its own and nothing to do, as most of a fleet
// have most of the time: what is on the heap and on stacks, the latter alone, and what the operating system has given out. Clients are
// another process.
func BenchmarkIdleStream(b *testing.B) {
	b.Run("plaintext", func(b *testing.B) { benchmarkIdleStream(b, false) })
	b.Run("tls", func(b *testing.B) { benchmarkIdleStream(b, true) })
}

func benchmarkIdleStream(b *testing.B, encrypted bool) {
	c := cache.New(nodes.Bases()...)
	c.Publish(scope, set(res(cds, "c", "c"), res(eds, "e", "e"), res(lds, "l", "l"), res(rds, "r", "r"), res(sds, "s", "s")))
	config := Config{Cache: c, Nodes: &nodes.Directory{}, Logger: klog.Background(), Limits: Limits{Drain: -1}}
	if encrypted {
		secured(&config)
		// The clients are another process, which has none of this one's certificates.
		config.Authenticator = authenticatorFunc(func(context.Context) (*identity.Identity, error) { return mayRead(time.Now().Add(time.Hour)), nil })
	}
	s := New(config)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(l)
	b.Cleanup(func() { s.Shutdown(context.Background()) })
	for b.Loop() {
		before := memory(b)
		stop := startIdleClients(b, l.Addr().String(), encrypted)
		after := memory(b)
		stop()
		b.ReportMetric(after.heap.per(before.heap)+after.stack.per(before.stack), "KiB/stream")
		b.ReportMetric(after.stack.per(before.stack), "stack-KiB/stream")
		b.ReportMetric(after.resident.per(before.resident), "RSS-KiB/stream")
	}
	b.ReportMetric(0, "ns/op")
}

// bytesInUse are what there is of some memory.
type bytesInUse uint64

func (b bytesInUse) per(before bytesInUse) float64 {
	return (float64(b) - float64(before)) / idleStreams / 1024
}

type memoryInUse struct{ heap, stack, resident bytesInUse }

// memory returns what this process uses after a garbage collection.
func memory(b *testing.B) memoryInUse {
	for range 4 { // each halves stacks of which little is used, as time does
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	statm, err := os.ReadFile("/proc/self/statm") // proc_pid_statm(5): size and resident, in pages
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		b.Fatal(err)
	}
	return memoryInUse{bytesInUse(m.HeapAlloc), bytesInUse(m.StackInuse), bytesInUse(pages * os.Getpagesize())}
}

// startIdleClients returns when all streams have acknowledged what they are sent.
func startIdleClients(b *testing.B, addr string, encrypted bool) (stop func()) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleClient$", "-test.v")
	cmd.Env = append(os.Environ(), idleClient+"="+addr)
	if encrypted {
		cmd.Env = append(cmd.Env, idleClientTLS+"=1")
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	if lines.Text() != "ready" {
		b.Fatal("the clients have ended")
	}
	return func() {
		in.Close()
		cmd.Wait()
	}
}

// TestIdleClient is the clients of BenchmarkIdleStream. It ends with its standard input.
func TestIdleClient(t *testing.T) {
	addr := os.Getenv(idleClient)
	if addr == "" {
		t.Skip("only with BenchmarkIdleStream")
	}
	creds := insecure.NewCredentials()
	if os.Getenv(idleClientTLS) != "" {
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) // nothing is at stake
	}
	var wg sync.WaitGroup
	for i := range idleStreams {
		wg.Go(func() {
			conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds), grpc.WithReadBufferSize(1<<10), grpc.WithWriteBufferSize(1<<10))
			if err != nil {
				t.Error(err)
				return
			}
			if err := idle(t.Context(), conn, i); err != nil {
				t.Error(err)
			}
		})
		if i%50 == 49 {
			wg.Wait()
		}
	}
	wg.Wait()
	if !t.Failed() {
		fmt.Println("ready")
	}
	os.Stdin.Read(make([]byte, 1))
}

// idle opens a stream as Envoy does: everything of some types, and names of the others.
func idle(ctx context.Context, conn *grpc.ClientConn, i int) error {
	d, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	node := gatewayNode("ns/gw")
	node.Id, node.UserAgentVersionType = fmt.Sprint("envoy-", i), buildVersion(1, 36, 2)
	for e := range 500 {
		node.Extensions = append(node.Extensions, &corev3.Extension{
			Name: fmt.Sprint("envoy.filters.http.number_", e), Category: "envoy.filters.http", TypeUrls: []string{fmt.Sprint("envoy.extensions.filters.http.number.v3.Number", e)},
		})
	}
	for _, sub := range []*discoveryv3.DeltaDiscoveryRequest{
		{Node: node, TypeUrl: cds}, {TypeUrl: eds, ResourceNamesSubscribe: []string{"e"}},
		{TypeUrl: lds}, {TypeUrl: rds, ResourceNamesSubscribe: []string{"r"}}, {TypeUrl: sds, ResourceNamesSubscribe: []string{"s"}},
	} {
		if err := d.Send(sub); err != nil {
			return err
		}
		resp, err := d.Recv()
		if err != nil {
			return err
		}
		if err := d.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()}); err != nil {
			return err
		}
	}
	return nil
}
