package features

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/xds"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// callTimeout is when a call is given up; calls wait until the client has its configuration.
const callTimeout = 30 * time.Second

// namedBackend is a gRPC health server that says its name in a response header.
type namedBackend struct {
	healthpb.UnimplementedHealthServer
	name string
}

func (b namedBackend) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING},
		grpc.SetHeader(ctx, metadata.Pairs("backend", b.name))
}

func cmdBackend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: backend NAME PORT")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, namedBackend{name: args[0]})
	go func() { _ = s.Serve(l) }()
	r := running(ts)
	r.ends = append(r.ends, s.Stop)
	ts.Setenv(args[1], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

func cmdGRPC(ts *testscript.TestScript, neg bool, args []string) {
	bootstrap := fmt.Sprintf(`{
		"xds_servers": [{"server_uri": %q, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": "test-client"}
	}`, ts.Getenv("XDS"))
	if len(args) > 2 && args[0] == "--proxyless" {
		flags := []string{"bootstrap", "--xds-server", ts.Getenv("XDS")}
		for len(args) > 2 && strings.HasPrefix(args[0], "--") {
			flags, args = append(flags, args[:2]...), args[2:]
		}
		ts.Check(ts.Exec("gateway-apiserver", flags...))
		bootstrap = ts.ReadFile("stdout")
	}
	if len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: grpc [--proxyless NAMESPACE [--cert-dir DIR]] TARGET [N]")
	}
	calls := 1
	if len(args) == 2 {
		var err error
		calls, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	answered, err := call(bootstrap, args[0], calls)
	switch {
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	case err == nil && neg:
		ts.Fatalf("the calls did not fail: %v", answered)
	case err != nil:
		fmt.Fprintln(ts.Stderr(), err)
		return
	}
	names := []string{}
	for name := range answered {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(ts.Stdout(), "%s %d\n", name, answered[name])
	}
}

// call makes calls to target as a client with a bootstrap, and counts what each backend answered.
func call(bootstrap, target string, calls int) (map[string]int, error) {
	builder, err := xds.NewXDSResolverWithConfigForTesting([]byte(bootstrap))
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, grpc.WithResolvers(builder), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	answered := map[string]int{}
	for range calls {
		var header metadata.MD
		if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Header(&header), grpc.WaitForReady(true)); err != nil {
			return nil, err
		}
		for _, name := range header.Get("backend") {
			answered[name]++
		}
	}
	return answered, nil
}
