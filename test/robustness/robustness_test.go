package robustness

import (
	"flag"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/grpc/grpclog"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

var (
	seed     = flag.Uint64("seed", 0, "which history; 0: any")
	duration = flag.Duration("duration", time.Minute, "for how long things go wrong, in all")
)

// roundLength is how long things go wrong before everything is checked.
const roundLength = 25 * time.Second

// TestRobustness runs rounds until their time is over.
func TestRobustness(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a cluster")
	}
	for *seed == 0 {
		*seed = rand.Uint64()
	}
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) // connections that end are no news here
	t.Logf("-seed=%d decides what clients do and what goes wrong; which of it meets what is up to the machine", *seed)
	kube := cluster.Start(t)
	world, err := newWorld(t.Context(), kube)
	if err != nil {
		t.Fatal(err)
	}
	if err := makeCore(t.Context(), kube.Clientset(), rand.New(rand.NewPCG(*seed, 0))); err != nil {
		t.Fatal(err)
	}
	run, err := newRun(t.Context(), world, *seed, t.Logf)
	defer run.close()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { t.Logf("-seed=%d -duration=%v: %s", *seed, *duration, run.record()) }() // of a run that fails, too
	for end := time.Now().Add(*duration); time.Now().Before(end); {
		if err := run.Round(t.Context(), roundLength); err != nil {
			t.Fatalf("-seed=%d, round %d: %v", *seed, run.round, err)
		}
	}
}
